"""Taking a node out of service: `/v1/lockgate/nodes/:name/drain`.

Belongs here: the order to it. Never here: how a node drains, or who may join the bus (`nodes`).
"""

from typing import Any

from cluster.durations import parse_duration
from coordinator.acl.rights import operator_write
from coordinator.distributor import NotConnected

from .answers import ApiError
from .endpoint import Call, Do, at

DEFAULT_GRACE = "30s"
MOST_SECONDS = 24 * 3600.0


async def _drain(call: Call) -> dict[str, Any]:
    """The node accepts nothing from now on; what is open has so long to end. Its process stays."""
    name, grace_seconds = call.path("name"), _grace_seconds(call)
    try:
        await call.services.fleet.drain(name, grace_seconds)
    except NotConnected as error:
        raise ApiError(404, str(error)) from None
    return {"node": name, "grace_seconds": grace_seconds}


def _grace_seconds(call: Call) -> float:
    text = call.query("grace", DEFAULT_GRACE)
    try:
        seconds = parse_duration(text) / 1e9
    except ValueError as error:
        raise ApiError(400, f"Invalid grace: {error}") from None
    if not 0 <= seconds <= MOST_SECONDS:
        raise ApiError(400, f"Invalid grace: {text[:40]!r} is not between 0s and 24h")
    return seconds


ROUTES = (at("/v1/lockgate/nodes/{name}/drain", PUT=Do(answer=_drain, needs=operator_write)),)
