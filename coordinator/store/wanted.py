"""The wanted state: the store, the picture of it in memory, and those who wait for it to change.

Belongs here: the one way in which the wanted state changes. Never here: who may change what, and to what.

A commit is settled against the picture (which costs no I/O, and a conflict or a write that changes nothing
ends there), then kept by the store, then applied to the picture and to what follows it, then told to those
who wait. One at a time, in the order of the calls. There is no await between the store's answer and the
waking, so a cancelled commit is wholly there or not at all.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence

import trio

from cluster.process.clock import wall_clock

from .author import AUTHOR
from .records import Change, Expect, Store, StoreError
from .settle import Effect, settle
from .state import LiveState, State
from .versions import recorded
from .waiters import Waiters


class Wanted:
    """What people want the fleet to be. Made by `Wanted.open(store)`."""

    def __init__(self, store: Store, state: LiveState, clock: Callable[[], float]) -> None:
        self._store = store
        self._state = state
        self._clock = clock
        self._turn = trio.Lock()  # first come, first served
        self._waiters = Waiters()
        self._followers: list[Callable[[Effect], None]] = []
        self._precede: Callable[[Effect, State], Awaitable[None]] | None = None

    @classmethod
    async def open(cls, store: Store, clock: Callable[[], float] = wall_clock) -> "Wanted":
        """Load everything. `clock` (seconds since 1970) dates the versions. Raises StoreError."""
        return cls(store, LiveState(await store.load()), clock)

    @property
    def state(self) -> LiveState:
        """The present. Take `state.snapshot()` to keep it over an await."""
        return self._state

    def follow(self, follower: Callable[[Effect], None]) -> None:
        """Tell `follower` of every commit from now on, before anybody wakes: for views that keep up with the
        picture. It must not raise.
        """
        self._followers.append(follower)

    def precede(self, announce: Callable[[Effect, State], Awaitable[None]]) -> None:
        """Call `announce` with each effect, and the state before it, before the store keeps it. When it
        raises a StoreError nothing is changed.
        """
        self._precede = announce

    async def commit(
        self,
        changes: Sequence[Change] | Callable[[State], Sequence[Change]],
        expect: Sequence[Expect] = (),
        *,
        note: str = "",
        beyond: int = 0,
    ) -> int:
        """As `Store.commit`; the picture shows it when this returns.

        Changes that follow from everything that is there are a function of it, which is called when it is
        this commit's turn.
        What it changes of the entries is kept with it as a version; `note` says why, for people.
        """
        async with self._turn:
            if callable(changes):
                changes = changes(self._state)
            settled = self._settled(changes, expect, beyond)
            if settled.changes_nothing:
                return self._state.revision
            at, author = self._clock(), AUTHOR.get()
            if version := recorded(settled, self._state, at=at, author=author, note=note):
                changes = (*changes, *version)
                settled = self._settled(changes, expect, beyond)
            if self._precede is not None:
                await self._precede(settled, self._state)
            revision = await self._store.commit(changes, expect, beyond=beyond)
            if revision != settled.revision:
                raise StoreError(
                    f"the store is at revision {revision} after a commit that should have been"
                    f" {settled.revision}: somebody else writes to it"
                )
            self._state.apply(settled)
            for follow in self._followers:
                follow(settled)
            self._waiters.wake(settled.touched())
            return revision

    def _settled(self, changes: Sequence[Change], expect: Sequence[Expect], beyond: int) -> Effect:
        revision = max(self._state.revision, beyond) + 1
        return settle(changes, expect, lookup=self._state.get, revision=revision)

    async def wait_past(
        self, index: int, *, tables: Collection[str], timeout_seconds: float, prefix: str = ""
    ) -> bool:
        """Wait until one of the tables is past `index`: at once if it is, else with its next change.

        `prefix` narrows what wakes to keys that begin so. A table that is past `index` already returns at
        once whatever the prefix: which keys were deleted since is not kept. False: the time is out.
        """
        if any(self._state.table_index(table) > index for table in tables):
            await trio.lowlevel.checkpoint()
            return True
        with self._waiters.waiting(tables, prefix) as changed:
            with trio.move_on_after(timeout_seconds):
                await changed.wait()
            return changed.is_set()

    async def wait_until(
        self, reached: Callable[[], bool], *, tables: Collection[str], prefix: str = ""
    ) -> None:
        """Wait until `reached` says so, which is asked now and after each change that `prefix` does not
        rule out."""
        while not reached():
            with self._waiters.waiting(tables, prefix) as changed:
                await changed.wait()
