"""How long may be waited for what, at next to no cost per request.

A deadline of trio costs microseconds each time it is moved, and an exchange moves it five times. Here moving
it later is an assignment: a connection is looked at when the earliest time it ever named has come, and then
either it is late, or it is looked at again later.

Belongs here: deadlines and who is late. Never here: what being late means (`conversation`).
"""

from collections.abc import Callable
from enum import Enum, unique
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

import trio


@unique
class Phase(Enum):
    """What is waited for; says what it means when the time is up."""

    IDLE = "the next request"
    HEAD = "the rest of a request's head"
    UPLOAD = "the body of a request"
    ANSWER = "the head of an answer"
    DOWNLOAD = "the body of an answer"
    SWITCHED = "nothing: it is no HTTP any more"


class Scope(Protocol):
    """What is ended when it has taken too long: a task's, or what needs none."""

    def cancel(self) -> None: ...


class Teller(Protocol):
    """Whoever names phases and deadlines without telling each time, none sooner than `looked_at`."""

    looked_at: float

    def tell(self) -> None:
        """Set `phase` and `deadline` of the patience."""
        ...


class Patience:
    """One connection's deadline. `scope` is cancelled when it has passed."""

    __slots__ = ("_timers", "deadline", "looked_at", "phase", "scope", "teller")

    def __init__(self, timers: "Timers") -> None:
        self.phase = Phase.IDLE
        self.deadline = float("inf")
        self.scope: Scope = trio.CancelScope()
        #: When it is looked at next.
        self.looked_at = float("inf")
        #: Who says what is waited for, while that changes elsewhere.
        self.teller: Teller | None = None
        self._timers = timers

    def wait(self, phase: Phase, seconds: float) -> None:
        """From now on `phase` is waited for, and for so long."""
        self.phase = phase
        self.deadline = deadline = self._timers.clock() + seconds
        if deadline < self.looked_at:
            self._look_at(deadline)

    def stop(self) -> None:
        """Nothing is waited for any more."""
        self.deadline = self.looked_at = float("inf")

    def rest(self) -> None:
        """Nothing is waited for until something else is. Unlike after `stop`, the time that was named for
        looking stays, so that a thousand requests in a row do not name a thousand.
        """
        self.deadline = float("inf")

    def look(self, at: float, now: float) -> None:
        """For the timers: the time that was named for looking has come."""
        if at != self.looked_at:
            return  # an earlier one was named since, and has come
        self.looked_at = float("inf")
        if self.teller is not None:
            self.teller.tell()
        if self.deadline <= now:
            self.scope.cancel()
        elif self.deadline < float("inf"):
            self._look_at(self.deadline)
        if self.teller is not None:
            self.teller.looked_at = self.looked_at

    def _look_at(self, deadline: float) -> None:
        self.looked_at = deadline
        self._timers.add(deadline, self)


class Timers:
    """All deadlines of a worker."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._due: list[tuple[float, int, Patience]] = []
        self._numbers = count()  # so that equal times need no other order
        self._sooner = trio.Event()

    def add(self, at: float, patience: Patience) -> None:
        """Have it looked at then."""
        if not self._due or at < self._due[0][0]:
            self._sooner.set()
        heappush(self._due, (at, next(self._numbers), patience))

    async def attend(self) -> None:
        """For ever: look at those whose time has come."""
        while True:
            with trio.move_on_at(self._due[0][0] if self._due else float("inf")):
                await self._sooner.wait()
            self._sooner = trio.Event()
            now = self.clock()
            while self._due and self._due[0][0] <= now:
                at, _, patience = heappop(self._due)
                patience.look(at, now)
