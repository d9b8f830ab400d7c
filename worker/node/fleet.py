"""What the node knows of each worker: its process, its presence, its link, its last words.

Belongs here: one mutable record per index, and what follows from it. Never here: starting processes, sockets
or messages; their owners write here what they have seen, and everybody reads.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cluster.bus import Peer
from cluster.messages import Family, WorkerStatus

from .aggregate import combine, departed
from .changes import Changes
from .counted import Counted
from .cover import Standing
from .delivery import Receiver
from .processes import Process

SILENT_SECONDS = 3.0
#: A process that has not said Hello for so long after its start holds nobody up any more.
BOOT_SECONDS = 10.0

_UNSENT = -1


@dataclass(slots=True, kw_only=True, eq=False)
class Link:
    """A worker that has said Hello. `keys_version` is that of the keys it was sent."""

    index: int
    incarnation: str
    peer: Peer
    receiver: Receiver
    greeted_at: float
    last_heard: float
    brought_snapshot: bool = False
    keys_version: int = _UNSENT
    status: WorkerStatus | None = None
    counted: Counted = field(default_factory=Counted)

    @property
    def has_keys(self) -> bool:
        return self.keys_version != _UNSENT

    @property
    def may_have_offers(self) -> bool:
        """Keys come before the first snapshot."""
        return self.has_keys or self.brought_snapshot


@dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """One index. `presented` is the incarnation whose socket exchange is open.

    `pid` is that of the last process, alive or not.
    """

    index: int
    process: Process | None = None
    pid: int = 0
    started_at: float = 0.0
    restarts: int = 0
    presented: str = ""
    link: Link | None = None


@dataclass(slots=True, kw_only=True)
class Fleet:
    """All workers of this node. `clock` is trio's."""

    size: int
    changes: Changes
    clock: Callable[[], float]
    leaving: bool = False
    members: dict[int, Member] = field(default_factory=dict)
    departed: tuple[Family, ...] = ()

    def __post_init__(self) -> None:
        self.members.update({index: Member(index=index) for index in range(self.size)})

    def member(self, index: int) -> Member:
        """The record of an index; one beyond our size is a worker that an earlier node started."""
        return self.members.setdefault(index, Member(index=index))

    def started(self, index: int, process: Process) -> None:
        member = self.member(index)
        member.process, member.pid, member.started_at = process, process.pid, self.clock()
        self.changes.touch()

    def ended(self, index: int) -> None:
        member = self.member(index)
        member.process, member.presented = None, ""
        self._forget_link(member)
        self.changes.touch()

    def present(self, index: int, pid: int, incarnation: str) -> bool:
        """A worker opened its socket exchange. False: another process serves this index."""
        member = self.member(index)
        if member.process is not None and member.process.pid != pid:
            return False
        member.presented = incarnation
        if member.link is not None and member.link.incarnation != incarnation:
            self._forget_link(member)
        self.changes.touch()
        return True

    def absent(self, index: int, incarnation: str) -> None:
        """A worker's socket exchange has ended."""
        member = self.member(index)
        if member.presented == incarnation:
            member.presented = ""
            self.changes.touch()

    def greet(self, link: Link) -> bool:
        """A worker said Hello. False: another incarnation serves this index."""
        member = self.member(link.index)
        if member.presented not in ("", link.incarnation):
            return False
        if member.link is not None and member.link.incarnation != link.incarnation:
            self._forget_link(member)
        elif member.link is not None:
            link.counted = member.link.counted
        member.link = link
        self.changes.touch()
        return True

    def hang_up(self, link: Link) -> None:
        """A worker's link is gone; it may come back and say Hello."""
        member = self.member(link.index)
        if member.link is link:
            self._forget_link(member)
            self.changes.touch()

    def _forget_link(self, member: Member) -> None:
        if member.link is not None:
            self.departed = combine((self.departed, departed(member.link.counted.families)))
            member.link = None

    @property
    def links(self) -> Iterator[Link]:
        return (member.link for member in self.members.values() if member.link is not None)

    def standings(self) -> dict[int, Standing]:
        """How each worker with an open socket exchange is."""
        return {
            member.index: self.standing(member)
            for member in self.members.values()
            if member.presented
        }

    def standing(self, member: Member) -> Standing:
        link = member.link
        if self.leaving or member.index >= self.size:
            return Standing.LEAVING
        if link is None or link.incarnation != member.presented or link.receiver.have is None:
            return Standing.STARTING
        if link.status is not None and link.status.draining:
            return Standing.LEAVING
        return Standing.SILENT if self._is_silent(link) else Standing.SERVING

    def _is_silent(self, link: Link) -> bool:
        return self.clock() - link.last_heard > SILENT_SECONDS

    def voters(self) -> Iterator[Receiver]:
        """Whose word counts for applying a snapshot: connected workers, and those that just start."""
        for member in self.members.values():
            if member.index >= self.size:
                continue
            if member.link is not None:
                if not self._is_silent(member.link):
                    yield member.link.receiver
            elif member.process and self.clock() - member.started_at < BOOT_SECONDS:
                yield Receiver()

    def is_ready(self) -> bool:
        """Whether every worker serves."""
        standings = self.standings()
        return all(standings.get(index) is Standing.SERVING for index in range(self.size))

    def statuses(self) -> tuple[WorkerStatus, ...]:
        """One for each worker, in order, with what only the node knows filled in.

        One that is away for a moment is listed with its last pid and without a generation, so that who reads
        by position is not misled. When the node drains, those that have left are no longer listed.
        """
        return tuple(
            self._status(member)
            for _, member in sorted(self.members.items())
            if member.process is not None
            or (member.pid and member.index < self.size and not self.leaving)
        )

    def _status(self, member: Member) -> WorkerStatus:
        said = member.link.status if member.link else None
        have = member.link.receiver.have if member.link else None
        return WorkerStatus(
            index=member.index,
            pid=member.pid,
            generation=have.generation if have else 0,
            connections=said.connections if said else 0,
            restarts=member.restarts,
            missing_leaves=said.missing_leaves if said else 0,
            draining=bool(said and said.draining),
            revocations=said.revocations if said else 0,
        )
