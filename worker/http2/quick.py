"""Streams that the library has not seen: whole requests, and their answers.

The library keeps a connection's state, and is strict; but most streams have next to none: all of the request
comes in one frame, an answer goes out, and it is over. These are kept here, with the library's own tables of
fields, numbers and windows, so that it finds everything as if it had done all this by itself. As soon as
something uncommon concerns such a stream, the library adopts it.

Belongs here: such streams. Never here: other frames than theirs and window updates, or what to send when
(`link`).
Source: RFC 9113 sections 5.1, 6.1, 6.2 and 6.9.
"""

import struct
from dataclasses import dataclass

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.stream import H2Stream, StreamClosedBy, StreamInputs
from hpack.exceptions import HPACKError, OversizedHeaderListError

from worker.http.fields import Field
from worker.http2.faults import Broken
from worker.http2.frames import Kind

_HEADER = struct.Struct(">HBBBL")
_END_STREAM, _END_HEADERS, _HAS_PRIORITY = 0x1, 0x4, 0x20
_MOST_WINDOW = 2**31 - 1
#: Where a field block begins in its frame, without a priority and with one.
_BLOCK_AT, _BEHIND_PRIORITY = 9, 14


@dataclass(slots=True, frozen=True)
class Asked:
    """A whole request on a stream of its own."""

    number: int
    fields: list[Field]


class Server(H2Connection):
    """The library's connection. Too many streams are refused one by one; it would end everything for them."""

    MAX_CLOSED_STREAMS = 1024

    def __init__(self, config: H2Configuration) -> None:
        super().__init__(config)
        self.quick = Quick(self)

    @property
    def open_inbound_streams(self) -> int:
        self._open_streams(1)  # forgets those that are over
        return 0

    def adopt(self, number: int, window: int, *, has_answered: bool) -> None:
        """A stream of a whole request, of whose answer the head was sent or nothing."""
        stream = self.streams[number] = H2Stream(
            number,
            config=self.config,
            inbound_window_size=self.local_settings.initial_window_size,
            outbound_window_size=window,
        )
        stream.max_outbound_frame_size = self.max_outbound_frame_size
        stream.state_machine.process_input(StreamInputs.RECV_HEADERS)
        stream.state_machine.process_input(StreamInputs.RECV_END_STREAM)
        if has_answered:
            stream.state_machine.process_input(StreamInputs.SEND_HEADERS)

    def was_answered(self, number: int) -> None:
        """A stream that it has not seen is over."""
        self._closed_streams[number] = StreamClosedBy.SEND_END_STREAM


class Quick:
    """Those of one connection: how much of each one's window is left."""

    def __init__(self, library: Server) -> None:
        self._library = library
        self._windows: dict[int, int] = {}
        self._answered: set[int] = set()  # those with a head that is not the end
        self._first_window = self._frame_bytes = 0
        self.settings_changed()

    def __contains__(self, number: int) -> bool:
        return number in self._windows

    def settings_changed(self) -> None:
        """The caller has said something about windows or frames, maybe; no stream is here."""
        self._first_window = self._library.remote_settings.initial_window_size
        self._frame_bytes = self._library.max_outbound_frame_size

    # What has come.

    def request(self, number: int, frame: bytes) -> Asked | None:
        """What this frame asks for; None if it is the library's, as the first is. Raises `Broken`."""
        library = self._library
        highest = library.highest_inbound_stream_id
        if not highest or number <= highest:
            return None
        start = _BEHIND_PRIORITY if frame[4] & _HAS_PRIORITY else _BLOCK_AT
        fields = self._unpacked(frame, start)
        for name, _ in fields:
            if name in _OF_FRAMING:
                _check_framing(fields)
        library.highest_inbound_stream_id = number
        self._windows[number] = self._first_window
        return Asked(number, fields)

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

    def leave(self, number: int) -> None:
        """The library's from now on, if it is here."""
        window = self._windows.pop(number, None)
        if window is not None:
            self._library.adopt(number, window, has_answered=number in self._answered)
            self._answered.discard(number)

    def leave_all(self) -> None:
        for number in tuple(self._windows):
            self.leave(number)

    # What is to be said of a stream that is here.

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


def _check_framing(fields: list[Field]) -> None:
    """As the library does. Raises `Broken`."""
    lengths = [value for name, value in fields if name == b"content-length"]
    are_same = len({length.lstrip(b"0") for length in lengths}) < 2
    if not are_same or not all(value.isdigit() and len(value) <= _MOST_DIGITS for value in lengths):
        raise Broken(ErrorCodes.PROTOCOL_ERROR, "a bad content-length")
    for name, value in fields:
        if not name.startswith(b":"):
            return
        if name == b":status" and value.startswith(b"1"):
            raise Broken(ErrorCodes.PROTOCOL_ERROR, "an informational request")
