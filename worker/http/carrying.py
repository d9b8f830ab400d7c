"""The rest of a sized body from one connection to another, in native calls (`_carry`).

Nothing is held between two calls but what a sink has not taken, at most one piece, and then nothing is read
before it has. Nothing beyond the body is read.

Belongs here: when this can be done, and the waiting between two calls. Never here: the calls, or when a
body is passed on (`exchange`). Where the native modules were not built, all bodies go read by read.
"""

from collections.abc import Callable

import trio

from worker.http import native
from worker.http.bodies import SizedBody
from worker.http.wire import Wire


def can_carry(source: Wire, sink: Wire) -> bool:
    """Whether all that is to come is still in the source's socket, and may go without Python."""
    if not native.is_built or source.unread:
        return False
    return source.is_plain() and sink.is_plain()


async def carry(source: Wire, body: SizedBody, sink: Wire, moved: Callable[[], None]) -> None:
    """Pass on the rest of the body; `moved` is called whenever some of it has been sent.

    Raises `Malformed` at the source's end, and `ConnectionError`, having marked who was lost.
    """
    calls = native.carrying
    while True:
        state, taken, rest = calls.carry(source.channel, sink.channel, body.left)
        body.passed(taken)
        if taken > len(rest):
            sink.sent(taken - len(rest))
        if state == calls.SOURCE_ENDED:
            body.end()
        elif state == calls.SOURCE_LOST:
            raise source.lost(ConnectionResetError("the source is gone"))
        elif state == calls.SINK_LOST:
            raise sink.lost(ConnectionResetError("the sink is gone"))
        if rest:
            await sink.send(rest)
        if taken:
            moved()
        if body.is_over:
            return
        if state == calls.MORE_LATER:
            await trio.lowlevel.wait_readable(source.leg.sock)
        else:
            await trio.lowlevel.checkpoint()
