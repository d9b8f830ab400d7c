"""One side of an exchange: a leg with waiting, and the bytes that were read from it and not used yet.

Belongs here: reading, sending and hanging up, for plain and TLS legs alike. Never here: what the bytes mean.
"""

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from worker.http import native
from worker.net.leg import READ_BYTES, Leg, WouldBlockRead, WouldBlockWrite, cut_short
from worker.net.refuse import refuse
from worker.relay.side import Side

if TYPE_CHECKING:
    from worker.http._channel import Channel

#: As much as is read at once. One for all connections of the process: what was read is copied out of it
#: before any other task runs.
_SCRATCH = memoryview(bytearray(READ_BYTES))
#: The most that one read of a TLS leg gives: then there is more to come at once.
_RECORD_BYTES = 16 * 1024


def _not_counted(_: int) -> None:
    """Nobody counts these bytes."""


class Wire:
    """A leg for HTTP. One task may read from it and one may send; both may be the same.

    Reading and sending raise `ConnectionError` when the peer is lost. `moved` is told how many bytes were
    sent, as they are.
    """

    __slots__ = ("_channel", "_side", "has_sent", "is_cut", "leg", "moved", "unread")

    def __init__(self, leg: Leg, moved: Callable[[int], None] = _not_counted) -> None:
        self.leg = leg
        self.moved = moved
        #: Whether any byte of the last `send` was taken.
        self.has_sent = False
        #: Whether a `send` was given up before its end: nothing can be said behind that.
        self.is_cut = False
        self.unread = b""
        self._side = Side(leg)
        self._channel: Channel | None = None

    @property
    def channel(self) -> "Channel":
        """The same connection without the calls of Python, where their native form was built."""
        if self._channel is None:
            self._channel = native.channel.Channel(self.leg)
        return self._channel

    async def more(self) -> bool:
        """Read on; False when the peer has ended in order. Another task may send meanwhile."""
        return self._take(await self._side.receive(_SCRATCH))

    async def more_alone(self) -> bool:
        """The same where no other task uses this side, and nothing is expected to be there yet: it waits
        first. Raises `trio.ClosedResourceError` if it was nudged.
        """
        leg = self.leg
        if not leg.pending():
            await trio.lowlevel.wait_readable(leg.sock)
        while True:
            try:
                return self._take(leg.recv_into(_SCRATCH))
            except WouldBlockRead:
                await trio.lowlevel.wait_readable(leg.sock)
            except WouldBlockWrite:
                await trio.lowlevel.wait_writable(leg.sock)
            except ConnectionError:
                self._side.is_lost = True
                raise

    async def wait(self) -> None:
        """Until there may be more to read. Another task may send meanwhile."""
        await self._side.readable()

    def nudge(self) -> None:
        """Wake whoever waits in `more_alone`."""
        trio.lowlevel.notify_closing(self.leg.sock)

    def _take(self, count: int) -> bool:
        if count == _RECORD_BYTES:
            count += self._read_ahead(count)
        self.unread = (
            self.unread + bytes(_SCRATCH[:count]) if self.unread else bytes(_SCRATCH[:count])
        )
        return count > 0

    def _read_ahead(self, at: int) -> int:
        """What more there is already; an end or an error is met again by the next read."""
        start = at
        with contextlib.suppress(WouldBlockRead, WouldBlockWrite, ConnectionError):
            while at <= len(_SCRATCH) - _RECORD_BYTES:
                count = self.leg.recv_into(_SCRATCH[at:])
                if not count:
                    break
                at += count
        return at - start

    @property
    def is_lost(self) -> bool:
        """Whether a `ConnectionError` was about this side."""
        return self._side.is_lost

    def lost(self, error: OSError) -> OSError:
        """The error of somebody who used the socket itself, as reading or sending would have raised it."""
        found = cut_short(error)
        self._side.is_lost = isinstance(found, ConnectionError)
        return found

    async def send(self, data: bytes) -> None:
        self.has_sent = False
        left = memoryview(data)
        try:
            count = self.leg.send(left)
        except (WouldBlockRead, WouldBlockWrite):
            count = 0
        except ConnectionError:
            self._side.is_lost = True
            raise
        if count:
            self.sent(count)
        if count < len(left):
            self.is_cut = True
            await self._side.send(left[count:], self.sent)
            self.is_cut = False

    def has_received(self) -> None:
        """Somebody read from the leg itself."""
        self._side.has_received()

    def has_passed_on(self, count: int) -> None:
        """Somebody sent so many bytes through the leg itself."""
        self._side.has_sent()
        self.sent(count)

    def sent(self, count: int) -> None:
        """So many bytes were taken."""
        self.has_sent = True
        self.moved(count)

    def is_quiet(self) -> bool:
        """Whether nothing has come, not even an end; then an idle connection can be used again."""
        if self.unread:
            return False
        try:
            self.leg.recv_into(_SCRATCH)
        except WouldBlockRead:
            return True
        except (WouldBlockWrite, ConnectionError):
            return False
        return False

    async def hang_up(self) -> None:
        """End our direction in order, and give the peer a moment to read what was sent. No errors.

        The socket is left to be closed.
        """
        with trio.move_on_after(1.0), contextlib.suppress(ConnectionError):
            await self._side.end()
        await refuse(self.leg.sock, b"")

    def close(self) -> None:
        self.leg.close()

    def abort(self) -> None:
        """Close with a reset, so that nobody takes what was sent for complete."""
        self.leg.abort()
