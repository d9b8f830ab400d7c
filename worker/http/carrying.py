"""The rest of a sized body from one connection to another, plain or TLS, in native calls (`_carry`).

Nothing is held between two calls but what a sink has not taken, at most one piece, and then nothing is read
before it has. Nothing beyond the body is read.

Belongs here: when this can be done, and the waiting between two calls. Never here: the calls, or when a
body is passed on (`exchange`). Where the native modules were not built, all bodies go read by read.
"""

from collections.abc import Callable
from typing import Final

import trio

from worker.http import native
from worker.http.bodies import SizedBody
from worker.http.wire import Wire
from worker.tls.openssl import FunctionMissing, function_addresses


def _is_possible() -> bool:
    if not native.is_built:
        return False
    try:
        native.channel.learn(function_addresses(native.channel.NEEDED))
    except FunctionMissing:
        return False
    return True


_IS_POSSIBLE: Final = _is_possible()


def can_carry(source: Wire) -> bool:
    """Whether all that is to come is still in the source's socket, and may go without Python."""
    return _IS_POSSIBLE and not source.unread


def carry_at_once(source: Wire, body: SizedBody, sink: Wire) -> tuple[int, bytes]:
    """Pass on what has come of the body, but not more than others would wait for.

    How it goes on (MORE_AT_ONCE, MORE_LATER or CROSSED of `_carry`), and what the sink has not taken.
    Raises `Malformed` at the source's end, and `ConnectionError`, having marked who was lost.
    """
    calls = native.carrying
    state, taken, rest = calls.carry(source.channel, sink.channel, body.left)
    body.passed(taken)
    if taken:
        source.has_received()
    if taken > len(rest):
        sink.has_passed_on(taken - len(rest))
    if state == calls.SOURCE_ENDED:
        body.end()
    elif state == calls.SOURCE_LOST:
        raise source.lost(ConnectionResetError("the source is gone"))
    elif state == calls.SINK_LOST:
        raise sink.lost(ConnectionResetError("the sink is gone"))
    return state, rest


async def carry(source: Wire, body: SizedBody, sink: Wire, moved: Callable[[], None]) -> bool:
    """Pass on all that is to come of the body; `moved` is called whenever some of it has been sent.

    False if some of it has to be read the other way first. Raises as `carry_at_once`.
    """
    calls = native.carrying
    while True:
        left = body.left
        state, rest = carry_at_once(source, body, sink)
        if rest:
            await sink.send(rest)
        if body.left < left:
            moved()
        if body.is_over or state == calls.CROSSED:
            return body.is_over
        if state == calls.MORE_LATER:
            await source.wait()
        else:
            await trio.lowlevel.checkpoint()
