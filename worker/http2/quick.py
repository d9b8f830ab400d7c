"""Streams that the library has not seen: requests as most are, and their answers.

The library keeps a connection's state, and is strict; but most streams have next to none: a request comes,
all its fields in one frame, perhaps a body behind them, then an answer goes out, and it is over. These are
kept here, with the library's own tables of fields, numbers and windows, so that it finds everything as if it
had done all this by itself. As soon as something uncommon concerns such a stream, the library adopts it:
padding, trailers, a reset, settings, an answer to half a request.

Belongs here: such streams. Never here: other frames than theirs and window updates, or what to send when
(`link`).
Source: RFC 9113 sections 5.1, 6.1, 6.2 and 6.9.
"""

import struct
from dataclasses import dataclass

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import InvalidBodyLengthError
from h2.stream import H2Stream, StreamClosedBy, StreamInputs
from h2.windows import WindowManager
from hpack.exceptions import HPACKError, OversizedHeaderListError

from worker.http.fields import Field
from worker.http2.faults import Broken
from worker.http2.frames import Kind

_HEADER = struct.Struct(">HBBBL")
_END_STREAM, _END_HEADERS, _HAS_PRIORITY = 0x1, 0x4, 0x20
_MOST_WINDOW = 2**31 - 1
#: Streams that the library has, before those that are over are looked for when it adopts one more.
_MOST_KEPT = 256
#: Where a field block begins in its frame, without a priority and with one.
_BLOCK_AT, _BEHIND_PRIORITY = 9, 14


@dataclass(slots=True)
class Asked:
    """A request on a stream of its own; `is_whole`: without a body."""

    number: int
    fields: list[Field]
    is_whole: bool


@dataclass(slots=True)
class Piece:
    """Of the body of a request; it used up as much of the window."""

    number: int
    content: bytes
    is_last: bool


class _Body:
    """What is known of a body that is on its way."""

    __slots__ = ("came", "length", "window")

    def __init__(self, window: int, length: int | None) -> None:
        self.window = WindowManager(window)
        self.length = length
        self.came = 0


class _Adopted(H2Stream):
    """A stream of the library that begins in the middle."""

    def expect(self, body: _Body) -> None:
        """The rest of a body."""
        self._inbound_window_manager = body.window
        self._expected_content_length = body.length
        self._actual_content_length = body.came


class Server(H2Connection):
    """The library's connection. Too many streams are refused one by one; it would end everything for them."""

    MAX_CLOSED_STREAMS = 1024

    def __init__(self, config: H2Configuration) -> None:
        super().__init__(config)
        self.quick = Quick(self)

    @property
    def open_inbound_streams(self) -> int:
        self.forget()
        return 0

    def adopt(self, number: int, window: int, body: _Body | None, *, has_answered: bool) -> None:
        """A stream of a request that is whole, or of which `body` is to come; of its answer the head was
        sent, or nothing.
        """
        if len(self.streams) >= _MOST_KEPT:
            self.forget()
        stream = self.streams[number] = _Adopted(
            number,
            config=self.config,
            inbound_window_size=self.local_settings.initial_window_size,
            outbound_window_size=window,
        )
        stream.max_outbound_frame_size = self.max_outbound_frame_size
        stream.state_machine.process_input(StreamInputs.RECV_HEADERS)
        if body is None:
            stream.state_machine.process_input(StreamInputs.RECV_END_STREAM)
        else:
            stream.expect(body)
        if has_answered:
            stream.state_machine.process_input(StreamInputs.SEND_HEADERS)

    def forget(self) -> None:
        """Those of its streams that are over."""
        self._open_streams(1)

    def consumed(self, size: int) -> None:
        """So much of the connection's window was used up on streams that it has not seen. Raises
        `ProtocolError`.
        """
        self._inbound_flow_control_window_manager.window_consumed(size)

    def was_answered(self, number: int) -> None:
        """A stream that it has not seen is over."""
        self._closed_streams[number] = StreamClosedBy.SEND_END_STREAM


