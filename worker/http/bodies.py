"""Where a body ends: by length, by chunks, or with the connection. No I/O, and nothing is kept.  ●

A body takes the bytes as they come, in any pieces, and gives back what is its own and what lies behind it.
Chunks are decoded by ourselves: size lines exactly as RFC 9112 section 7.1 has them, extensions
read and dropped, CRLF and nothing else behind the data.

Belongs here: the three ends. Never here: which of them a message has (`requests`, `responses`).
"""

from collections.abc import Callable
from typing import Protocol

from worker.http.fields import CHUNKED, NOT_IN_TRAILERS, Fields
from worker.http.grammar import CHUNK_LINE, CHUNK_LINE_BEGUN, FIELD, TRAILERS
from worker.http.limits import CHUNK_EXCESS_BYTES, CHUNK_LINE_BYTES, TRAILER_BYTES

_NO_TRAILERS: Fields = ()
_EARNED_PER_CHUNK = 16
_Step = Callable[[bytes, int, list[bytes]], tuple[int, bool]]


class Malformed(ValueError):
    """A body that cannot go on; the text says why."""


class Body(Protocol):
    """The rest of one body."""

    is_over: bool
    #: Fields behind the chunks, without those that may not be there; whole once the body is over.
    trailers: Fields

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        """The content in `data`, and the bytes behind the body. Raises `Malformed`."""
        ...

    def end(self) -> None:
        """The connection has ended in order. Raises `Malformed` if the body has not."""
        ...


def body_of(length: int | None) -> Body:
    """By its length; None is a body that ends with the connection."""
    if length is None:
        return UntilTheEnd()
    return ChunkedBody() if length == CHUNKED else SizedBody(length)


class SizedBody:
    """So many bytes, of which `left` are still to come."""

    __slots__ = ("is_over", "left")

    trailers = _NO_TRAILERS

    def __init__(self, length: int) -> None:
        self.left = length
        self.is_over = length == 0

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        size = len(data)
        if size <= self.left:
            self.left -= size
            self.is_over = self.left == 0
            return data, b""
        content, rest = data[: self.left], data[self.left :]
        self.left, self.is_over = 0, True
        return content, rest

    def passed(self, count: int) -> None:
        """So many of them went another way."""
        self.left -= count
        self.is_over = self.left == 0

    def end(self) -> None:
        if not self.is_over:
            raise Malformed(f"{self.left} bytes of the body are missing")


class UntilTheEnd:
    """Everything that comes."""

    __slots__ = ("is_over",)

    trailers = _NO_TRAILERS

    def __init__(self) -> None:
        self.is_over = False

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        return data, b""

    def end(self) -> None:
        self.is_over = True


class ChunkedBody:
    """Chunks up to the empty one, and the trailers behind it."""

    __slots__ = ("_excess", "_held", "_left", "_step", "is_over", "trailers")

    def __init__(self) -> None:
        self.is_over = False
        self.trailers: Fields = _NO_TRAILERS
        self._held = b""  # of a line that is not whole yet
        self._left = 0  # of the chunk
        self._excess = 0  # of lines over data
        self._step: _Step = self._line

    def take(self, data: bytes) -> tuple[bytes, bytes]:
        data, self._held = self._held + data, b""
        content: list[bytes] = []
        at, more = 0, True
        while more and not self.is_over:
            at, more = self._step(data, at, content)
        if self.is_over:
            return b"".join(content), data[at:]
        self._held = data[at:]
        return b"".join(content), b""

    def end(self) -> None:
        if not self.is_over:
            raise Malformed("the last chunk is missing")

    # Each step says how far it got, and whether the next one can go on with these bytes.

    def _line(self, data: bytes, at: int, _: list[bytes]) -> tuple[int, bool]:
        end = data.find(b"\n", at, at + CHUNK_LINE_BYTES) + 1
        if not end:
            held = data[at : at + CHUNK_LINE_BYTES]
            if len(held) == CHUNK_LINE_BYTES or CHUNK_LINE_BEGUN.fullmatch(held) is None:
                raise Malformed("a bad chunk size")
            return at, False
        found = CHUNK_LINE.fullmatch(data, at, end)
        if found is None:
            raise Malformed("a bad chunk size")
        self._left = int(found[1], 16)
        self._excess += end + 2 - at - _EARNED_PER_CHUNK - 2 * self._left
        if self._excess > CHUNK_EXCESS_BYTES:
            raise Malformed("chunks of little but extensions")
        self._excess = max(self._excess, 0)
        self._step = self._data if self._left else self._trailers
        return end, True

    def _data(self, data: bytes, at: int, content: list[bytes]) -> tuple[int, bool]:
        found = data[at : at + self._left]
        content.append(found)
        self._left -= len(found)
        if self._left:
            return len(data), False
        self._step = self._behind
        return at + len(found), True

    def _behind(self, data: bytes, at: int, _: list[bytes]) -> tuple[int, bool]:
        found = data[at : at + 2]
        if found == b"\r\n":
            self._step = self._line
            return at + 2, True
        if found not in (b"", b"\r"):
            raise Malformed("no CRLF behind a chunk")
        return at, False

    def _trailers(self, data: bytes, at: int, _: list[bytes]) -> tuple[int, bool]:
        if data.startswith(b"\r\n", at):
            self.is_over = True
            return at + 2, False
        end = data.find(b"\r\n\r\n", at, at + TRAILER_BYTES)
        if end < 0:
            _check_unfinished(data, at)
            return at, False
        if TRAILERS.fullmatch(data, at, end + 4) is None:
            raise Malformed("bad trailers")
        fields = FIELD.findall(data, at, end + 2)
        self.trailers = tuple(field for field in fields if field[0].lower() not in NOT_IN_TRAILERS)
        self.is_over = True
        return end + 4, False


def _check_unfinished(data: bytes, at: int) -> None:
    """Refuse trailers that are too long, or cannot become any, before all of them have come."""
    if len(data) - at >= TRAILER_BYTES:
        raise Malformed(f"more than {TRAILER_BYTES} bytes of trailers")
    if data.count(b"\n", at) != data.count(b"\r\n", at):
        raise Malformed("bad trailers")
