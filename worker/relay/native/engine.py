"""The trio side of the native engine: hands flows over, and tells who waits that they are over.

`run` is the contract's, for legs that stay the caller's. `launch` is for the common case without a
task: the engine takes a client's descriptor and an address, connects, relays and closes, and calls
back once. Callbacks run in `attend`, in batches, on the trio thread.

Belongs here: the crossing between the two threads. Never here: a byte, or a decision.
"""

from collections.abc import Callable, Sequence
from typing import Any

import trio

from cluster.reasons import End
from worker.net.leg import Leg
from worker.net.sockets import (
    HELLO_FIRST_OPTIONS,
    KEEPALIVE_AFTER_SECONDS,
    KEEPALIVE_OPTIONS,
    STREAM_OPTIONS,
    ephemeral_ports,
)
from worker.relay.engine import Flow, Launch, RelayLimits, Times
from worker.relay.native._loop import Loop, Ticket
from worker.relay.native.limits import nanoseconds, numbers
from worker.relay.native.porter import NativePorter
from worker.tls.openssl import function_addresses

#: Eight TLS records, of which seven are read at once in bulk; see READ_BYTES in `_flow` for why seven.
_SCRATCH_BYTES = 128 * 1024
_FUNCTIONS = (
    "SSL_read",
    "SSL_write",
    "SSL_shutdown",
    "SSL_get_error",
    "SSL_set_bio",
    "SSL_set_fd",
    "BIO_s_mem",
    "BIO_new",
    "BIO_new_mem_buf",
    "BIO_set_mem_eof_return",
    "BIO_get_mem_data",
    "BIO_free",
    "ERR_clear_error",
)


class NativeEngine:
    """See `worker.relay.engine.RelayEngine`. Raises ImportError where OpenSSL's functions are missing.

    `bounds` are the inclusive upper bounds in seconds of the two histograms that `times` gives; the others
    are the porter's.
    """

    name = "native"

    def __init__(
        self,
        bounds: Sequence[float] = (),
        life_bounds: Sequence[float] = (),
        hello_bounds: Sequence[float] = (),
    ) -> None:
        self._loop = Loop(
            function_addresses(_FUNCTIONS),
            STREAM_OPTIONS,
            tuple(bounds),
            _SCRATCH_BYTES,
            ephemeral_ports(),
            KEEPALIVE_OPTIONS,
            nanoseconds(KEEPALIVE_AFTER_SECONDS),
            HELLO_FIRST_OPTIONS,
        )
        self.porter = NativePorter(self._loop, life_bounds, hello_bounds)
        self._limits = RelayLimits()
        self._numbers = numbers(self._limits)
        self.flush = self._loop.flush
        self.times: Callable[[], tuple[Times, Times]] = self._loop.times

    async def attend(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run the loop's thread, and hear of flows that are over."""
        self._loop.start()
        task_status.started()
        try:
            while True:
                await trio.lowlevel.wait_readable(self._loop.told)
                self._reap()
        finally:
            self._loop.stop()
            self._reap()

    def _reap(self) -> None:
        for ticket in self._loop.reap():
            if ticket.directory is not None:
                self.porter.adopt(ticket)  # nobody had claimed it, and now it is ours
            ticket.on_over(ticket)
        self.porter.answer()

    async def run(self, client: Leg, upstream: Leg, flow: Flow, limits: RelayLimits) -> End:
        if flow.killed is None:
            end = await self._carry(client, upstream, flow, limits)
        else:
            await trio.lowlevel.checkpoint()
            end = flow.killed
        if end is not End.FINISHED:
            client.abort()
            upstream.abort()
        return end

    async def _carry(self, client: Leg, upstream: Leg, flow: Flow, limits: RelayLimits) -> End:
        task = trio.lowlevel.current_task()

        def over(_: Ticket) -> None:
            trio.lowlevel.reschedule(task)

        def cancel(_: Any) -> trio.lowlevel.Abort:
            ticket.stop()
            return trio.lowlevel.Abort.FAILED  # not before the loop has let go of the descriptors

        await trio.lowlevel.checkpoint_if_cancelled()
        ticket = self._loop.relay(
            client.sock.fileno(),
            client.ssl_address(),
            upstream.sock.fileno(),
            upstream.ssl_address(),
            flow.counters,
            *numbers(limits),
            over,
            (client, upstream),
        )
        flow.attach(ticket.stop)
        await trio.lowlevel.wait_task_rescheduled(cancel)
        flow.detach()
        end = ticket.end or flow.killed
        if end is None:
            await trio.lowlevel.checkpoint_if_cancelled()
            raise AssertionError("a flow was stopped by nobody")
        return end

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
        """See `worker.relay.engine.Launcher`."""
        if limits is not self._limits:
            self._limits, self._numbers = limits, numbers(limits)
        ticket = self._loop.dial(
            client,
            client_ssl,
            address,
            round(dial_seconds * 1e9),
            elapsed_seconds,
            flow.counters,
            *self._numbers,
            on_over,
            keep,
        )
        flow.attach(ticket.stop)
