"""What a worker tells of its connections, live or closed lately, and which of them an id means.  ●

Belongs here: ids and pages. Never here: the connections themselves (`worker.live`).
An id is `node/worker/number`; numbers are not used twice by one worker process.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from cluster.messages import Answer, Query
from worker.entry import Entry
from worker.gateways.inbound import World
from worker.live import Live
from worker.recent import Closed
from worker.settings import WorkerSettings

MAX_PAGE = 1000


def connections_page(live: Live, query: Query, settings: WorkerSettings, now: float) -> Answer:
    """One page of live connections, narrowed by `source` and `destination` where given."""
    if query.cursor and not _is_number(query.cursor):
        return Answer(request=query.request, error=f"{query.cursor!r} is not a cursor")
    limit = max(1, min(query.limit, MAX_PAGE))
    entries = live.page(int(query.cursor or 0), limit)
    described = ({**_place(settings, entry), **entry.describe(now)} for entry in entries)
    items = _narrowed(described, query)
    cursor = str(entries[-1].number) if len(entries) == limit else ""
    return Answer(request=query.request, items=items, cursor=cursor)


def closed_page(world: World, query: Query) -> Answer:
    """One page of the connections that were closed lately, oldest first, narrowed as live ones are."""
    if query.cursor and not _is_number(query.cursor):
        return Answer(request=query.request, error=f"{query.cursor!r} is not a cursor")
    limit = max(1, min(query.limit, MAX_PAGE))
    found = world.recent.page(int(query.cursor or 0), limit)
    items = _narrowed((_closed(world, one) for one in found), query)
    cursor = str(found[-1].place) if len(found) == limit else ""
    return Answer(request=query.request, items=items, cursor=cursor)


def one_connection(world: World, query: Query) -> Answer:
    """The one that `id` names, live or closed lately, with the decision about it, if it is ours."""
    number = _own_number(query.arguments.get("id", ""), world.settings)
    if number is None:
        return Answer(request=query.request)
    if entry := world.live.get(number):
        shown = {**_place(world.settings, entry), **entry.describe(world.clock())}
    elif closed := world.recent.get(number):
        entry, shown = closed.entry, _closed(world, closed)
    else:
        return Answer(request=query.request)
    return Answer(request=query.request, items=(shown | {"decision": entry.describe_decision()},))


def _closed(world: World, closed: Closed) -> dict[str, Any]:
    described = closed.describe(world.clock(), world.wall_clock())
    return {**_place(world.settings, closed.entry), **described}


def _narrowed(items: Iterable[dict[str, Any]], query: Query) -> tuple[dict[str, Any], ...]:
    wanted = {
        key: query.arguments[key] for key in ("source", "destination") if key in query.arguments
    }
    return tuple(item for item in items if all(item[k] == v for k, v in wanted.items()))


def _own_number(identifier: str, settings: WorkerSettings) -> int | None:
    own = f"{settings.node}/{settings.index}/"
    number = identifier.removeprefix(own)
    return int(number) if number != identifier and _is_number(number) else None


def _place(settings: WorkerSettings, entry: Entry) -> dict[str, str | int]:
    return {
        "id": f"{settings.node}/{settings.index}/{entry.number}",
        "node": settings.node,
        "worker": settings.index,
    }


def close_ids(live: Live, ids: Iterable[str], settings: WorkerSettings) -> Iterator[Entry]:
    """The live entries of this worker that these ids mean; ids of others are passed over."""
    for identifier in ids:
        number = _own_number(identifier, settings)
        if number is not None and (entry := live.get(number)):
            yield entry


def _is_number(text: str) -> bool:
    """Whether `int` takes it: the digits are ASCII, and few."""
    return text.isascii() and text.isdigit() and len(text) < 20
