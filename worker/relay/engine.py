"""What a relay engine promises, and the values it shares with whoever watches a flow.  ●

An engine takes two established legs and moves bytes both ways until both directions are over:

- A side that ends in order ends the other side's direction in order (half-close passes through);
  the opposite direction goes on. When both are over the flow is `FINISHED`, and the legs are left
  open for the caller to close.
- A side that is lost (reset, TLS without close_notify) ends the flow, and both legs are aborted: the
  other peer sees a reset and cannot take a cut stream for a complete one. What the lost side had
  sent before is delivered as far as its leg can still be read (a TLS leg cannot, once a send failed).
- `Flow.kill`, the idle limit and the age limit end the flow and abort both legs.
- A slow reader stops the reading at the other side: what waits is bounded (`RelayLimits`).
- Cancelled from outside, an engine lets go of both legs and closes neither.

Belongs here: the contract and its values. Never here: a socket.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import trio

from cluster.reasons import End
from worker.net.leg import Leg

#: Indexes of `Flow.counters`, as the client sees it: up is client to upstream.
UP, DOWN = 0, 1
#: Beside them, 1 once a launched flow has reached its upstream.
REACHED = 2
_NOTHING_YET = (0, 0, 0)


class Counters(Protocol):
    """Three unsigned numbers of 64 bits, by UP, DOWN and REACHED."""

    def __getitem__(self, at: int, /) -> int: ...


class Flow:
    """One connection's byte counts and its kill switch; made by the connection frame.

    A count is of bytes that the sink's socket has taken. The counts may be read at any time; they
    lie in an array of unsigned 64-bit numbers so that an engine outside Python can write them
    directly. Everything else belongs to the trio thread.
    """

    __slots__ = ("_shown", "_stop", "counters", "killed")

    def __init__(self) -> None:
        self.counters = array("Q", _NOTHING_YET)
        self._shown: Counters = self.counters
        #: What `kill` was called with first; `None` while nobody called it.
        self.killed: End | None = None
        self._stop: Callable[[], object] | None = None

    @property
    def up_bytes(self) -> int:
        """Bytes carried from the client to the upstream."""
        return self._shown[UP]

    @up_bytes.setter
    def up_bytes(self, count: int) -> None:
        self.counters[UP] = count

    @property
    def down_bytes(self) -> int:
        """Bytes carried from the upstream to the client."""
        return self._shown[DOWN]

    @down_bytes.setter
    def down_bytes(self, count: int) -> None:
        self.counters[DOWN] = count

    @property
    def has_reached(self) -> bool:
        """Whether a flow that was launched is connected to its upstream."""
        return self._shown[REACHED] > 0

    def show(self, counters: Counters) -> None:
        """Until it is detached, the engine counts there."""
        self._shown = counters

    def kill(self, end: End) -> None:
        """End this flow now, for this reason; the first reason wins, and repeating is harmless.

        Before `run` it makes `run` return at once, after it there is nothing left to end.
        """
        if self.killed is None:
            self.killed = end
            if self._stop is not None:
                self._stop()

    def attach(self, stop: Callable[[], object]) -> None:
        """The carrying engine's: have `stop()` called on `kill`, or now if that was before."""
        self._stop = stop
        if self.killed is not None:
            stop()

    def detach(self) -> None:
        """The engine has let go: there is nothing left to stop, and what it counted elsewhere is ours."""
        self._stop = None
        if self._shown is not self.counters:
            self.counters[:] = array("Q", [self._shown[at] for at in (UP, DOWN, REACHED)])
            self._shown = self.counters


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """When a flow has lasted long enough, and how much may wait in it; `None` is no limit.

    `idle_timeout_seconds` counts from the last byte that moved in either direction; an engine may be
    up to an eighth later, never earlier. `max_age_seconds` counts from the call of `run`.

    `buffer_bytes` is how much of one direction may wait in this process. An engine that moves bytes
    through kernel pipes may let `pipe_bytes` wait there instead, in a bounded number of pipes; below
    `buffer_bytes` it uses none. The same holds for bulk that it reads in large pieces.
    """

    idle_timeout_seconds: float | None = None
    max_age_seconds: float | None = None
    buffer_bytes: int = 64 * 1024
    pipe_bytes: int = 1024 * 1024


class RelayEngine(Protocol):
    """See the module's docstring for what every engine keeps to."""

    @property
    def name(self) -> str:
        """ "pure" or "native": a metric label and a word in the log."""
        ...

    async def attend(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """What the engine does beside its flows, until cancelled; runs for as long as flows do."""
        ...

    async def run(self, client: Leg, upstream: Leg, flow: Flow, limits: RelayLimits) -> End:
        """Carry bytes until the flow is over; which of the endings it was."""
        ...


#: A histogram: how many in each bucket (the last is above all bounds), and the sum in seconds.
Times = tuple[Sequence[int], float]


class Launch(Protocol):
    """A flow that `Launcher.launch` has taken, as its `on_over` gets it."""

    @property
    def end(self) -> End | None:
        """How it ended; None if it was killed (`Flow.killed`), or if there was no flow: see `dial_error`."""
        ...

    @property
    def dial_error(self) -> int:
        """The errno of a dial that failed, else 0; the client's descriptor is the caller's again then."""
        ...


@runtime_checkable
class Launcher(Protocol):
    """An engine that can carry a connection without a task of the caller's."""

    def launch(
        self,
        client: int,
        client_ssl: int,
        address: bytes,
        *,
        dial_seconds: float,
        elapsed_seconds: float,
        flow: Flow,
        limits: RelayLimits,
        on_over: Callable[[Launch], object],
        keep: object,
    ) -> None:
        """Connect to `address` (a `sockaddr`) in at most `dial_seconds`, then carry, then close both.

        `client` is the client's descriptor, which is the engine's from now on; `client_ssl` the address
        of the OpenSSL connection on it, which `keep` keeps alive, or 0. `on_over` is called once, on
        the trio thread: not before this returns. `elapsed_seconds` is what it took so far, for `times`.
        The engine may begin only when `flush` is called.
        """
        ...

    def flush(self) -> None:
        """Begin what was launched since the last time: one wake-up of the engine for a batch."""
        ...

    def times(self) -> tuple[Times, Times]:
        """How long dials took, and set-ups as a whole, since the start."""
        ...
