"""The life of a bus's socket: its context, its options, its end.

Belongs here: opening and closing. Never here: sending and receiving, which is `pump`'s alone.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
import zmq

from .limits import BusLimits
from .pump import Pump

_HEARTBEATS_TO_CUT_OFF = 3
_CURVE_OVERHEAD_BYTES = 64  # libzmq counts the encrypted message: command, nonce, flags, MAC


@asynccontextmanager
async def open_context(limits: BusLimits) -> AsyncIterator[zmq.Context[zmq.Socket[bytes]]]:
    """A context of its own for each bus: a ZAP handler serves a whole context."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.max_sockets = 16
    try:
        yield context
    finally:
        with trio.CancelScope(
            shield=True
        ):  # bounded: no socket lingers longer than its option says
            await trio.to_thread.run_sync(context.destroy, _milliseconds(limits.linger_seconds))


def set_options(socket: zmq.Socket[bytes], endpoint: str, limits: BusLimits) -> None:
    """The options that both sides share; all of them have to be set before bind or connect.

    IMMEDIATE on a client means: no queue without a connection, and a new one for each. What was
    not handed to ZeroMQ waits with us, and is not lost with a connection. It also keeps libzmq 4.3.5
    from aborting the process: a queue that outlives its connection while the reader has let it fill
    up trips `Assertion failed: _input_stopped` (zeromq/libzmq#3937).
    """
    socket.set_hwm(limits.high_water_mark)
    socket.maxmsgsize = limits.max_message_bytes + _CURVE_OVERHEAD_BYTES
    socket.immediate = True
    socket.linger = _milliseconds(limits.linger_seconds)
    socket.reconnect_ivl = _milliseconds(limits.reconnect_seconds)
    socket.reconnect_ivl_max = _milliseconds(limits.reconnect_max_seconds)
    if endpoint.startswith("tcp://"):
        socket.ipv6 = "[" in endpoint
        _set_heartbeat(socket, limits.heartbeat_seconds)


def _set_heartbeat(socket: zmq.Socket[bytes], seconds: float) -> None:
    """Not on ipc: the kernel tells at once when a process is gone, and a stalled one is no loss."""
    cut_off = _milliseconds(seconds * _HEARTBEATS_TO_CUT_OFF)
    socket.heartbeat_ivl = _milliseconds(seconds)
    socket.heartbeat_timeout = cut_off
    socket.heartbeat_ttl = cut_off
    socket.connect_timeout = cut_off


@asynccontextmanager
async def pumping(
    pump: Pump[Any], limits: BusLimits, *others: Callable[[], Awaitable[None]]
) -> AsyncIterator[None]:
    """Run the pump beside the body; at the end let what is queued go out, for a bounded time."""
    try:
        async with _background(pump.run, *others):
            yield
    finally:
        deadline = trio.current_time() + limits.linger_seconds
        with trio.CancelScope(deadline=deadline, shield=True):
            await pump.flush()
        pump.close()


@asynccontextmanager
async def _background(*tasks: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run tasks for as long as the body; the body's own exception comes out bare, not in a group."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)
        try:
            yield
        except Exception as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
