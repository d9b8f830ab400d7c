"""One connection of HTTP/2 as a server: the state of it, and what it has to say, sent in order.

All tasks of a connection say what they have to say at once, by plain calls; one task sends it. What is not
sent yet is bounded: who carries bodies waits for room, and so does who reads, as everything that is read may
have to be answered.

Belongs here: the library's connection, its settings and windows, and sending. Never here: reading, or what a
stream is for.
"""

import contextlib
from collections.abc import Callable

import trio
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import Event, RemoteSettingsChanged, WindowUpdated
from h2.exceptions import DenialOfServiceError, ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings
from hpack.exceptions import HPACKError
from hyperframe.frame import GoAwayFrame

from worker.http.fields import Field
from worker.http.limits import HttpLimits
from worker.http.wire import Wire
from worker.http2.calm import DRIP_BYTES, Calm
from worker.http2.faults import Broken
from worker.http2.frames import FRAME_BYTES, OF_ALL, Part, What
from worker.http2.packing import pack_quickly
from worker.http2.quick import Asked, Piece, Server

#: Requests under way at once on one connection; more are refused, and may be asked again.
MAX_STREAMS = 100
#: What may be on its way to us and not be taken yet: of one body, and of all.
STREAM_WINDOW = 256 * 1024
CONNECTION_WINDOW = 1024 * 1024
#: What may wait for being sent before others have to wait.
_BACKLOG_BYTES = 64 * 1024
#: What we remember of fields that we have sent; a caller may allow us more, and it would be our memory.
_TABLE_BYTES = 4096
_DEFAULT_WINDOW = 65535
#: A GOAWAY with this last stream says that one is to come (section 6.8).
_NOT_YET = 2**31 - 1


