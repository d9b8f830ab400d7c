"""GOAWAY, taken out of what an upstream sends before our library sees it, and frames that bring nothing.  ●

The library takes GOAWAY for the end of everything, but it is not: requests up to the one that it names are
still answered (RFC 9113 section 6.8). On the way every frame's kind is seen, so whoever sends
what brings nothing, pings, settings, empty pieces, is met by a bound that grows with what we ask for.

Belongs here: the first nine bytes of frames. Never here: what the other frames mean.
"""

from dataclasses import dataclass, field

from h2.errors import ErrorCodes

_HEAD_BYTES = 9
_DATA, _HEADERS, _SETTINGS, _GOAWAY, _CONTINUATION = 0, 1, 4, 7, 9
_END_STREAM = 0x1
#: The most that one frame carries; we ask for no more (RFC 9113 section 4.2).
_FRAME_BYTES = 16 * 1024


class NotHttp2(Exception):
    """What comes is not HTTP/2; `code` is for the GOAWAY."""

    def __init__(self, code: ErrorCodes, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(slots=True)
class Seen:
    """What was in some bytes: what is left for the library, whom a GOAWAY named, and how many were idle."""

    rest: bytes
    last_stream: int | None = None
    idle: int = 0


@dataclass(slots=True)
class Frames:
    """The frames of one connection, in whatever pieces they come."""

    _held: bytes = field(default=b"")  # a head that is not whole, or a GOAWAY
    _left: int = 0  # of the frame under way
    _has_begun: bool = False

    def take(self, data: bytes) -> Seen:
        """What these bytes, behind those before, hold. Raises `NotHttp2`."""
        if self._held:
            data, self._held = self._held + data, b""
        seen = Seen(data)
        at = min(self._left, len(data))
        self._left -= at
        kept, start = b"", 0
        while len(data) - at >= _HEAD_BYTES:
            length, kind, flags = int.from_bytes(data[at : at + 3]), data[at + 3], data[at + 4]
            end = at + _HEAD_BYTES + length
            self._check(kind, length)
            if kind == _GOAWAY and length >= 8:
                if end > len(data):
                    break
                seen.last_stream = int.from_bytes(data[at + 9 : at + 13]) & 0x7FFFFFFF
                seen.idle += 1
                kept += data[start:at]
                at = start = end
                continue
            seen.idle += _is_idle(kind, flags, length)
            at, self._left = min(end, len(data)), max(end - len(data), 0)
        self._held = data[at:]
        if start or self._held:
            seen.rest = kept + data[start:at]
        return seen

    def _check(self, kind: int, length: int) -> None:
        if not self._has_begun and kind != _SETTINGS:
            raise NotHttp2(ErrorCodes.PROTOCOL_ERROR, "the upstream does not speak HTTP/2")
        if length > _FRAME_BYTES:
            why = f"a frame of {length} bytes, more than {_FRAME_BYTES}"
            raise NotHttp2(ErrorCodes.FRAME_SIZE_ERROR, why)
        self._has_begun = True


def _is_idle(kind: int, flags: int, length: int) -> bool:
    """Whether a frame brings nothing of an answer."""
    if kind in (_DATA, _HEADERS, _CONTINUATION):
        return not length and not flags & _END_STREAM
    return True


class Allowance:
    """How many idle frames an upstream may send: some at once, more with time and with what it is asked."""

    MOST = 1000.0
    PER_SECOND = 100.0

    def __init__(self, now: float) -> None:
        self._left = self.MOST
        self._at = now

    def use(self, count: int, now: float) -> bool:
        """So many were sent; False if that is too many."""
        self.earn((now - self._at) * self.PER_SECOND)
        self._at = now
        self._left -= count
        return self._left >= 0

    def earn(self, more: float) -> None:
        """For what we asked: a request, or a piece of one."""
        self._left = min(self.MOST, self._left + more)
