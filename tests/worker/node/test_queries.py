"""Pages of all workers in one sequence, whoever is away or hangs."""

import pytest
import trio

from cluster.bus import Peer
from cluster.messages import Answer, Query
from cluster.snapshot import SnapshotId
from worker.node.changes import Changes
from worker.node.delivery import Receiver
from worker.node.fleet import SILENT_SECONDS, Fleet, Link
from worker.node.queries import Queries, parse_cursor


class Workers:
    """Worker N has `counts[N]` items; None is away, a string is an error, -1 hangs."""

    def __init__(self, counts):
        self.counts = counts
        self.fleet = Fleet(size=len(counts), changes=Changes(), clock=trio.current_time)
        self.queries = Queries(self.fleet, self.ask)

    def hang(self, index):
        """Let it have served, and been silent since."""
        assert self.fleet.present(index, 10 + index, "a")
        long_ago = trio.current_time() - SILENT_SECONDS - 1
        have = SnapshotId(epoch="e", generation=1, digest="d")
        link = Link(
            index=index,
            incarnation="a",
            peer=Peer(identity="", routing_id=b"a"),
            receiver=Receiver(have=have),
            greeted_at=long_ago,
            last_heard=long_ago,
        )
        assert self.fleet.greet(link)

    async def ask(self, index, query):
        count = self.counts[index]
        if count is None:
            return False
        if isinstance(count, str):
            self.queries.answered(index, Answer(request=query.request, error=count))
        elif count >= 0:
            self.queries.answered(index, self.page(index, query, count))
        return True

    def page(self, index, query, count):
        first = int(query.cursor or 0)
        last = min(first + query.limit, count)
        items = tuple({"id": f"{index}/{number}"} for number in range(first, last))
        return Answer(request=query.request, items=items, cursor=str(last) if last < count else "")

    async def all(self, limit):
        """Every page, as lists of ids."""
        pages, cursor = [], ""
        while True:
            answer = await self.queries.page(
                Query(request=7, what="connections", cursor=cursor, limit=limit)
            )
            assert (answer.request, answer.error) == (7, "")
            pages.append([item["id"] for item in answer.items])
            if not answer.cursor:
                return pages
            cursor = answer.cursor


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6, 100])
@pytest.mark.parametrize("counts", [(3, 2), (0, 3), (3, None, 2), (0, 0), (1,)])
async def test_every_item_once_and_no_page_too_long(counts, limit, autojump_clock):
    pages = await Workers(counts).all(limit)
    assert all(len(page) <= limit for page in pages)
    expected = [f"{at}/{n}" for at, count in enumerate(counts) for n in range(count or 0)]
    assert [item for page in pages for item in page] == expected


@pytest.mark.parametrize(
    ("counts", "query", "error"),
    [
        ((1, -1), Query(request=1, what="connections"), "worker 1 did not answer in 1 s"),
        ((1, "broken"), Query(request=1, what="connections"), "broken"),
        ((1,), Query(request=1, what="secrets"), "'secrets' is not a query"),
        ((1,), Query(request=1, what="connections", cursor="x"), "'x' is not a cursor"),
    ],
)
async def test_what_goes_wrong_is_told(counts, query, error, autojump_clock):
    answer = await Workers(counts).queries.page(query)
    assert answer.error == error


async def test_a_worker_that_hangs_hides_nobody(autojump_clock):
    answer = await Workers((2, -1, "broken", 1)).queries.page(
        Query(request=1, what="connections", limit=10)
    )
    assert [item["id"] for item in answer.items] == ["0/0", "0/1", "3/0"]
    assert answer.error == "worker 1 did not answer in 1 s; broken"


async def test_workers_known_to_hang_are_not_waited_for(autojump_clock):
    workers = Workers((-1, -1, 1))
    for index in (0, 1):
        workers.hang(index)
    began = trio.current_time()
    answer = await workers.queries.page(Query(request=1, what="connections", limit=10))
    assert trio.current_time() == began
    assert [item["id"] for item in answer.items] == ["2/0"]
    assert answer.error == "worker 0 is silent; worker 1 is silent"


async def test_a_late_or_foreign_answer_is_nobodys(autojump_clock):
    workers = Workers((-1,))
    workers.queries.answered(0, Answer(request=99))
    async with trio.open_nursery() as nursery:

        async def impersonate():
            await trio.sleep(1)
            workers.queries.answered(5, Answer(request=1, items=({"id": "x"},)))

        nursery.start_soon(impersonate)
        answer = await workers.queries.page(Query(request=1, what="connections"))
    assert answer.items == ()


@pytest.mark.parametrize(
    ("text", "expected"), [("", (0, "")), ("3:", (3, "")), ("1:a:b", (1, "a:b")), ("a:", None)]
)
def test_cursors(text, expected):
    assert parse_cursor(text) == expected
