"""How the fleet is: `/v1/lockgate/status`, `/v1/lockgate/history`, and who leads.

Belongs here: reports about coordinators, nodes and published snapshots. Never here: making them.
"""

from typing import Any

from coordinator.acl.rights import operator_read

from .endpoint import Call, Do, Read, at
from .needs import anyone


def _status(call: Call) -> dict[str, Any]:
    """The report of `coordinator.fleet`; a lone coordinator leads."""
    services = call.services
    alone = {
        "name": services.node_name,
        "address": services.address,
        "bus_key": services.bus_key,
        "leader": True,
    }
    own = {"datacenter": services.datacenter, "version": services.version, "coordinators": [alone]}
    return own | services.fleet.status()


def _leader(call: Call) -> str:
    leaders = (one for one in _status(call)["coordinators"] if one["leader"])
    return next((one["address"] or one["name"] for one in leaders), "")


def _peers(call: Call) -> list[str]:
    return [one["address"] or one["name"] for one in _status(call)["coordinators"]]


async def _history(call: Call) -> list[dict[str, Any]]:
    """What was published, newest first; `at` in seconds since 1970."""
    return [
        {
            "generation": one.generation,
            "digest": one.digest,
            "epoch": one.epoch,
            "at": one.at,
            "size_bytes": one.size_bytes,
        }
        for one in await call.services.history.list()
    ]


ROUTES = (
    at("/v1/status/leader", GET=Read(answer=_leader, needs=anyone)),
    at("/v1/status/peers", GET=Read(answer=_peers, needs=anyone)),
    at("/v1/lockgate/status", GET=Read(answer=_status, needs=operator_read)),
    at("/v1/lockgate/history", GET=Do(answer=_history, needs=operator_read)),
)
