"""What a worker tells of its live connections, and which of them an id means.  ●

Belongs here: ids and pages. Never here: the connections themselves (`worker.live`).
An id is `node/worker/number`; numbers are not used twice by one worker process.
"""

from collections.abc import Iterable, Iterator

from cluster.messages import Answer, Query
from worker.live import Entry, Live
from worker.settings import WorkerSettings

MAX_PAGE = 1000


def connections_page(live: Live, query: Query, settings: WorkerSettings, now: float) -> Answer:
    """One page of live connections, narrowed by `source` and `destination` where given."""
    if query.cursor and not _is_number(query.cursor):
        return Answer(request=query.request, error=f"{query.cursor!r} is not a cursor")
    limit = max(1, min(query.limit, MAX_PAGE))
    entries = live.page(int(query.cursor or 0), limit)
    described = ({**_place(settings, entry), **entry.describe(now)} for entry in entries)
    wanted = {
        key: query.arguments[key] for key in ("source", "destination") if key in query.arguments
    }
    items = tuple(item for item in described if all(item[k] == v for k, v in wanted.items()))
    cursor = str(entries[-1].number) if len(entries) == limit else ""
    return Answer(request=query.request, items=items, cursor=cursor)


def _place(settings: WorkerSettings, entry: Entry) -> dict[str, str | int]:
    return {
        "id": f"{settings.node}/{settings.index}/{entry.number}",
        "node": settings.node,
        "worker": settings.index,
    }


def close_ids(live: Live, ids: Iterable[str], settings: WorkerSettings) -> Iterator[Entry]:
    """The live entries of this worker that these ids mean; ids of others are passed over."""
    own = f"{settings.node}/{settings.index}/"
    for identifier in ids:
        number = identifier.removeprefix(own)
        if number != identifier and _is_number(number) and (entry := live.get(int(number))):
            yield entry


def _is_number(text: str) -> bool:
    """Whether `int` takes it: the digits are ASCII, and few."""
    return text.isascii() and text.isdigit() and len(text) < 20
