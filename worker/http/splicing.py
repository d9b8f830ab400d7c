"""Large bodies between two plain connections, through a kernel pipe: bytes that nobody copies (splice(2)).

A body of a megabyte that is there takes two calls, where reading and sending take thirty, and copy it twice.
What was taken from the source waits in the pipe until the sink has it, so a pipe is away only while a sink is
slow, and one is enough for all bodies whose readers keep up. At most MOST_LENT are away at once, which bounds
descriptors and kernel memory; then, and where the system has no splice(2), bytes are copied.

Belongs here: pipes, and the bytes of a sized body from one socket to another. Never here: when a body is
passed on (`exchange`), or connections with TLS, whose bytes have to be seen.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from worker.http.bodies import Body, SizedBody
from worker.http.wire import Wire

#: What may wait in one pipe, and what one call takes: with a quarter of it a GB took 0.5 s of CPU, not 0.4.
PIPE_BYTES: Final = 1024 * 1024
#: A body with less left to come is copied.
WORTH_BYTES: Final = 64 * 1024
MOST_LENT: Final = 64
_HAS_SPLICE: Final = hasattr(os, "splice") and hasattr(fcntl, "F_SETPIPE_SZ")
_FLAGS: Final = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK if _HAS_SPLICE else 0


@dataclass(slots=True)
class Pipe:
    """Its two ends, and how many bytes are in it."""

    out: int
    into: int
    inside: int = 0

    def close(self) -> None:
        os.close(self.out)
        os.close(self.into)


class Pipes:
    """Pipes that are lent for as long as something is in them; one is kept while nobody needs it."""

    def __init__(self, most: int = MOST_LENT) -> None:
        self._most = most
        self._spare: Pipe | None = None
        self.lent = 0

    def lend(self) -> Pipe | None:
        """An empty pipe; None if there is none to be had."""
        if self.lent == self._most or not _HAS_SPLICE:
            return None
        pipe, self._spare = self._spare or _pipe(), None
        if pipe is not None:
            self.lent += 1
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """It is closed if something is in it, or if there is a spare one already."""
        self.lent -= 1
        if pipe.inside or self._spare is not None:
            pipe.close()
        else:
            self._spare = pipe

    def close(self) -> None:
        """Close the spare one."""
        if self._spare is not None:
            self._spare.close()
            self._spare = None


def _pipe() -> Pipe | None:
    """A new one; as large as the system allows, which may be less (pipe(7))."""
    try:
        out, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return Pipe(out, into)


#: Of the whole process.
PIPES = Pipes()


def worth_splicing(source: Wire, body: Body, sink: Wire) -> SizedBody | None:
    """The body, if enough of it is to come and nobody has to see it."""
    if not isinstance(body, SizedBody) or body.left < WORTH_BYTES or source.unread:
        return None
    return body if source.is_plain() and sink.is_plain() else None


async def splice(
    source: Wire, body: SizedBody, sink: Wire, moved: Callable[[], None], pipes: Pipes = PIPES
) -> bool:
    """Wait until there is something of the body, and pass it on; nothing beyond the body is read.

    All of it has been sent when this returns; `moved` is called for each part. False if there was no pipe.
    Raises `Malformed` at the source's end, and `ConnectionError`, having marked who was lost.
    """
    while (pipe := pipes.lend()) is not None:
        try:
            taken = _take(source, body, pipe)
            while pipe.inside:
                if not _give(pipe, sink):
                    await trio.lowlevel.wait_writable(sink.leg.sock)
                moved()
        finally:
            pipes.give_back(pipe)
        if taken:
            return True
        await trio.lowlevel.wait_readable(source.leg.sock)
    return False


def _take(source: Wire, body: SizedBody, pipe: Pipe) -> bool:
    """From the source into the empty pipe; False if there is nothing yet."""
    try:
        pipe.inside = os.splice(source.leg.sock.fileno(), pipe.into, body.left, flags=_FLAGS)
    except BlockingIOError:
        return False
    except OSError as error:
        raise source.lost(error) from None
    if not pipe.inside:
        body.end()
    body.passed(pipe.inside)
    return True


def _give(pipe: Pipe, sink: Wire) -> bool:
    """From the pipe into the sink; False if it takes nothing now."""
    try:
        count = os.splice(pipe.out, sink.leg.sock.fileno(), pipe.inside, flags=_FLAGS)
    except BlockingIOError:
        return False
    except OSError as error:
        raise sink.lost(error) from None
    pipe.inside -= count
    sink.sent(count)
    return True
