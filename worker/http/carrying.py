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


def carry_at_once(source: Wire, body: SizedBody, sink: Wire) -> tuple[bytes, bool]:
    """Pass on what has come of the body, but not more than others would wait for.

    What the sink has not taken of it, and whether there may be more already; if not, the source has to be
    waited for. Raises `Malformed` at the source's end, and `ConnectionError`, having marked who was lost.
    """
    calls = native.carrying
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
    return rest, state == calls.MORE_AT_ONCE


async def carry(source: Wire, body: SizedBody, sink: Wire, moved: Callable[[], None]) -> None:
    """Pass on all that is to come of the body; `moved` is called whenever some of it has been sent.

    Raises as `carry_at_once`.
    """
    while True:
        left = body.left
        rest, is_more = carry_at_once(source, body, sink)
        if rest:
            await sink.send(rest)
        if body.left < left:
            moved()
        if body.is_over:
            return
        if is_more:
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.wait_readable(source.leg.sock)
