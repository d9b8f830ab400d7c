"""Live connections of the whole fleet: list and close, `/v1/lockgate/connections`.

Belongs here: asking the fleet and narrowing its answer. Never here: how nodes are asked (`fleet`).
"""

from typing import Any

from .answers import ApiError
from .body import Fields, read_object
from .endpoint import Call, Do, at

_FILTERS = ("node", "gateway", "kind", "source", "destination")


async def _list(call: Call) -> list[dict[str, Any]]:
    wanted = {name: value for name in _FILTERS if (value := call.query(name))}
    return _matching(await call.services.fleet.query("connections", {}), wanted)


async def _close(call: Call) -> dict[str, Any]:
    """Close by id, or all of a source, a destination, or a pair of both."""
    body = Fields(await read_object(call.request))
    ids = body.texts("ids")
    wanted = {name: value for name in ("source", "destination") if (value := body.text(name))}
    if bool(ids) == bool(wanted):
        raise ApiError(400, "say which: either ids, or source and destination")
    live = await call.services.fleet.query("connections", {})
    chosen = ids or tuple(str(one["id"]) for one in _matching(live, wanted))
    known = {str(one["id"]) for one in live}
    if unknown := [one for one in chosen if one not in known]:
        raise ApiError(404, f"no such connection: {', '.join(unknown)}")
    if chosen:
        await call.services.fleet.close(chosen)
    return {"closed": list(chosen)}


def _matching(live: Any, wanted: dict[str, str]) -> list[dict[str, Any]]:
    return [one for one in live if wanted.items() <= one.items()]


ROUTES = (
    at("/v1/lockgate/connections", GET=Do(answer=_list)),
    at("/v1/lockgate/connections/close", PUT=Do(answer=_close)),
)
