"""Why one connection, live or closed lately, was let in or not, and why it ended: `/v1/lockgate/explain/ID`.

Belongs here: asking the node that carried it, and what holds for the same pair now. Never here: a decision.
"""

from typing import Any

from cluster.names import written_service
from cluster.reasons import LOOK_AT, End
from coordinator.acl.rights import operator_read
from coordinator.distributor import NotConnected
from coordinator.fleet import QueryFailed

from .answers import ApiError
from .endpoint import Call, Do, at
from .explain import explain_pair

_PARTS = 3  # node/worker/number; a node's name may hold a slash


async def _explain(call: Call) -> dict[str, Any]:
    """`then` is the decision as it was made; everything else is what holds at this moment."""
    identity = call.path("id")
    parts = identity.rsplit("/", _PARTS - 1)
    if len(parts) != _PARTS or not all(parts):
        raise ApiError(400, f"{identity[:100]!r} is no connection: expected node/worker/number")
    try:
        found = await call.services.fleet.query("connection", {"id": identity}, node=parts[0])
    except (NotConnected, QueryFailed) as error:
        raise ApiError(503, f"{error}: only it knows of its connections") from None
    if not found:
        raise ApiError(
            404,
            f"no connection {identity[:100]}: it is not live, nor among the last that were closed",
        )
    (connection,) = found[:1]
    then = connection.pop("decision") | {"generation": connection["generation"]}
    if end := connection.get("end"):
        connection["look_at"] = LOOK_AT[End(end)]
    return _now(call, connection) | {"connection": connection, "then": then}


def _now(call: Call, connection: dict[str, Any]) -> dict[str, Any]:
    """Nothing for one of which no source is known: a mesh gateway does not look inside."""
    source, destination = connection["source"], connection["destination"]
    if not source or not destination:
        return {}
    return explain_pair(call, written_service(source), written_service(destination))


ROUTES = (at("/v1/lockgate/explain/{id:path}", GET=Do(answer=_explain, needs=operator_read)),)
