"""Applying snapshots on this node: sockets, workers, keys, in the one order that never leaves a gap.

Belongs here: that order, and which snapshot is the current one. Never here: where snapshots come from.

    bind what is new ▸ offer to all workers ▸ all have it ▸ close what is gone ▸ current ▸ disk
                          └ one refused: the others get the old one again

The newest wins: a snapshot that comes while another is being applied takes its place. A port that cannot be
had keeps nobody from the rest, which may be the withdrawal of a permission: it is told, and tried again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
import trio

from cluster.errors import Problem
from cluster.routes import Listener
from cluster.snapshot import SnapshotId
from worker.descriptors import Slot

from .delivery import Held, rolled_back, verdict
from .fleet import Fleet
from .identities import wanted_leaves
from .keys.ring import KeyRing
from .sockets import SocketTable, slots_of

#: How long to wait before trying a snapshot from disk again: who has its port may leave.
_RETRY_SECONDS = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a snapshot; without problems it is the current one."""

    id: SnapshotId
    problems: tuple[Problem, ...]


class Applier:
    """`current` is what all workers serve, `target` what they are to serve."""

    def __init__(
        self,
        node: str,
        fleet: Fleet,
        table: SocketTable,
        ring: KeyRing,
        *,
        sole: Callable[[], bool],
        keep: Callable[[Held], Awaitable[None]],
    ) -> None:
        """`sole` says whether a port may be assumed to be ours alone; `keep` writes the last good one."""
        self.current: Held | None = None
        self.target: Held | None = None
        self.unbound: tuple[Problem, ...] = ()
        self.refusals = 0
        self._node = node
        self._fleet = fleet
        self._table = table
        self._ring = ring
        self._sole = sole
        self._keep = keep
        self._submitted: Held | None = None
        self._arrived = trio.Event()
        self._at_work = trio.CancelScope()

    def submit(self, held: Held) -> None:
        """Apply this one now, whatever is on its way."""
        self._submitted = held
        self._arrived.set()
        self._at_work.cancel()

    async def run(self, report: Callable[[Outcome], Awaitable[None]]) -> None:
        """Apply what is submitted, for ever, and report each outcome."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._bind_again)
            while True:
                await self._arrived.wait()
                self._arrived, held = trio.Event(), self._submitted
                assert held is not None, "submit sets both"
                with trio.CancelScope() as self._at_work:
                    problems = await self._apply(held)
                    await report(Outcome(id=held.id, problems=problems))
                    if problems and self.current is None:
                        await trio.sleep(_RETRY_SECONDS)
                        self.submit(held)

    async def _bind_again(self) -> None:
        """Whoever has our port may leave it."""
        while True:
            await trio.sleep(_RETRY_SECONDS)
            if self.unbound and self.current is not None and self.target is self.current:
                self._bind(self.current)

    def _bind(self, held: Held) -> dict[Slot, Listener]:
        """Make the sockets that a snapshot asks for; which these are."""
        wanted = slots_of(held.snapshot.listeners, self._node, self._fleet.size)
        problems = self._table.bind(wanted, sole=self._sole())
        if problems and problems != self.unbound:
            _log.error("cannot listen", problems=[str(problem) for problem in problems])
        self.unbound = problems
        self._fleet.changes.touch()
        return wanted

    async def _apply(self, held: Held) -> tuple[Problem, ...]:
        wanted = self._bind(held)
        self._want_leaves(held, also=self.current)
        self._set_target(held)
        problems = await self._settled(held)
        if problems:
            self._give_up(held, problems)
            return problems
        self.current = held
        self._table.keep_only(wanted)
        self._want_leaves(held)
        self._fleet.changes.touch()
        _log.info("snapshot applied", id=str(held.id), listeners=len(wanted) // self._fleet.size)
        await self._keep(held)
        await self._ring.drop_others()
        return ()

    async def _settled(self, held: Held) -> tuple[Problem, ...]:
        """Wait until all workers have it, or one of them refuses it; returns the problems."""
        while True:
            version = self._fleet.changes.version
            found = verdict(self._fleet.voters(), held.id)
            if found is not None:
                return found
            await self._fleet.changes.after(version)

    def _give_up(self, held: Held, problems: tuple[Problem, ...]) -> None:
        """Back to what was served before."""
        self.refusals += 1
        reasons = [str(problem) for problem in problems]
        _log.error("snapshot refused", id=str(held.id), problems=reasons)
        current = self.current
        for link in self._fleet.links:
            link.receiver = rolled_back(link.receiver, held.id)
        if current is not None:
            listeners = current.snapshot.listeners
            self._table.keep_only(slots_of(listeners, self._node, self._fleet.size))
            self._want_leaves(current)
        self._set_target(current)

    def _set_target(self, held: Held | None) -> None:
        self.target = held
        self._fleet.changes.touch()

    def _want_leaves(self, held: Held, *, also: Held | None = None) -> None:
        """Those of `held`, and of what is still served until then."""
        served = wanted_leaves(also.snapshot, self._node) if also is not None else {}
        wanted = {**served, **wanted_leaves(held.snapshot, self._node)}
        self._ring.want(frozenset(wanted), held.snapshot.trust.bundle, dns_names=wanted)
