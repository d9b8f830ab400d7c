"""The relay engine in plain Python: two trio tasks per flow, `recv_into` and `send` on the sockets.

It is chosen when the native engine is missing, and it is the reference that the contract suite was
written with. What keeps it cheap:

- One scratch buffer for all flows of the engine. A chunk is received into it and offered to the
  other side with no other task in between; only what that side does not take at once is copied, and
  while it waits nothing more is received in this direction. So an idle flow holds no buffer, and a
  stalled one at most `buffer_bytes` per direction.
- No timer per chunk. The idle limit is the deadline of the flow's scope, moved on only when it is
  stale by an eighth of the limit.
- A flow that never blocks yields after `_TURN_BYTES`, a small chunk counting as `_CHUNK_COST_BYTES`.

Measured on two cores shared with load generator and upstream: 64 connections with 100-byte round
trips 26,500/s, four bulk streams 7 to 12 Gbit/s (10 to 15 with buffers of 256 KiB), of which three
quarters are spent in recv(2) and send(2).

Belongs here: moving bytes and telling how it ended. Never here: logging, metrics, or a look at them.
"""

from math import inf

import trio

from cluster.reasons import End
from worker.net.leg import Leg

from .engine import DOWN, UP, Flow, RelayLimits
from .side import Side

_TURN_BYTES = 256 * 1024
_CHUNK_COST_BYTES = 4 * 1024


class PureEngine:
    """See `worker.relay.engine.RelayEngine`; one per worker, for any number of flows at once."""

    name = "pure"

    def __init__(self) -> None:
        self._scratch = memoryview(bytearray(RelayLimits().buffer_bytes))

    async def attend(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Nothing: each flow's own tasks do all."""
        task_status.started()
        await trio.sleep_forever()

    async def run(self, client: Leg, upstream: Leg, flow: Flow, limits: RelayLimits) -> End:
        if flow.killed is None:
            end = await _Relay(client, upstream, flow, limits, self._buffer(limits)).run()
        else:
            await trio.lowlevel.checkpoint()
            end = flow.killed
        if end is not End.FINISHED:
            client.abort()
            upstream.abort()
        return end

    def _buffer(self, limits: RelayLimits) -> memoryview:
        if len(self._scratch) < limits.buffer_bytes:
            self._scratch = memoryview(bytearray(limits.buffer_bytes))
        return self._scratch[: limits.buffer_bytes]


class _Relay:
    """The state of one flow while it runs."""

    __slots__ = (
        "_buffer",
        "_client",
        "_deadline",
        "_flow",
        "_lost",
        "_open",
        "_scope",
        "_upstream",
    )

    def __init__(
        self, client: Leg, upstream: Leg, flow: Flow, limits: RelayLimits, buffer: memoryview
    ) -> None:
        self._client = Side(client)
        self._upstream = Side(upstream)
        self._flow = flow
        self._buffer = buffer
        self._scope = trio.CancelScope()
        self._deadline = _Deadline(self._scope, limits)
        self._open = 2  # directions that did not end in order yet
        self._lost: Side | None = None  # the side that was lost first

    async def run(self) -> End:
        try:
            with self._scope:
                self._flow.attach(self._scope.cancel)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._carry, self._client, self._upstream, UP)
                    await self._carry(self._upstream, self._client, DOWN)
        except ExceptionGroup as group:
            raise group.exceptions[0] from group  # a bug in a leg; above us, errors are single
        finally:
            self._flow.detach()
        return self._outcome()

    def _outcome(self) -> End:
        if self._lost is not None:
            return End.CLIENT_RESET if self._lost is self._client else End.UPSTREAM_RESET
        if not self._open:
            return End.FINISHED
        return self._flow.killed or self._deadline.which()

    async def _carry(self, source: Side, sink: Side, direction: int) -> None:
        """Carry one direction until it, or the flow, is over."""
        try:
            await self._drain(source, sink, direction)
            if self._lost is None:
                await sink.end()
                self._open -= 1
        except ConnectionError:
            self._lost = self._lost or (source if source.is_lost else sink)
            if source.is_lost:
                self._scope.cancel()
            # Else only sending failed. The other direction goes on, which drains what the lost side
            # said before: a server that answers early and closes has its answer delivered.

    async def _drain(self, source: Side, sink: Side, direction: int) -> None:
        """Move all that `source` has to say. The loop that everything else exists for."""
        buffer = self._buffer
        counters = self._flow.counters
        progress = self._deadline.progress

        def moved(count: int) -> None:
            counters[direction] += count
            progress()

        turn = _TURN_BYTES
        while count := await source.receive(buffer):
            await sink.send(buffer[:count], moved)
            turn -= count + _CHUNK_COST_BYTES
            if turn < 0:
                await trio.lowlevel.checkpoint()
                turn = _TURN_BYTES


class _Deadline:
    """Moves a scope's deadline on while bytes move, and knows afterwards which limit it was."""

    __slots__ = ("_ends_at", "_idle_seconds", "_scope", "_stale_at")

    def __init__(self, scope: trio.CancelScope, limits: RelayLimits) -> None:
        now = trio.current_time()
        self._scope = scope
        self._idle_seconds = _or_never(limits.idle_timeout_seconds)
        self._ends_at = now + _or_never(limits.max_age_seconds)
        self._set(now)

    def progress(self) -> None:
        """A byte moved just now."""
        now = trio.current_time()
        if now >= self._stale_at:
            self._set(now)

    def which(self) -> End:
        """The limit that ended the flow."""
        return End.MAX_AGE if trio.current_time() >= self._ends_at else End.IDLE_TIMEOUT

    def _set(self, now: float) -> None:
        slack = self._idle_seconds / 8
        self._stale_at = now + slack
        self._scope.deadline = min(self._ends_at, now + self._idle_seconds + slack)


def _or_never(seconds: float | None) -> float:
    return inf if seconds is None else seconds
