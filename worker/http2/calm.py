"""How much a caller may ask for that costs us and brings nobody anything.  ●

Every kind of frame that a client may send for nothing has an allowance. It grows a little with time, and
with the work that is really done: a request that was answered, a piece of a body that was carried. Who has
used it up is told to be calm, and the connection ends (ENHANCE_YOUR_CALM, RFC 9113 sections 7 and 10.5).

Belongs here: the allowances. Never here: finding frames (`frames`) or ending a connection (`conversation`).
Source: CVE-2019-9511 to 9518 (ping, settings, priority, reset, empty frame and window floods), CVE-2023-44487
(rapid reset), CVE-2025-8671 (resets that the server is made to send).
"""

from dataclasses import dataclass, field
from functools import partial

from h2.errors import ErrorCodes

from worker.http2.faults import Broken
from worker.http2.frames import Frame, Kind

_END_STREAM = 0x1
#: A window of fewer bytes is no use to anybody who wants a body.
DRIP_BYTES = 256
_PIECE_BYTES = 1024


@dataclass(slots=True)
class Work:
    """What was really done on a connection so far."""

    requests: int = 0
    pieces: int = 0
    large_pieces: int = 0


@dataclass(slots=True)
class Allowance:
    """For one kind of frame: `most` at once and `per_second` from then on, `per_request` and `per_piece` more
    for each request and each piece of a body that was carried, but never more than `most`.

    What was earned is looked up when something is used, which is far rarer than work.
    """

    work: Work
    what: str
    most: float
    per_second: float
    per_request: float = 0.0
    per_piece: float = 0.0
    per_large_piece: float = 0.0
    left: float = 0.0
    at: float = 0.0
    paid: Work = field(default_factory=Work)  # what was earned for already

    def __post_init__(self) -> None:
        self.left = self.most

    def use(self, now: float) -> None:
        """One more. Raises `Broken`."""
        self.left = min(self.most, self.left + self._earned(now)) - 1
        self.at = now
        if self.left < 0:
            raise Broken(ErrorCodes.ENHANCE_YOUR_CALM, f"too many {self.what}")

    def _earned(self, now: float) -> float:
        work, paid = self.work, self.paid
        earned = (now - self.at) * self.per_second
        earned += (work.requests - paid.requests) * self.per_request
        earned += (work.pieces - paid.pieces) * self.per_piece
        earned += (work.large_pieces - paid.large_pieces) * self.per_large_piece
        paid.requests, paid.pieces, paid.large_pieces = (
            work.requests,
            work.pieces,
            work.large_pieces,
        )
        return earned


class Calm:
    """The allowances of one connection."""

    def __init__(self, now: float) -> None:
        work = self._work = Work()
        made = partial(Allowance, work, at=now)
        self._pings = made("pings", 100, 2, per_request=2, per_piece=2)
        self._settings = made("settings", 20, 1)
        self._hints = made("priorities and frames of other kinds", 200, 5, per_request=5)
        self._windows = made("window updates", 1000, 20, per_request=4, per_piece=10)
        self._empty = made("empty frames", 50, 1, per_request=1)
        self._resets = made("requests that nobody waits for", 200, 5, per_request=1)
        self._drips = made("windows of a few bytes", 100, 1, per_request=1, per_large_piece=1)

    def arrived(self, frames: list[Frame], now: float) -> None:
        """These frames begin in what was read. Raises `Broken`."""
        for frame in frames:
            allowance = self._for(frame)
            if allowance is not None:
                allowance.use(now)

    def _for(self, frame: Frame) -> Allowance | None:
        match frame.kind:
            case Kind.DATA | Kind.HEADERS | Kind.CONTINUATION:
                is_idle = not frame.length and not frame.flags & _END_STREAM
                return self._empty if is_idle else None
            case Kind.RST_STREAM:
                return self._resets
            case Kind.SETTINGS:
                return self._settings
            case Kind.PING:
                return self._pings
            case Kind.WINDOW_UPDATE:
                return self._windows
            case Kind.PUSH_PROMISE:
                return None  # an error at once
        return self._hints

    def refused(self, now: float) -> None:
        """We had to end a stream for what the caller did. Raises `Broken`."""
        self._resets.use(now)

    def dripped(self, now: float) -> None:
        """There was more to send, and the caller had room for a few bytes. Raises `Broken`."""
        self._drips.use(now)

    def answered(self) -> None:
        """A request was answered to its end."""
        self._work.requests += 1

    def carried(self, size: int) -> None:
        """So many bytes of a body have come, or went out."""
        self._work.pieces += 1
        if size >= _PIECE_BYTES:
            self._work.large_pieces += 1
