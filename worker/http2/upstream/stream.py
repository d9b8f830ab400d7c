"""One request on a connection that carries many: room for it first, then its `Ask`.

What has come and was not read yet is bounded by the stream's window, which is opened again only as pieces are
read. Whoever waits is woken by the connection, and looks again.

Belongs here: one request's heads, pieces and end. Never here: frames and sockets (`connection`).
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

import trio

from cluster.routes import Endpoint
from worker.http.exchange import CutShort, UpstreamLost
from worker.http.faults import BadResponse
from worker.http.fields import Field, Fields
from worker.http.heads import Outgoing
from worker.http.responses import Ends, ResponseHead
from worker.http2.upstream.heads import response_of, trailers_of

#: Heads that may wait for being read.
_MOST_HEADS = 8


class Carrier(Protocol):
    """What a stream needs of its connection."""

    endpoint: Endpoint
    max_fields: int

    def begin(self, stream: "Stream", head: Outgoing) -> int:
        """Send the head; how many bytes that were."""
        ...

    def put(self, stream: "Stream", content: memoryview) -> int:
        """Send what there is room for; how many bytes that were, 0 if it is not the time."""
        ...

    def finish(self, stream: "Stream", trailers: Fields) -> None:
        """Send the end of the body."""
        ...

    def taken(self, stream: "Stream", count: int) -> None:
        """So many bytes of the window were read."""
        ...

    def leave(self, stream: "Stream") -> None:
        """The request is over, or there never was one; reset what is not at its end."""
        ...


def _not_counted(_: int) -> None:
    """Nobody counts these bytes."""


def _not_told() -> None:
    """Nobody waits for the end."""


class Stream:
    """One request; see `worker.http.asking.Place`.

    `moved` is told of bytes that were sent, as they are, and `over` of the end.
    """

    __slots__ = (
        "_bell",
        "_carrier",
        "_error",
        "_has_head",
        "_heads",
        "_left",
        "_method",
        "_room",
        "_unread",
        "_waiting_bytes",
        "id",
        "is_ended",
        "is_sent",
        "moved",
        "over",
        "trailers",
        "was_used",
        "window_used",
    )

    def __init__(self, carrier: Carrier, *, was_used: bool) -> None:
        """`was_used`: the connection had carried a request before."""
        self.id = 0  # none yet
        self.is_sent = False
        self.is_ended = False
        self.moved: Callable[[int], None] = _not_counted
        self.over: Callable[[], None] = _not_told
        self.trailers: Fields = ()
        self.was_used = was_used
        self.window_used = 0  # and read, but not opened again yet
        self._carrier = carrier
        self._method = b""
        self._heads: deque[ResponseHead] = deque()
        self._unread = bytearray()
        self._waiting_bytes = 0  # of the window, by what is unread
        self._has_head = False  # the final one
        self._left: int | None = None  # of a body of known length
        self._error: Exception | None = None
        self._bell = trio.Event()  # for the task that reads
        self._room = trio.Event()  # for the task that sends

    @property
    def endpoint(self) -> Endpoint:
        return self._carrier.endpoint

    # What the caller's side does.

    async def open(self, head: Outgoing) -> None:
        request = head.request
        self._method = request.method
        self.is_sent = not request.has_body
        if self._error is None:
            self.moved(self._carrier.begin(self, head))

    async def send(self, content: bytes) -> None:
        left = memoryview(content)
        while left and self._error is None:
            count = self._carrier.put(self, left)
            if not count:
                await self._wait_for_room()
                continue
            self.moved(count)
            left = left[count:]

    async def _wait_for_room(self) -> None:
        self._room = trio.Event()
        await self._room.wait()

    async def end(self, trailers: Fields = ()) -> None:
        if not self.is_sent and self._error is None:
            self.is_sent = True
            self._carrier.finish(self, trailers)

    async def head(self) -> ResponseHead:
        while not self._heads:
            if self._error is not None:
                raise self._error
            await self._wait()
        return self._heads.popleft()

    async def read(self) -> bytes:
        while not self._unread:
            if self.is_ended:
                return b""
            if self._error is not None:
                raise CutShort(str(self._error)) from self._error
            await self._wait()
        found = bytes(self._unread)
        self._unread.clear()
        count, self._waiting_bytes = self._waiting_bytes, 0
        self._carrier.taken(self, count)
        return found

    @property
    def is_ready(self) -> bool:
        return bool(self._unread) or self.is_ended

    async def _wait(self) -> None:
        self._bell = trio.Event()
        await self._bell.wait()

    def give_back(self, *, reusable: bool) -> None:
        self._unread.clear()
        self._carrier.leave(self)
        self.over()

    # What the connection does.

    def wake_sender(self) -> None:
        """There may be room."""
        self._room.set()

    def got_head(self, fields: list[Field], *, is_end: bool) -> None:
        """An interim head, or the final one. Raises `BadResponse`."""
        head = response_of(fields, self._method, is_end=is_end, max_fields=self._carrier.max_fields)
        if not head.is_interim:
            self._has_head = True
            self._left = head.ends if isinstance(head.ends, int) and head.ends >= 0 else None
            if head.ends is Ends.AT_ONCE:
                self._left, self.is_ended = 0, is_end
        if len(self._heads) == _MOST_HEADS:
            raise BadResponse(f"more than {_MOST_HEADS} interim answers at once")
        self._heads.append(head)
        self._bell.set()

    def got_piece(self, content: bytes, window_bytes: int) -> None:
        """Of the body; it used up so much of the window. Raises `BadResponse`."""
        if self._left is not None:
            self._left -= len(content)
            if self._left < 0:
                raise BadResponse("a body longer than its head says")
        self._waiting_bytes += window_bytes
        if content:
            self._unread += content
            self._bell.set()
        elif not self._unread:
            count, self._waiting_bytes = self._waiting_bytes, 0
            self._carrier.taken(self, count)

    def got_trailers(self, fields: list[Field]) -> None:
        """Behind the body. Raises `BadResponse`."""
        self.trailers = trailers_of(fields, self._carrier.max_fields)

    def got_end(self) -> None:
        """The answer is whole, if nothing of it was bad. Raises `BadResponse`."""
        if self._error is not None:
            return
        if self._left:
            raise BadResponse(f"{self._left} bytes of the body are missing")
        self.is_ended = True
        self._bell.set()

    def lost(self, *, unasked: bool = False) -> None:
        """The connection or the upstream has let go of it; `unasked` if it said that it did nothing."""
        self.fail(
            UpstreamLost(unanswered=not self._has_head, was_used=self.was_used, unasked=unasked)
        )

    def fail(self, error: Exception) -> None:
        """The first reason stands; what has come whole stays."""
        if self._error is None and not (self.is_ended and self.is_sent):
            self._error = error
        self._bell.set()
        self._room.set()
