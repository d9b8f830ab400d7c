"""How the fleet is: `/v1/lockgate/status`, and who leads.

Belongs here: reports about coordinators and nodes. Never here: making them, or what was published
(`history`).
"""

from typing import Any

from coordinator.acl.rights import operator_read
from coordinator.store.versions import NotKept, entries_at, present_entries

from .endpoint import Call, Read, at
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
    report = own | services.fleet.status()
    audit = services.audit.failed if services.audit else ""
    return report | {"audit_failed": audit, "rollback": _way_back(call, report)}


def _way_back(call: Call, report: dict[str, Any]) -> dict[str, Any] | None:
    """The generation to which nodes that refuse the present one would follow; None if none helps.

    It is the one they serve, if its entries are kept and are not those of the present. Who refuses the
    present one for coming too fast, and not for what is in it, would refuse that one too.
    """
    refusing = [node for node in report["nodes"] if node["refused_content"]]
    generation = min((node["generation"] for node in refusing), default=0)
    try:
        helps = generation and entries_at(call.state, generation) != present_entries(call.state)
    except NotKept:
        return None
    if not helps:
        return None
    nodes = [node["name"] for node in refusing]
    command = f"lockgate rollback {generation}"
    return {"generation": generation, "nodes": nodes, "command": command}


def _leader(call: Call) -> str:
    leaders = (one for one in _status(call)["coordinators"] if one["leader"])
    return next((one["address"] or one["name"] for one in leaders), "")


def _peers(call: Call) -> list[str]:
    return [one["address"] or one["name"] for one in _status(call)["coordinators"]]


ROUTES = (
    at("/v1/status/leader", GET=Read(answer=_leader, needs=anyone)),
    at("/v1/status/peers", GET=Read(answer=_peers, needs=anyone)),
    at("/v1/lockgate/status", GET=Read(answer=_status, needs=operator_read)),
)
