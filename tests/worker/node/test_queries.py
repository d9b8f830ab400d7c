"""Pages of all workers in one sequence, whoever is away or hangs."""

import pytest
import trio

from cluster.messages import Answer, Query
from worker.node.changes import Changes
from worker.node.fleet import Fleet
from worker.node.queries import Queries, parse_cursor


class Workers:
    """Worker N has `counts[N]` items; None is away, a string is an error, -1 hangs."""

    def __init__(self, counts):
        self.counts = counts
        fleet = Fleet(size=len(counts), changes=Changes(), clock=trio.current_time)
        self.queries = Queries(fleet, self.ask)

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
        ((1, -1), Query(request=1, what="connections"), "worker 1 did not answer in 2 s"),
        ((1, "broken"), Query(request=1, what="connections"), "broken"),
        ((1,), Query(request=1, what="secrets"), "'secrets' is not a query"),
        ((1,), Query(request=1, what="connections", cursor="x"), "'x' is not a cursor"),
    ],
)
async def test_what_goes_wrong_is_told(counts, query, error, autojump_clock):
    answer = await Workers(counts).queries.page(query)
    assert answer.error == error


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
