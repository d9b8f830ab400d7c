"""Answering a coordinator's query by asking the workers, page by page.

Belongs here: which worker a page comes from. Never here: the links (`worker.node.fanout`).

A page comes from one worker after the other; the cursor names the worker and carries its own cursor. What a
worker that hangs would have said is missing, and the answer says so: the others' words are as good without.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from cluster.messages import QUERIES, Answer, Query

from .cover import Standing
from .fleet import Fleet

MAX_PAGE = 1000
#: Less than a coordinator waits for the whole.
_PATIENCE_SECONDS = 1.0

Ask = Callable[[int, Query], Awaitable[bool]]


@dataclass(slots=True, kw_only=True, eq=False)
class _Pending:
    index: int
    arrived: trio.Event = field(default_factory=trio.Event)
    answer: Answer | None = None


class Queries:
    """Questions that are out. `ask` puts one to a worker."""

    def __init__(self, fleet: Fleet, ask: Ask) -> None:
        self._fleet = fleet
        self._ask = ask
        self._pending: dict[int, _Pending] = {}
        self._count = 0

    def answered(self, index: int, answer: Answer) -> None:
        """A worker's answer has come."""
        pending = self._pending.get(answer.request)
        if pending is not None and pending.index == index:
            pending.answer = answer
            pending.arrived.set()

    async def page(self, query: Query) -> Answer:
        """One page of what all workers say."""
        if query.what not in QUERIES:
            return Answer(request=query.request, error=f"{query.what!r} is not a query")
        place = parse_cursor(query.cursor)
        if place is None:
            return Answer(request=query.request, error=f"{query.cursor!r} is not a cursor")
        room = max(1, min(query.limit, MAX_PAGE))
        return await self._page(query, *place, room)

    async def _page(self, query: Query, first: int, cursor: str, room: int) -> Answer:
        items: tuple[dict[str, Any], ...] = ()
        errors: tuple[str, ...] = ()
        following = ""
        for index in sorted(index for index in self._fleet.members if index >= first):
            if len(items) >= room:
                following = f"{index}:"
                break
            own = cursor if index == first else ""
            answer = await self._ask_one(
                index, msgspec.structs.replace(query, cursor=own, limit=room - len(items))
            )
            items += answer.items
            errors += (answer.error,) if answer.error else ()
            if answer.cursor:
                following = f"{index}:{answer.cursor}"
                break
        return Answer(request=query.request, items=items, cursor=following, error="; ".join(errors))

    async def _ask_one(self, index: int, query: Query) -> Answer:
        """A worker that is away has nothing to say; one that hangs is named, and not waited for twice."""
        if self._fleet.standing(self._fleet.member(index)) is Standing.SILENT:
            return Answer(request=query.request, error=f"worker {index} is silent")
        self._count += 1
        number = self._count
        pending = self._pending[number] = _Pending(index=index)
        try:
            with trio.move_on_after(_PATIENCE_SECONDS):
                if not await self._ask(index, msgspec.structs.replace(query, request=number)):
                    return Answer(request=number)
                await pending.arrived.wait()
        finally:
            del self._pending[number]
        return pending.answer or Answer(
            request=number, error=f"worker {index} did not answer in {_PATIENCE_SECONDS:g} s"
        )


def parse_cursor(cursor: str) -> tuple[int, str] | None:
    """The worker's index and its own cursor; None if it is not one of ours."""
    if not cursor:
        return 0, ""
    index, separator, own = cursor.partition(":")
    return (int(index), own) if separator and index.isdecimal() else None
