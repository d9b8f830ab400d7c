"""What a caller and a gateway say to each other on one connection of HTTP/2.

One task reads, one sends, and one serves each request. Everything that is read is looked at for floods before
it is understood, and nothing more is read while what it has to be answered with waits for being sent.

Belongs here: a connection's beginning, its streams, and its end. Never here: one request (`serving`), or
whom it goes to (`Streams`).
"""

from collections.abc import Callable, Collection
from enum import Enum, auto, unique
from typing import Protocol

import structlog
import trio
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)

from cluster.errors import ClientFault
from cluster.reasons import End
from worker.http.backend import Backend
from worker.http.express import Express
from worker.http.fields import Field
from worker.http.limits import DEFAULT_LIMITS, HttpLimits
from worker.http.patience import Patience, Phase, Timers
from worker.http.wire import Wire
from worker.http2.faults import Broken
from worker.http2.frames import Frame, Kind
from worker.http2.link import MAX_STREAMS, Link
from worker.http2.packing import following
from worker.http2.quick import Asked, Piece
from worker.http2.serving import Serving
from worker.http2.stream import NOBODY, Stream
from worker.http2.turn import Turn

log = structlog.get_logger()

#: Whoever has answered this has read that we are leaving, and begins no more.
_FAREWELL = b"farewell"
#: How long that may take, when nothing else is under way.
_FAREWELL_SECONDS = 1.0
#: How long what is to be said at the end may take.
_LAST_WORDS_SECONDS = 5.0


class Streams(Protocol):
    """Whom the requests of a connection go to, many at once."""

    def begin(self, cancel: Callable[[], None]) -> tuple[Backend, Callable[[], None]]:
        """For one request, and what to call when it is over; `cancel` ends it before its time."""
        ...

    def is_leaving(self) -> bool:
        """Whether callers are to be told to go elsewhere."""
        ...

    def waits(self, wake: Callable[[], object] | None) -> None:
        """`wake` is to be called when they are; None: never."""
        ...


@unique
class _Leaving(Enum):
    """How far we are on our way out."""

    NOT = auto()
    TOLD = auto()  # that no more streams are wanted
    LAST = auto()  # which was the last one that is served


