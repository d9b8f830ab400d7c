"""Turns of conversations that need no task: one epoll of their own, one task for all.

A task that waits for a socket costs more than the exchange it waits for. Here who waits is a dictionary
entry, and what has become possible is a plain call (`turns`). Sockets are watched edge-triggered, from the
first turn on: no system call per wait. A descriptor leads to whoever waits for it now; other events are
nobody's.

Belongs here: who waits for what. Never here: what is done then.
"""

import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import trio

from worker.http import native
from worker.http.backend import Backend
from worker.http.limits import HttpLimits
from worker.http.patience import Patience
from worker.http.pool import Upstream
from worker.http.wire import Wire
from worker.tls.openssl import FunctionMissing, function_addresses

if TYPE_CHECKING:
    from worker.http.turns import Turns

#: Calls are some tens of microseconds each: so many before other tasks have their turn.
_AT_ONCE = 32
_ROUNDS = 4
_EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET


class Held(Protocol):
    """A turn whose answer has begun."""

    def go_on(self) -> None:
        """No more of it has come in a while."""
        ...


class Express:
    """All connections of a worker whose turns are calls."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._waiting: dict[int, Callable[[], None]] = {}
        self._held: list[Held] = []

    def turns(
        self, client: Wire, backend: Backend, patience: Patience, limits: HttpLimits
    ) -> "Turns":
        """Of one conversation."""
        from worker.http.turns import Turns

        return Turns(self, client, backend, patience, limits)

    def watch(self, descriptor: int, call: Callable[[], None]) -> None:
        """From now on whatever comes there is for `call`; also what has come already."""
        self._epoll.register(descriptor, _EVENTS)
        self._waiting[descriptor] = call

    def forget(self, descriptor: int) -> None:
        """Somebody else waits for this one, while it is open."""
        if self._waiting.pop(descriptor, None):
            self._epoll.unregister(descriptor)

    def await_answer(self, upstream: Upstream, call: Callable[[], None]) -> None:
        """The same for an upstream, which stays registered in its pool."""
        descriptor = upstream.channel.descriptor
        if upstream.watcher is self:
            self._waiting[descriptor] = call
        else:
            upstream.watcher = self
            self.watch(descriptor, call)

    def has_answered(self, upstream: Upstream) -> None:
        """Nobody waits for it now."""
        self._waiting.pop(upstream.channel.descriptor, None)

    def let_go(self, upstream: Upstream) -> None:
        """A task has it."""
        if upstream.watcher is self:
            upstream.watcher = None
            self._waiting.pop(upstream.channel.descriptor, None)
            self._epoll.unregister(upstream.channel.descriptor)

    def hold(self, turn: Held) -> None:
        """Something of an answer has come, and the rest mostly is on its way: give it a moment."""
        self._held.append(turn)

    async def attend(self) -> None:
        """For ever: call whoever something has come for."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            self._rounds()
            if self._held:
                await trio.lowlevel.checkpoint()
                held, self._held = self._held, []
                self._rounds()
                for turn in held:
                    turn.go_on()

    def _rounds(self) -> None:
        for _ in range(_ROUNDS):
            events = self._epoll.poll(0, _AT_ONCE)
            for descriptor, _ in events:
                call = self._waiting.get(descriptor)
                if call is not None:
                    call()
            if len(events) < _AT_ONCE:
                return


def express() -> Express | None:
    """What a worker has of it; None where the native modules are not built, or find no OpenSSL."""
    if not native.is_built:
        return None
    try:
        native.channel.learn(function_addresses(native.channel.NEEDED))
    except FunctionMissing:
        return None
    return Express()
