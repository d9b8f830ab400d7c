"""TLS handshakes with callers that need no task: one epoll of their own, one task for all.

A handshake waits once or twice for its client. A task for each costs more than a resumed handshake
itself. Here a waiting handshake is a dictionary entry and a one-shot event, and the step that finishes
it is a plain call.

Belongs here: who waits, for what, until when. Never here: what a handshake is (`worker.tls.stepping`),
or what follows it: `done` and `failed` of whoever began it.
"""

import select
from collections.abc import Callable
from itertools import takewhile
from typing import Protocol

import trio

from worker.tls.stepping import Handshake, Want

#: Steps are cryptography, up to half a millisecond each: so many before other tasks have their turn.
_AT_ONCE = 8
_EXPIRY_SECONDS = 0.25
_EVENTS = {
    Want.READ: select.EPOLLIN | select.EPOLLONESHOT,
    Want.WRITE: select.EPOLLOUT | select.EPOLLONESHOT,
}


class Caller(Protocol):
    """Whoever waits for a handshake; is told one thing, once."""

    handshake: Handshake

    def done(self) -> None:
        """The handshake is over: `handshake.leg()` may be had."""
        ...

    def failed(self, error: Exception) -> None:
        """It failed, or something is wrong with us."""
        ...

    def too_slow(self) -> None:
        """Its time was up."""
        ...


class Handshakes:
    """All handshakes under way in this worker; each has the same time from its beginning."""

    def __init__(
        self, timeout_seconds: float, clock: Callable[[], float], after_batch: Callable[[], None]
    ) -> None:
        """`after_batch` is called when some callers have been told."""
        self._after_batch = after_batch
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._epoll = select.epoll()
        self._waiting: dict[int, tuple[Caller, float]] = {}  # by descriptor; oldest first

    def begin(self, caller: Caller) -> None:
        """Take the first step at once, as the hello is there already, and wait for the next."""
        want = _step(caller)
        if want is not Want.NOTHING:
            descriptor = caller.handshake.sock.fileno()
            self._epoll.register(descriptor, _EVENTS[want])
            self._waiting[descriptor] = caller, self._clock() + self._timeout_seconds

    def forget(self, caller: Caller) -> None:
        """Tell this caller nothing any more."""
        descriptor = caller.handshake.sock.fileno()
        if self._waiting.pop(descriptor, None):
            self._epoll.unregister(descriptor)

    async def attend(self) -> None:
        """For ever: take the steps that have become possible, and end what takes too long."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._expire)
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for descriptor, _ in self._epoll.poll(0, _AT_ONCE):
                    self._go_on(descriptor)
                self._after_batch()

    def _go_on(self, descriptor: int) -> None:
        waiting = self._waiting.get(descriptor)
        if waiting is None:
            return
        want = _step(waiting[0])
        if want is Want.NOTHING:
            # A one-shot event that came is off until it is asked for again, and gone with its socket.
            del self._waiting[descriptor]
        else:  # where it was, so that who drips keeps its deadline
            self._epoll.modify(descriptor, _EVENTS[want])

    async def _expire(self) -> None:
        """Deadlines are in the order of beginnings."""
        while True:
            await trio.sleep(_EXPIRY_SECONDS)
            for caller in self._late(self._clock()):
                self.forget(caller)
                caller.too_slow()

    def _late(self, now: float) -> tuple[Caller, ...]:
        waiting = self._waiting.values()
        return tuple(caller for caller, _ in takewhile(lambda one: one[1] <= now, waiting))


def _step(caller: Caller) -> Want:
    """One step; NOTHING if the caller was told how it ended."""
    try:
        want = caller.handshake.step()
    except Exception as error:
        caller.failed(error)
        return Want.NOTHING
    if want is Want.NOTHING:
        caller.done()
    return want