class Http2Conversation:
    """One caller's connection, from the first octet of its preface, which may have been read already."""

    def __init__(
        self,
        client: Wire,
        streams: Streams,
        timers: Timers,
        limits: HttpLimits = DEFAULT_LIMITS,
        express: Express | None = None,
    ) -> None:
        """With `express` common requests are no task's."""
        self._client = client
        self._express = express
        self._to = streams
        self._timers = timers
        self._limits = limits
        self._patience = Patience(timers)
        self._link = Link(client, limits, timers.clock)
        self._frames = following(limits.head_bytes)
        self._open: dict[int, Stream] = {}
        self._begun: list[Stream] = []  # of what was read last, and not served yet
        self._rested: list[Patience] = []  # of requests that are over, for others
        self._leaving = _Leaving.NOT
        self._is_peer_leaving = False
        self._broken: Broken | None = None
        self._lost: ConnectionError | None = None
        self._sent = trio.Event()
        self._serving: trio.Nursery

    async def run(self) -> End:
        """Until either side has had enough. Raises `ClientFault` when the caller was lost."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send)
            try:
                async with trio.open_nursery() as self._serving:
                    try:
                        end = await self._until_over()
                    finally:
                        self._stop_serving()
            finally:
                for one in (self._patience, *self._rested):
                    one.stop()
                self._to.waits(None)
            self._link.end()
            with trio.move_on_after(_LAST_WORDS_SECONDS):
                await self._sent.wait()
            nursery.cancel_scope.cancel()
        if self._lost is not None:
            raise ClientFault(End.CLIENT_RESET, str(self._lost))
        await self._client.hang_up()
        return end

    async def _send(self) -> None:
        try:
            await self._link.send()
        except ConnectionError as error:
            self._lose(error)
        self._sent.set()

    def _lose(self, error: ConnectionError) -> None:
        self._lost = self._lost or error
        self._patience.scope.cancel()

    def _stop_serving(self) -> None:
        for stream in tuple(self._open.values()):
            stream.is_over = True
            if isinstance(stream.scope, Turn):
                stream.scope.abandon()
        self._serving.cancel_scope.cancel()

    # Reading.

    async def _until_over(self) -> End:
        self._to.waits(self._leave)
        if self._to.is_leaving():
            self._leave()
        try:
            while True:
                scope = self._patience.scope = trio.CancelScope()
                with scope:
                    await self._read()
                    return End.CLIENT_RESET if self._open else End.FINISHED
                if (end := self._woken()) is not None:
                    return end
        except Broken as broken:
            log.debug("a connection of HTTP/2 is broken", code=broken.code.name, why=broken.why)
            self._link.go_away(broken.code, is_last=True)
            return End.BAD_REQUEST
        except ConnectionError as error:
            self._lose(error)
            return End.CLIENT_RESET

    async def _read(self) -> None:
        """Until the caller has ended. Raises `Broken`, `ConnectionError`."""
        client = self._client
        self._expect(())
        while True:
            if client.unread:
                data, client.unread = client.unread, b""
                self._take(data)
            await self._link.room()
            if not await client.more():
                return

    def _take(self, data: bytes) -> None:
        parts, frames = self._frames.take(data)
        self._link.calm.arrived(frames, self._timers.clock())
        if any(frame.kind == Kind.GOAWAY for frame in frames):
            self._is_peer_leaving = True
        for event in self._link.feed(parts):
            if isinstance(event, Asked):
                self._asked(event.number, event.fields, is_whole=event.is_whole)
            elif isinstance(event, Piece):
                self._came(event)
            else:
                self._on(event)
        begun, self._begun = self._begun, []
        for stream in begun:
            self._begin(stream)
        self._expect(frames)
        self._end_if_over()

    def _expect(self, frames: Collection[Frame]) -> None:
        """What is waited for now. A head has its time from its beginning, whatever comes of it meanwhile."""
        is_new = self._patience.phase is not Phase.HEAD
        if self._frames.is_in_head or (self._frames.is_amid and not self._open):
            if is_new or any(frame.kind == Kind.HEADERS for frame in frames):
                self._patience.wait(Phase.HEAD, self._limits.head_seconds)
        elif self._open:
            self._patience.wait(Phase.DOWNLOAD, float("inf"))
        elif self._leaving is _Leaving.TOLD:
            self._patience.wait(Phase.IDLE, _FAREWELL_SECONDS)
        elif is_new or frames:
            self._patience.wait(Phase.IDLE, self._limits.idle_seconds)

    def _woken(self) -> End | None:
        """Why reading was interrupted; None if it goes on. Raises `Broken`."""
        if self._broken is not None:
            raise self._broken
        if self._lost is not None:
            return End.CLIENT_RESET
        if self._is_over():
            self._link.go_away(is_last=True)
            return End.FINISHED
        if self._patience.phase is Phase.HEAD:
            raise Broken(ErrorCodes.PROTOCOL_ERROR, "a head took too long to come")
        if self._leaving is _Leaving.TOLD:
            self._refuse_more()
        if self._open or self._patience.deadline > self._timers.clock():
            return None
        self._link.go_away(is_last=True)
        return End.FINISHED if self._leaving is _Leaving.LAST else End.IDLE_TIMEOUT

    # What the caller says.

    def _on(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=number, headers=fields):
                self._asked(number, fields, is_whole=event.stream_ended is not None)
            case DataReceived(stream_id=number, data=data, flow_controlled_length=octets):
                if stream := self._open.get(number):
                    stream.arrived(data, octets)
                else:
                    self._link.took(number, octets)
            case TrailersReceived(stream_id=number, headers=fields):
                if stream := self._open.get(number):
                    stream.ended(fields)
            case StreamEnded(stream_id=number):
                if stream := self._open.get(number):
                    stream.ended()
            case StreamReset(stream_id=number):
                if not event.remote_reset:
                    self._link.calm.refused(self._timers.clock())
                if stream := self._open.get(number):
                    stream.broken_off()
            case WindowUpdated(stream_id=number) if number:
                if stream := self._open.get(number):
                    stream.wake()
            case WindowUpdated() | RemoteSettingsChanged():
                for stream in self._open.values():
                    stream.wake()
            case PingAckReceived(ping_data=data) if data == _FAREWELL:
                self._refuse_more()

    def _came(self, piece: Piece) -> None:
        """See `DataReceived`."""
        size = len(piece.content)
        if stream := self._open.get(piece.number):
            stream.arrived(piece.content, size)
            if piece.is_last:
                stream.ended()
        else:
            self._link.took(piece.number, size)

    def _asked(self, number: int, fields: list[Field], *, is_whole: bool) -> None:
        if self._is_full() or self._leaving is _Leaving.LAST:
            self._link.reset(number, ErrorCodes.REFUSED_STREAM)
            self._link.calm.refused(self._timers.clock())
            return
        stream = self._open[number] = Stream(self._link, number, fields, is_whole=is_whole)
        self._begun.append(stream)

    def _is_full(self) -> bool:
        """Streams that were reset do not count, but for the tasks that still end."""
        if len(self._open) < MAX_STREAMS:
            return False
        under_way = sum(not stream.is_over for stream in self._open.values())
        return under_way >= MAX_STREAMS or len(self._open) >= 2 * MAX_STREAMS

    # Its requests.

    def _begin(self, stream: Stream) -> None:
        """Serve it, if it is still wanted: who resets at once costs no more than that."""
        if stream.is_over:
            del self._open[stream.number]
            stream.leave()
        else:
            backend, end = self._to.begin(stream.cut)
            patience = self._rested.pop() if self._rested else Patience(self._timers)
            clock, limits = self._timers.clock, self._limits
            Turn(stream, backend, patience, end, self, self._express, clock, limits).begin()

    def go_on(self, turn: Turn) -> None:
        """See `worker.http2.turn.Home`."""
        self._serving.start_soon(self._serve, turn)

    async def _serve(self, turn: Turn) -> None:
        try:
            await Serving(turn, self._timers.clock, self._limits).run()
        except Broken as broken:
            self._break(broken)
        finally:
            self.over(turn)

    def fail(self, turn: Turn, error: Exception) -> None:
        turn.stream.leave()
        self.over(turn)
        if isinstance(error, Broken):
            self._break(error)
        else:
            self._serving.start_soon(_raise, error)

    def _break(self, broken: Broken) -> None:
        self._broken = broken
        self._patience.scope.cancel()

    def over(self, turn: Turn) -> None:
        stream = turn.stream
        turn.end()
        turn.patience.rest()
        turn.patience.scope = stream.scope = NOBODY  # a turn would be garbage in a circle
        self._rested.append(turn.patience)
        del self._open[stream.number]
        if stream.is_answered:
            self._link.calm.answered()
        if not self._open:
            self._expect(())
            self._end_if_over()

    # Leaving.

    def _leave(self) -> None:
        """Callers are to go elsewhere: no more requests, but those that are on their way."""
        if self._leaving is _Leaving.NOT:
            self._leaving = _Leaving.TOLD
            self._link.go_away(is_last=False)
            self._link.ping(_FAREWELL)
            self._patience.wait(Phase.IDLE, _FAREWELL_SECONDS)

    def _refuse_more(self) -> None:
        """What is on its way has come."""
        if self._leaving is _Leaving.TOLD:
            self._leaving = _Leaving.LAST
            self._link.go_away(is_last=True)
            self._end_if_over()

    def _is_over(self) -> bool:
        return not self._open and (self._is_peer_leaving or self._leaving is _Leaving.LAST)

    def _end_if_over(self) -> None:
        if self._is_over():
            self._patience.scope.cancel()


async def _raise(error: Exception) -> None:
    raise error
