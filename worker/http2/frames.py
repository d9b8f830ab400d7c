"""The frames in what a caller sends, by their first nine octets (RFC 9113 section 4.1).  ●

Length, kind, flags and stream are all it takes to see a flood, so it is seen before anybody looks inside, and
what nobody needs is left out: priorities (deprecated, section 5.3.2), frames of unknown kinds (section 5.5),
and GOAWAY, after which our library would answer nothing any more, though requests are under way.

Belongs here: where frames begin, and the bounds of one frame and one field block. Never here: how many there
may be (`calm`), or what is inside.
"""

from enum import IntEnum, unique
from typing import NamedTuple, Protocol, TypeAlias

from h2.errors import ErrorCodes

from worker.http2.faults import Broken

#: How a client begins (section 3.4). No request of HTTP/1.1 begins like this.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: The most that one frame carries: what every server takes, and we ask for no more (section 4.2).
FRAME_BYTES = 16 * 1024
_HEADER_BYTES = 9
#: The most frames that one field block comes in: one would do for nearly all, four for the longest.
BLOCK_FRAMES = 32


@unique
class Kind(IntEnum):
    """Kinds of frames (section 11.2)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


_END_HEADERS = 0x4
_PRIORITY_BYTES = 5
_UNKNOWN = max(Kind) + 1


class Frame(NamedTuple):
    """The first nine octets; `kind` may be none of `Kind`."""

    kind: int
    flags: int
    length: int
    stream: int


@unique
class What(IntEnum):
    """What a `Part` is."""

    OTHERS = 0  # the library's
    REQUEST = 1  # maybe, in one frame
    WINDOW = 2  # a window update
    PIECE = 3  # of a body, all of it


#: What it is, the stream that it concerns (`OF_ALL`: maybe each), and its octets; but for `OTHERS` that is a
#: whole frame.
Part: TypeAlias = tuple[int, int, bytes]
OF_ALL = -1


class Following(Protocol):
    """Follows the frames of one connection through its bytes, in whatever pieces they come."""

    @property
    def is_amid(self) -> bool:
        """Whether the rest of a frame, or of a field block, is still to come."""
        ...

    @property
    def is_in_head(self) -> bool:
        """Whether that is the preface, or a field block."""
        ...

    def take(self, data: bytes) -> tuple[list[Part], list[Frame]]:
        """What somebody has to read of `data`, and the frames that begin in it. Raises `Broken`."""
        ...


class Frames:
    """See `Following`."""

    def __init__(self, block_bytes: int) -> None:
        """`block_bytes` bounds a field block, compressed and in however many frames it comes."""
        self._block_bytes = block_bytes
        self._begun = b""  # of a frame's first nine octets
        self._left = len(PREFACE)  # of what is passed on, or left out, as it comes
        self._is_left_out = False
        self._has_begun = False
        self._block = 0  # the stream whose field block is not whole
        self._frames_in_block = self._bytes_in_block = 0

    @property
    def is_amid(self) -> bool:
        return bool(self._left or self._begun or self._block)

    @property
    def is_in_head(self) -> bool:
        return bool(self._block) or not self._has_begun

    def take(self, data: bytes) -> tuple[list[Part], list[Frame]]:
        found: list[Frame] = []
        kept: list[bytes] = []
        at = self._rest(data, 0, kept)
        data, at, self._begun = self._begun + data[at:], 0, b""
        while len(data) - at >= _HEADER_BYTES:
            frame = _frame(data, at)
            self._check(frame)
            found.append(frame)
            self._has_begun = True
            self._left = frame.length
            self._is_left_out = not self._block and _is_left_out(frame)
            self._follow(frame)
            if not self._is_left_out:
                kept.append(data[at : at + _HEADER_BYTES])
            at = self._rest(data, at + _HEADER_BYTES, kept)
        self._begun = data[at:]
        return [(What.OTHERS, OF_ALL, b"".join(kept))], found

    def _rest(self, data: bytes, at: int, kept: list[bytes]) -> int:
        """The payload, as far as it has come; where it ends."""
        part = data[at : at + self._left]
        self._left -= len(part)
        if not self._is_left_out:
            kept.append(part)
        return at + len(part)

    def _check(self, frame: Frame) -> None:
        if frame.length > FRAME_BYTES:
            why = f"a frame of {frame.length} bytes, more than {FRAME_BYTES}"
            raise Broken(ErrorCodes.FRAME_SIZE_ERROR, why)
        if self._block and (frame.kind != Kind.CONTINUATION or frame.stream != self._block):
            raise Broken(ErrorCodes.PROTOCOL_ERROR, "another frame inside a field block")
        if frame.kind == Kind.CONTINUATION and not self._block:
            raise Broken(ErrorCodes.PROTOCOL_ERROR, "a continuation of nothing")

    def _follow(self, frame: Frame) -> None:
        """Through a field block."""
        if frame.kind == Kind.HEADERS:
            self._frames_in_block = self._bytes_in_block = 0
        elif frame.kind != Kind.CONTINUATION:
            return
        self._frames_in_block += 1
        self._bytes_in_block += frame.length
        if self._frames_in_block > BLOCK_FRAMES or self._bytes_in_block > self._block_bytes:
            why = f"a field block of {self._bytes_in_block} bytes in {self._frames_in_block} frames"
            raise Broken(ErrorCodes.ENHANCE_YOUR_CALM, why)
        self._block = 0 if frame.flags & _END_HEADERS else frame.stream


def _frame(data: bytes, at: int) -> Frame:
    stream = int.from_bytes(data[at + 5 : at + 9], "big") & 0x7FFFFFFF
    return Frame(data[at + 3], data[at + 4], int.from_bytes(data[at : at + 3], "big"), stream)


def _is_left_out(frame: Frame) -> bool:
    if frame.kind == Kind.PRIORITY:
        return frame.length == _PRIORITY_BYTES and frame.stream != 0
    if frame.kind == Kind.GOAWAY:
        return frame.stream == 0
    return frame.kind >= _UNKNOWN
