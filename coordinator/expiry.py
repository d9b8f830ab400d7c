"""Intentions that are boxed in time: when the next one ends, and clearing away those that ended long ago.

Belongs here: the times. Never here: what an expired intention means (`cluster.intentions`: nothing), or
composing.

An intention that has expired is left out of the next snapshot, which is made at once. In its entry it stays
for a day, so that whoever looks for the reason finds it, and is then removed by a commit of the
coordinator's own.
"""

import math
from collections.abc import Callable, Iterator

import structlog
import trio

from cluster.moments import parse_moment
from coordinator.compose.policy import KIND
from coordinator.store.records import Change, Delete, Put, Record, StoreError
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES
from coordinator.store.wanted import Wanted

KEPT_SECONDS = 86_400.0
#: The wall clock may be set; so it is looked at this often while something is due.
_LOOK_SECONDS = 0.5
_RETRY_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Expiry:
    """`expired` is called when an intention ends; `clock` tells seconds since 1970."""

    def __init__(
        self,
        wanted: Wanted,
        writes: trio.Lock,
        *,
        clock: Callable[[], float],
        expired: Callable[[], None],
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        self._wanted = wanted
        self._writes = writes
        self._clock = clock
        self._expired = expired
        self._kept_seconds = kept_seconds

    async def run(self) -> None:
        """For ever."""
        seen = self._clock()
        while True:
            state = self._wanted.state
            index, now = state.table_index(ENTRIES), self._clock()
            moments = tuple(expiries(state))
            if any(seen < moment <= now for moment in moments):
                self._expired()
            seen = max(seen, now)
            if any(moment + self._kept_seconds <= now for moment in moments):
                await self._prune(now - self._kept_seconds)
                continue
            ahead = (m for moment in moments for m in (moment, moment + self._kept_seconds))
            await self._wait(index, min((m for m in ahead if m > now), default=math.inf))

    async def _wait(self, index: int, due: float) -> None:
        """Until this moment, or until entries change."""
        while (left := due - self._clock()) > 0:
            seconds = left if left == math.inf else min(left, _LOOK_SECONDS)
            if await self._wanted.wait_past(
                index, tables=(ENTRIES,), timeout_seconds=seconds, prefix=f"{KIND}/"
            ):
                return

    async def _prune(self, before: float) -> None:
        async with self._writes:
            changes = pruned(self._wanted.state, before)
            try:
                await self._wanted.commit(changes, note="expired intentions removed")
            except StoreError as error:
                log.error("expired intentions stay where they are", reason=str(error))
                await trio.sleep(_RETRY_SECONDS)


def expiries(state: State) -> Iterator[float]:
    """When each intention that is boxed in time ends or ended."""
    for record in state.under(ENTRIES, f"{KIND}/"):
        for source in record.value.get("Sources") or ():
            if moment := source.get("ExpiresAt"):
                yield parse_moment(moment)


def pruned(state: State, before: float) -> list[Change]:
    """What takes those that ended until `before` out of their entries; an entry without sources goes."""
    return [change for record in state.under(ENTRIES, f"{KIND}/") for change in _of(record, before)]


def _of(record: Record, before: float) -> Iterator[Change]:
    sources = record.value.get("Sources") or []
    left = [source for source in sources if not _ended(source.get("ExpiresAt"), before)]
    if len(left) == len(sources):
        return
    if left:
        yield Put(table=ENTRIES, key=record.key, value=record.value | {"Sources": left})
    else:
        yield Delete(table=ENTRIES, key=record.key)


def _ended(moment: str | None, before: float) -> bool:
    return bool(moment) and parse_moment(moment or "") <= before
