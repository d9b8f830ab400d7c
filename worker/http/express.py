"""Turns of conversations that need no task: one epoll of their own, one task for all.

A task that waits for a socket costs more than the exchange it waits for. Here who waits is an entry of a
table (`_rounds`), and what has become possible is a plain call (`turns`).

Belongs here: when there is another round. Never here: what is done then.
"""

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
    from worker.http._rounds import Rounds
    from worker.http.turns import Turns
else:
    Rounds = native.rounds.Rounds if native.is_built else object

#: So many rounds, each of some tens of calls, before other tasks have their turn.
_ROUNDS = 4


class Held(Protocol):
    """A turn whose answer has begun."""

    def go_on(self) -> None:
        """No more of it has come in a while."""
        ...


class Express(Rounds):
    """All connections of a worker whose turns are calls."""

    def __init__(self) -> None:
        super().__init__(trio.current_time)
        self._held: list[Held] = []

    def turns(
        self, client: Wire, backend: Backend, patience: Patience, limits: HttpLimits
    ) -> "Turns":
        """Of one conversation."""
        from worker.http.turns import Turns

        return Turns(self, client, backend, patience, limits)

    def await_answer(self, upstream: Upstream, call: Callable[[], None]) -> None:
        """From now on whatever comes there is for `call`; also what has come already. The upstream stays
        registered in its pool.
        """
        descriptor, called = upstream.channel.descriptor, native.rounds.Called(call)
        if upstream.watcher is self:
            self.expect(descriptor, called)
        else:
            upstream.watcher = self
            self.watch(descriptor, called, is_answer=True)

    def has_answered(self, upstream: Upstream) -> None:
        """Nobody waits for it now."""
        self.expect(upstream.channel.descriptor, None)

    def let_go(self, upstream: Upstream) -> None:
        """A task has it."""
        if upstream.watcher is self:
            upstream.watcher = None
            self.forget(upstream.channel.descriptor)

    def hold(self, turn: Held) -> None:
        """Something of an answer has come, and the rest mostly is on its way: give it a moment."""
        self._held.append(turn)

    async def attend(self) -> None:
        """For ever: call whoever something has come for."""
        while True:
            await trio.lowlevel.wait_readable(self.fileno())
            self._rounds()
            while self._held:  # whose answer begins meanwhile is held for a moment of its own
                await trio.lowlevel.checkpoint()
                held, self._held = self._held, []
                self._rounds()
                for turn in held:
                    turn.go_on()

    def _rounds(self) -> None:
        for _ in range(_ROUNDS):
            if not self.serve():
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
