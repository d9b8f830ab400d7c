"""Live connections of the whole fleet: list and close, `/v1/lockgate/connections`.

Belongs here: asking the fleet and narrowing its answer. Never here: how nodes are asked (`fleet`).
"""

from typing import Any

from coordinator.acl.rights import operator_read, operator_write
from coordinator.fleet import MAX_ITEMS

from .answers import ApiError
from .body import Fields, read_object
from .endpoint import Call, Do, at

_NARROWED_BY_NODES = ("source", "destination")
_FILTERS = ("node", "gateway", "kind", "source", "destination")


async def _list(call: Call) -> list[dict[str, Any]]:
    """Live ones; with `closed` those that were closed lately, with `recent` both."""
    wanted = {name: value for name in _FILTERS if (value := call.query(name))}
    closed = call.flag("closed") or call.flag("recent")
    found = await _asked(call, wanted, "closed") if closed else []
    return found if call.flag("closed") else [*found, *await _asked(call, wanted, "connections")]


async def _close(call: Call) -> dict[str, Any]:
    """Close by id, or all of a source, a destination, or a pair of both."""
    body = Fields(await read_object(call.request))
    ids = body.texts("ids")
    wanted = {name: value for name in ("source", "destination") if (value := body.text(name))}
    if bool(ids) == bool(wanted):
        raise ApiError(400, "say which: either ids, or source and destination")
    live = await _asked(call, wanted, "connections")
    known = tuple(str(one["id"]) for one in live)
    unknown = [one for one in ids if one not in known]
    if unknown and len(live) < MAX_ITEMS:  # a longer list is cut off, and proves nothing
        raise ApiError(404, f"no such connection: {', '.join(unknown)}")
    chosen = ids or known
    if chosen:
        await call.services.fleet.close(chosen)
    return {"closed": list(chosen)}


async def _asked(call: Call, wanted: dict[str, str], what: str) -> list[dict[str, Any]]:
    """Connections with these values; nodes narrow by some of them, the rest is done here."""
    asked = {name: value for name, value in wanted.items() if name in _NARROWED_BY_NODES}
    found = await call.services.fleet.query(what, asked)
    return [one for one in found if wanted.items() <= one.items()]


ROUTES = (
    at("/v1/lockgate/connections", GET=Do(answer=_list, needs=operator_read)),
    at("/v1/lockgate/connections/close", PUT=Do(answer=_close, needs=operator_write)),
)
