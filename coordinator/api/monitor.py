"""The stream of events: `/v1/lockgate/monitor`, one JSON object to a line for as long as the client stays.

Belongs here: the stream. Never here: the events (`coordinator.monitor`). The first line says that one is
heard. An empty line now and then says that nothing has happened, and finds out whether anybody is still
there.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from coordinator.acl.rights import operator_read
from coordinator.monitor import Listener, Monitor

from .answers import ApiError
from .endpoint import Call, Do, at

QUIET_SECONDS = 15.0


class EventStream(Response):
    """Sends events until the client goes or may hear no more, or for so many seconds."""

    def __init__(self, monitor: Monitor, seconds: float, may_hear: Callable[[], bool]) -> None:
        super().__init__(media_type="application/x-ndjson")
        del self.headers["content-length"]
        self._monitor = monitor
        self._seconds = seconds
        self._may_hear = may_hear

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        with self._monitor.listening() as listener:
            listener.put(self._monitor.event("listening"))
            await send(start)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                with trio.move_on_after(self._seconds):
                    await _pass_on(listener, partial(_send, send), self._may_hear)
                await _send(send, b"", more=False)
                nursery.cancel_scope.cancel()


async def _pass_on(listener: Listener, write: Any, may_hear: Callable[[], bool]) -> None:
    line = b""
    while may_hear():
        await write(line + b"\n")
        line = b""
        with trio.move_on_after(QUIET_SECONDS):
            line = msgspec.json.encode(await listener.take())


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass  # the rest of a body that a GET has no use for
    scope.cancel()


async def _monitor(call: Call) -> Response:
    await trio.lowlevel.checkpoint()
    return EventStream(
        call.services.monitor, _seconds(call.query("seconds")), partial(_may_hear, call)
    )


def _may_hear(call: Call) -> bool:
    """Whether the token is still there, and what it takes still its own."""
    try:
        return call.again().may(operator_read)
    except ApiError:
        return False


def _seconds(text: str) -> float:
    """How long to listen; for ever if nobody says. Raises ApiError (400)."""
    if not text:
        return math.inf
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ApiError(400, f"'seconds' must be a number of seconds, not {text[:40]!r}")
    return seconds


ROUTES = (at("/v1/lockgate/monitor", GET=Do(answer=_monitor, needs=operator_read)),)
