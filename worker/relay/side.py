"""A leg and the waiting on its socket, for the two directions of one flow.

Two tasks share a leg: one receives from it, the other sends to it. A TLS leg may have to read in
order to send, and to write in order to receive. So both tasks may need the *same* readiness at once,
which trio refuses (`BusyResourceError`), and either may take from the socket what the other waits
for. Both are solved here and nowhere else:

- The second task that needs a readiness waits until the first one's wait is over; then both try.
- While a call is *crossed* (a receive that waits for writing, a send that waits for reading), a call
  that may have used the socket nudges the other task to try again: what it waits for may lie in the
  TLS library by now, and the socket may never become ready for it. A try that was itself caused by a
  nudge, and got nowhere, nudges nobody, so two tasks cannot keep each other awake.

`trio.lowlevel.notify_closing` is the nudge: it wakes whoever waits for the socket and closes
nothing. A needless wake costs one `WouldBlock...`, a missed one would hang the connection.

Belongs here: waiting. Never here: what the bytes are for, or how a flow ends.
"""

import socket
from collections.abc import Awaitable, Callable

import trio

from worker.net.leg import Leg, WouldBlockRead, WouldBlockWrite

_RECEIVE, _SEND = 1, 2  # bits: one for each call that may be under way on a leg


class Readiness:
    """One readiness of one socket, for two tasks at once."""

    __slots__ = ("_follower", "_sock", "_taken", "_wait_for")

    def __init__(self, sock: socket.socket, wait_for: Callable[[int], Awaitable[None]]) -> None:
        self._sock = sock
        self._wait_for = wait_for
        self._taken = False
        self._follower: trio.Event | None = None

    async def wait(self) -> bool:
        """Return when it is time to try again: True if the socket itself said so to this task."""
        if self._taken:
            self._follower = self._follower or trio.Event()
            await self._follower.wait()
            return False
        self._taken = True
        try:
            await self._wait_for(self._sock.fileno())
        except trio.ClosedResourceError:
            return False  # a nudge
        finally:
            self._taken = False
            if self._follower is not None:
                self._follower.set()
                self._follower = None
        return True


class Side:
    """One leg of a flow, with receiving, sending and ending that wait.

    `receive` is for one task and `send` and `end` are for one task; the two may be different ones.
    All raise `ConnectionError` when the peer is lost, and then `is_lost` is set.
    """

    __slots__ = ("_crossed", "_leg", "_nudged", "_readable", "_writable", "is_lost")

    def __init__(self, leg: Leg) -> None:
        self.is_lost = False
        self._leg = leg
        self._readable = Readiness(leg.sock, trio.lowlevel.wait_readable)
        self._writable = Readiness(leg.sock, trio.lowlevel.wait_writable)
        self._crossed = 0
        self._nudged = 0

    async def receive(self, buffer: memoryview) -> int:
        """As `Leg.recv_into`. No other task runs between the receiving and the return."""
        while True:
            try:
                count = self._leg.recv_into(buffer)
            except WouldBlockRead:
                await self._blocked(_RECEIVE, self._readable, crossed=False)
            except WouldBlockWrite:
                await self._blocked(_RECEIVE, self._writable, crossed=True)
            except ConnectionError:
                self.is_lost = True
                raise
            else:
                if self._crossed or self._nudged:
                    self._went_on(_RECEIVE)
                return count

    async def readable(self) -> None:
        """Wait as `receive` does, for somebody who then reads from the leg itself."""
        await self._blocked(_RECEIVE, self._readable, crossed=False)

    def has_received(self) -> None:
        """Somebody read from the leg itself."""
        if self._crossed or self._nudged:
            self._went_on(_RECEIVE)

    def has_sent(self) -> None:
        """Somebody sent through the leg itself."""
        if self._crossed or self._nudged:
            self._went_on(_SEND)

    async def send(self, data: memoryview, moved: Callable[[int], None]) -> None:
        """Send all of `data`, calling `moved(count)` for each part that the leg has taken.

        `data` may be overwritten once this waits: what is left of it by then is copied.
        """
        while data:
            try:
                count = self._leg.send(data)
            except WouldBlockWrite:
                data = _own(data)
                await self._blocked(_SEND, self._writable, crossed=False)
            except WouldBlockRead:
                data = _own(data)
                await self._blocked(_SEND, self._readable, crossed=True)
            except ConnectionError:
                self.is_lost = True
                raise
            else:
                if self._crossed or self._nudged:
                    self._went_on(_SEND)
                moved(count)
                data = data[count:]

    async def end(self) -> None:
        """As `Leg.shutdown_write`."""
        while True:
            try:
                self._leg.shutdown_write()
            except WouldBlockWrite:
                await self._blocked(_SEND, self._writable, crossed=False)
            except ConnectionError:
                self.is_lost = True
                raise
            else:
                return

    async def _blocked(self, call: int, readiness: Readiness, *, crossed: bool) -> None:
        self._crossed = self._crossed | call if crossed else self._crossed & ~call
        if self._crossed and not self._nudged & call:
            trio.lowlevel.notify_closing(self._leg.sock.fileno())
        ready = await readiness.wait()
        self._nudged = self._nudged & ~call if ready else self._nudged | call

    def _went_on(self, call: int) -> None:
        if self._crossed:
            trio.lowlevel.notify_closing(self._leg.sock.fileno())
        self._crossed &= ~call
        self._nudged &= ~call


def _own(data: memoryview) -> memoryview:
    return data if isinstance(data.obj, bytes) else memoryview(bytes(data))