class Quick:
    """Those of one connection: how much of each one's window is left."""

    def __init__(self, library: Server) -> None:
        self._library = library
        self._windows: dict[int, int] = {}
        self._bodies: dict[int, _Body] = {}  # those that are on their way
        self._answered: set[int] = set()  # those with a head that is not the end
        self._first_window = self._frame_bytes = 0
        self.settings_changed()

    def __contains__(self, number: int) -> bool:
        return number in self._windows

    def is_whole(self, number: int) -> bool:
        """Whether it is here, and all of its request."""
        return number in self._windows and number not in self._bodies

    def settings_changed(self) -> None:
        """The caller has said something about windows or frames, maybe; no stream is here."""
        self._first_window = self._library.remote_settings.initial_window_size
        self._frame_bytes = self._library.max_outbound_frame_size

    # What has come.

    def request(self, number: int, frame: bytes) -> Asked | None:
        """What this frame asks for; None if it is the library's. Raises `Broken`."""
        length: int | None = None
        library = self._library
        highest = library.highest_inbound_stream_id
        if number <= highest:
            return None
        start = _BEHIND_PRIORITY if frame[4] & _HAS_PRIORITY else _BLOCK_AT
        fields = self._unpacked(frame, start)
        for name, _ in fields:
            if name in _OF_FRAMING:
                length = _framing(fields)
        if not highest:
            library.state_machine.process_input(ConnectionInputs.RECV_HEADERS)
        library.highest_inbound_stream_id = number
        self._windows[number] = self._first_window
        is_whole = bool(frame[4] & _END_STREAM)
        if not is_whole:
            self._bodies[number] = _Body(library.local_settings.initial_window_size, length)
        return Asked(number, fields, is_whole)

    def _unpacked(self, frame: bytes, start: int) -> list[Field]:
        try:
            return list(self._library.decoder.decode(frame[start:], raw=True))
        except OversizedHeaderListError as error:
            raise Broken(ErrorCodes.ENHANCE_YOUR_CALM, str(error)) from None
        except HPACKError as error:
            raise Broken(ErrorCodes.COMPRESSION_ERROR, str(error)) from None

    def widened(self, number: int, frame: bytes) -> int:
        """By how much this frame has opened a window, of one stream or, with 0, of all; 0: the library's."""
        count = int.from_bytes(frame[9:13], "big")
        library = self._library
        if number:
            window = self._windows.get(number)
            if window is None or window + count > _MOST_WINDOW:
                return 0
            self._windows[number] = window + count
            return count
        window = library.outbound_flow_control_window + count
        if not library.highest_inbound_stream_id or window > _MOST_WINDOW:
            return 0
        library.outbound_flow_control_window = window
        return count

    def came(self, number: int, frame: bytes) -> Piece | None:
        """The piece of a body in this frame; None if it is the library's. Raises `ProtocolError`."""
        body = self._bodies.get(number)
        if body is None:
            return None
        size, is_last = len(frame) - _BLOCK_AT, bool(frame[4] & _END_STREAM)
        self._library.consumed(size)
        body.window.window_consumed(size)
        body.came += size
        if body.length is not None and (
            body.came > body.length or (is_last and body.came < body.length)
        ):
            raise InvalidBodyLengthError(body.length, body.came)
        if is_last:
            del self._bodies[number]
        return Piece(number, frame[_BLOCK_AT:], is_last)

    def took(self, number: int, size: int) -> bytes:
        """So much of a body was taken: what is to be said of its window, not of the connection's."""
        body = self._bodies.get(number)
        increment = body.window.process_bytes(size) if body is not None else 0
        if not increment:
            return b""
        return _frame(Kind.WINDOW_UPDATE, 0, number, increment.to_bytes(4, "big"))

    def leave(self, number: int) -> None:
        """The library's from now on, if it is here."""
        window = self._windows.pop(number, None)
        if window is not None:
            body = self._bodies.pop(number, None)
            self._library.adopt(number, window, body, has_answered=number in self._answered)
            self._answered.discard(number)

    def leave_all(self) -> None:
        self._library.forget()  # what is said of all does not concern them
        for number in tuple(self._windows):
            self.leave(number)

    # What is to be said of a stream that is here, and whole.

    def fields(self, number: int, fields: list[Field], *, is_last: bool) -> bytes:
        """A head, or trailers, as they are sent."""
        block = self._library.encoder.encode(fields)
        flags = _END_STREAM if is_last else 0
        if is_last:
            self._over(number)
        elif fields[0][1] >= b"200":
            self._answered.add(number)
        most = self._frame_bytes
        if len(block) <= most:
            return _frame(Kind.HEADERS, flags | _END_HEADERS, number, block)
        parts = [_frame(Kind.HEADERS, flags, number, block[:most])]
        for at in range(most, len(block), most):
            flags = _END_HEADERS if at + most >= len(block) else 0
            parts.append(_frame(Kind.CONTINUATION, flags, number, block[at : at + most]))
        return b"".join(parts)

    def window(self, number: int) -> int:
        """How much of a body may be sent."""
        return min(self._windows[number], self._library.outbound_flow_control_window)

    def piece(self, number: int, data: bytes, *, is_last: bool) -> bytes:
        """A piece of a body, for which there is a window, as it is sent."""
        if is_last:
            self._over(number)
        else:
            self._windows[number] -= len(data)
        self._library.outbound_flow_control_window -= len(data)
        return _frame(Kind.DATA, _END_STREAM if is_last else 0, number, data)

    def _over(self, number: int) -> None:
        del self._windows[number]
        self._answered.discard(number)
        self._library.was_answered(number)


def _frame(kind: int, flags: int, number: int, data: bytes) -> bytes:
    size = len(data)
    return _HEADER.pack(size >> 8, size & 0xFF, kind, flags, number) + data


#: What the library ends a connection for.
_OF_FRAMING = frozenset({b"content-length", b":status"})
#: More are no number for Python's `int`.
_MOST_DIGITS = 4300


def _framing(fields: list[Field]) -> int | None:
    """How long the body says it is, as the library reads it. Raises `Broken`."""
    lengths = [value for name, value in fields if name == b"content-length"]
    are_same = len({length.lstrip(b"0") for length in lengths}) < 2
    if not are_same or not all(value.isdigit() and len(value) <= _MOST_DIGITS for value in lengths):
        raise Broken(ErrorCodes.PROTOCOL_ERROR, "a bad content-length")
    for name, value in fields:
        if not name.startswith(b":"):
            break
        if name == b":status" and value.startswith(b"1"):
            raise Broken(ErrorCodes.PROTOCOL_ERROR, "an informational request")
    return int(lengths[0]) if lengths else None