class Link:
    """See `worker.http2.stream` for one stream of it."""

    def __init__(self, wire: Wire, limits: HttpLimits, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.calm = Calm(clock())
        self._wire = wire
        self._h2 = _server(limits)
        self._quick = self._h2.quick
        self._out = bytearray()
        self._wake = trio.Event()
        self._room = trio.Event()
        self._is_ending = self._is_told = False
        self._flush()

    # What has come.

    def feed(self, parts: list[Part]) -> list[Event | Asked | Piece]:
        """What they say. Raises `Broken`."""
        found: list[Event | Asked | Piece] = []
        for what, stream, data in parts:
            if what == What.REQUEST and (asked := self._quick.request(stream, data)):
                found.append(asked)
            elif what == What.PIECE and (piece := self._piece_of(stream, data)):
                found.append(piece)
            elif what == What.WINDOW and (delta := self._quick.widened(stream, data)):
                found.append(WindowUpdated(stream_id=stream, delta=delta))
            else:
                found += self._strictly(stream, data)
        return found

    def _piece_of(self, stream: int, data: bytes) -> Piece | None:
        try:
            return self._quick.came(stream, data)
        except ProtocolError as error:
            raise Broken(_code(error), str(error)) from None

    def _strictly(self, stream: int, data: bytes) -> list[Event]:
        """What the library says of a part; 0 or less is no stream."""
        if stream > 0:
            self._quick.leave(stream)
        elif stream == OF_ALL:
            self._quick.leave_all()
        try:
            events = self._h2.receive_data(data)
        except ProtocolError as error:
            self._h2.clear_outbound_data_buffer()  # the library's GOAWAY: ours has the better code
            raise Broken(_code(error), str(error)) from None
        finally:
            self._flush()
        if any(isinstance(event, RemoteSettingsChanged) for event in events):
            self._quick.settings_changed()
        if self._h2.encoder.header_table_size > _TABLE_BYTES:
            self._h2.encoder.header_table_size = _TABLE_BYTES
        return events

    def took(self, stream: int, size: int) -> None:
        """Somebody has taken so many bytes of a body: as many more may come."""
        if size:
            self._h2.acknowledge_received_data(size, stream)
            self._flush()
            self._say(self._quick.took(stream, size))

    # What is to be said. The stream has to be open in our direction.

    def fields(self, stream: int, fields: list[Field], *, is_last: bool) -> None:
        """A head, or trailers."""
        if self._is_quick(stream):
            self._say(self._quick.fields(stream, fields, is_last=is_last))
        else:
            self._h2.send_headers(stream, fields, end_stream=is_last)
            self._flush()

    def answer(self, stream: int, fields: list[Field], content: bytes, *, has_body: bool) -> None:
        """A head and all of a body, for which there is room. Raises `Broken`."""
        if self._is_quick(stream) and len(content) <= FRAME_BYTES:
            said = self._quick.fields(stream, fields, is_last=not has_body)
            if has_body:
                said += self._quick.piece(stream, content, is_last=True)
                self.calm.carried(len(content))
            self._say(said)
            return
        self.fields(stream, fields, is_last=not has_body)
        left = memoryview(content)
        while has_body:
            left = left[self.piece(stream, left, is_last=True) :]
            has_body = bool(left)

    def has_room(self, stream: int, size: int) -> bool:
        """Whether a body of that size can be said now, all of it."""
        if len(self._out) > _BACKLOG_BYTES:
            return False
        return not size or self._window(stream) >= size

    def _window(self, stream: int) -> int:
        if stream in self._quick:
            return self._quick.window(stream)
        return self._h2.local_flow_control_window(stream)

    def piece(self, stream: int, data: memoryview, *, is_last: bool) -> int:
        """As much of a body as there is a window for now; how much that was. Raises `Broken`."""
        size = len(data)
        window = self._window(stream)
        taken = min(size, window, FRAME_BYTES)
        if taken <= 0 < size:
            return 0
        if taken < size and taken < DRIP_BYTES:
            self.calm.dripped(self.clock())
        is_end = is_last and taken == size
        if self._is_quick(stream):
            self._say(self._quick.piece(stream, bytes(data[:taken]), is_last=is_end))
        else:
            self._h2.send_data(stream, bytes(data[:taken]), end_stream=is_end)
            self._flush()
        self.calm.carried(taken)
        return taken

    def reset(self, stream: int, code: ErrorCodes) -> None:
        """End a stream; nothing if it is over, as whoever asks may have it reset in the same breath."""
        self._quick.leave(stream)
        with contextlib.suppress(StreamClosedError):
            self._h2.reset_stream(stream, code)
        self._flush()

    def ping(self, data: bytes) -> None:
        self._h2.ping(data)
        self._flush()

    def go_away(self, code: ErrorCodes = ErrorCodes.NO_ERROR, *, is_last: bool) -> None:
        """No more streams; with `is_last` none behind the last one that has come. Those that are open go on,
        which the library's own way would not allow.
        """
        if self._is_told:
            return
        self._is_told = is_last
        last = self._h2.highest_inbound_stream_id if is_last else _NOT_YET
        self._say(GoAwayFrame(0, last_stream_id=last, error_code=code).serialize())

    def _is_quick(self, stream: int) -> bool:
        """Whether the library is not needed. It is for answers to half a request."""
        if self._quick.is_whole(stream):
            return True
        self._quick.leave(stream)
        return False

    def _say(self, data: bytes) -> None:
        self._out += data
        if self._out:
            self._wake.set()

    def _flush(self) -> None:
        self._out += self._h2.data_to_send()
        if self._out:
            self._wake.set()

    # Sending it.

    async def room(self) -> None:
        """Wait until there is not too much to be sent before."""
        while len(self._out) > _BACKLOG_BYTES:
            await self._room.wait()

    async def send(self) -> None:
        """Send what there is, until `end`. Raises `ConnectionError`."""
        while True:
            if self._out:
                data, self._out = bytes(self._out), bytearray()
                self._room.set()
                self._room = trio.Event()
                await self._wire.send(data)
            elif self._is_ending:
                return
            else:
                self._wake = trio.Event()
                await self._wake.wait()

    def end(self) -> None:
        """Nothing more will be said."""
        self._is_ending = True
        self._wake.set()


def _code(error: ProtocolError) -> ErrorCodes:
    """The library says PROTOCOL_ERROR for fields that cannot be decoded (section 4.3)."""
    if isinstance(error.__cause__, HPACKError) and not isinstance(error, DenialOfServiceError):
        return ErrorCodes.COMPRESSION_ERROR
    return ErrorCodes(error.error_code)


def _server(limits: HttpLimits) -> Server:
    config = H2Configuration(
        client_side=False,
        header_encoding=None,
        validate_inbound_headers=False,  # `heads` does, stream by stream
        normalize_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )
    made = Server(config)
    made.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.head_bytes,
        },
    )
    # What is longer than that is answered; twice as long is not even decoded.
    pack_quickly(made, 2 * limits.head_bytes)
    made.initiate_connection()
    made.increment_flow_control_window(CONNECTION_WINDOW - _DEFAULT_WINDOW)
    return made
