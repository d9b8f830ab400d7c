"""One socket, one pump: the only code that touches a ZeroMQ socket once it is connected.

Belongs here: moving messages between a socket and bounded queues. Never here: what kind of socket it
is, who the peers are.

A ZeroMQ socket is not a descriptor. `FD` becomes readable when *something may have* changed, once;
`EVENTS` says what can be done; reading EVENTS, sending and receiving each consume the signal. Code
that waits for FD, receives one message and waits again hangs under load, and so does code in which
one task sends while another waits to receive (zeromq/pyzmq#2045, python-trio/trio#116).

Hence `Pump.pump`, one synchronous function, so that nothing can come in between: it reads EVENTS,
sends and receives, and starts again until a whole turn has moved nothing. It is called whenever
something may have changed: FD became readable, a body was queued, a reader made room.

- Received and not yet read is bounded: when the inbox is full the pump stops receiving, ZeroMQ's own
  queue fills, and the sender on the other side waits. Reading starts the pump again.
- Each address (a routing id on a ROUTER, b"" on a DEALER) has an outbox of its own, and only its
  first message is ever tried, so a full peer neither blocks the others nor gets its messages reordered.
- ZeroMQ promises no signal when a peer of a ROUTER can take more (POLLOUT is about any peer). In
  practice FD wakes us; a timed retry, only while something waits, makes it a promise.
- What one call receives is bounded even if every message is dropped, so that a flood of rubbish does
  not hold up the event loop.
"""

import errno
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import trio
import zmq

from .limits import BusLimits

Received = TypeVar("Received")

_RETRY_SECONDS = 0.05


def can_receive(socket: zmq.Socket[bytes]) -> bool:
    """Read EVENTS, which also re-arms the descriptor: ask again after each send and receive."""
    return bool(int(socket.get(zmq.EVENTS)) & zmq.POLLIN)


class Inbox(Generic[Received]):
    """Messages received and not yet read, at most `capacity`; read them with `async for`."""

    def __init__(self, capacity: int, resume: Callable[[], None]) -> None:
        self._messages: deque[Received] = deque()
        self._readers = trio.lowlevel.ParkingLot()
        self._capacity = capacity
        self._resume = resume
        self._was_full = False
        self._closed = False

    def has_room(self) -> bool:
        """False when the pump has to stop receiving; reading calls `resume` later."""
        self._was_full = len(self._messages) >= self._capacity
        return not self._was_full

    def put(self, message: Received) -> None:
        self._messages.append(message)
        self._readers.unpark()

    async def receive(self) -> Received:
        """The next message. Raises trio.ClosedResourceError when the bus is closed."""
        await trio.lowlevel.checkpoint()
        while not self._closed and not self._messages:
            await self._readers.park()
        if self._closed:
            raise trio.ClosedResourceError("this bus is closed")
        message = self._messages.popleft()
        if self._was_full and len(self._messages) <= self._capacity // 2:
            self._resume()
        return message

    def __aiter__(self) -> "Inbox[Received]":
        return self

    async def __anext__(self) -> Received:
        return await self.receive()

    def close(self) -> None:
        self._closed = True
        self._readers.unpark_all()


class _Outbox:
    """What waits for one address, and the tasks that wait for room in it."""

    __slots__ = ("bodies", "gone", "senders")

    def __init__(self) -> None:
        self.bodies: deque[bytes] = deque()
        self.senders = trio.lowlevel.ParkingLot()
        self.gone = False


class Pump(Generic[Received]):
    """Carries messages between a socket, one inbox and an outbox per address.

    `accept` turns received frames into a message, or into None to drop them.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        limits: BusLimits,
        accept: Callable[[Sequence[zmq.Frame]], Received | None],
    ) -> None:
        self.inbox: Inbox[Received] = Inbox(limits.incoming_messages, self.pump)
        self._socket = socket
        self._limits = limits
        self._accept = accept
        self._outboxes: dict[bytes, _Outbox] = {}
        self._wait = trio.CancelScope()
        self._closed = False

    async def run(self) -> None:
        """Pump whenever the socket may have changed, for ever."""
        while True:
            self._wait = trio.CancelScope()
            self.pump()
            with self._wait:
                await trio.lowlevel.wait_readable(self._socket.FD)

    async def send(self, address: bytes, body: bytes) -> bool:
        """Queue a body, waiting while the outbox is full. False: nobody has this address.

        Cancelled means not queued.
        """
        self._limits.check(body)
        await trio.lowlevel.checkpoint()
        outbox = await self._outbox_with_room(address)
        if not outbox.gone:
            outbox.bodies.append(body)
            self.pump()
        return not outbox.gone

    async def _outbox_with_room(self, address: bytes) -> _Outbox:
        while not self._closed:
            outbox = self._outboxes.setdefault(address, _Outbox())
            if len(outbox.bodies) < self._limits.outbox_messages:
                return outbox
            await outbox.senders.park()
            if outbox.gone:
                return outbox
        raise trio.ClosedResourceError("this bus is closed")

    def pump(self) -> None:
        """Send and receive until nothing moves. The one function that touches the socket."""
        budget = self._limits.incoming_messages
        while not self._closed:
            readable = can_receive(self._socket)
            sent = self._send_waiting()
            received = self._receive(budget) if readable else 0
            budget -= received
            if not (sent or received) or budget <= 0:
                break
        self._plan_next(exhausted=budget <= 0)

    def _plan_next(self, *, exhausted: bool) -> None:
        """When to pump again even if FD says nothing."""
        if exhausted:
            self._wait.deadline = -math.inf  # as soon as the other tasks have had their turn
        elif self._outboxes:
            self._wait.deadline = trio.current_time() + _RETRY_SECONDS
        else:
            self._wait.deadline = math.inf

    def _receive(self, at_most: int) -> int:
        received = 0
        while received < at_most and self.inbox.has_room():
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            received += 1
            message = self._accept(frames)
            if message is not None:
                self.inbox.put(message)
        return received

    def _send_waiting(self) -> int:
        return sum(self._send_to(*item) for item in tuple(self._outboxes.items()))

    def _send_to(self, address: bytes, outbox: _Outbox) -> int:
        """Send what this address takes now; returns how many."""
        sent = 0
        try:
            while outbox.bodies:
                self._send_frames(address, outbox.bodies[0])
                outbox.bodies.popleft()
                sent += 1
        except zmq.Again:
            pass  # full: kept, in order, for a later turn
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            self._forget(address, outbox)
            return sent
        outbox.senders.unpark(count=sent)
        if not outbox.bodies and not outbox.senders:
            del self._outboxes[address]
        return sent

    def _send_frames(self, address: bytes, body: bytes) -> None:
        if (
            address
        ):  # a ROUTER refuses here or not at all: the body then goes where the address went
            self._socket.send(address, zmq.NOBLOCK | zmq.SNDMORE)
        self._socket.send(body, zmq.NOBLOCK)

    def _forget(self, address: bytes, outbox: _Outbox) -> None:
        outbox.gone = True
        outbox.bodies.clear()
        outbox.senders.unpark_all()
        del self._outboxes[address]

    async def flush(self) -> None:
        """Wait until ZeroMQ has taken every queued body. Only when `run` has ended."""
        while self._outboxes:
            with trio.move_on_after(_RETRY_SECONDS):
                await trio.lowlevel.wait_readable(self._socket.FD)
            self.pump()

    def close(self) -> None:
        """Wake everybody who waits with trio.ClosedResourceError; never touch the socket again."""
        self._closed = True
        self.inbox.close()
        for outbox in self._outboxes.values():
            outbox.senders.unpark_all()
