"""The pump alone, on two ZeroMQ sockets of one process, where each step can be forced."""

import select
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
import zmq

from cluster.bus import BusLimits
from cluster.bus.pump import Pump

TINY = BusLimits(high_water_mark=5, incoming_messages=5, outbox_messages=5)


@pytest.fixture
def sockets(tmp_path):
    """A plain socket for the far side, and one for the pump."""
    with (
        zmq.Context() as context,
        context.socket(zmq.DEALER) as far,
        context.socket(zmq.DEALER) as near,
    ):
        for each in (far, near):
            each.linger = 0
            each.set_hwm(5)
        far.bind(f"ipc://{tmp_path}/pump")
        near.connect(f"ipc://{tmp_path}/pump")
        yield far, near


@asynccontextmanager
async def running(pump):
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump.run)
            yield pump
            nursery.cancel_scope.cancel()


def body_of(frames):
    return frames[0].bytes


def wait_for_signal(socket):
    """Block the whole process until the descriptor is readable: no task can run meanwhile."""
    assert select.select([socket.FD], [], [], 10)[0]


async def test_a_send_that_consumes_the_signal_of_a_message_receives_the_message(sockets):
    """The trap of the edge: the waiting task is never woken, so the sender has to do its work."""
    far, near = sockets
    pump = Pump(near, BusLimits(), body_of)
    async with running(pump):
        await pump.send(b"", b"ready")
        await trio.testing.wait_all_tasks_blocked()  # the pump's own task waits for FD
        assert far.recv() == b"ready"
        far.send(b"an answer")
        wait_for_signal(near)
        pump.pump()  # what a send does; the signal is gone now
        assert not select.select([near.FD], [], [], 0)[0]
        assert await pump.inbox.receive() == b"an answer"


class Interrupted:
    """A socket to which a message arrives while it sends, so that sending consumes the signal."""

    def __init__(self, socket, far):
        self._socket = socket
        self._far = far

    def __getattr__(self, name):
        return getattr(self._socket, name)

    def send(self, *args):
        self._socket.send(*args)
        self._far.send(b"meanwhile")
        wait_for_signal(self._socket)
        self._socket.get(zmq.EVENTS)


async def test_a_message_that_arrives_during_a_send_is_received(sockets):
    far, near = sockets
    pump = Pump(Interrupted(near, far), BusLimits(), body_of)
    with trio.fail_after(30):
        assert await trio.to_thread.run_sync(far.poll, 10_000, zmq.POLLOUT)
        async with running(pump):
            await trio.testing.wait_all_tasks_blocked()  # the pump's own task waits for FD
            await pump.send(b"", b"a question")
            assert await pump.inbox.receive() == b"meanwhile"


async def test_several_readers_share_one_inbox(sockets):
    far, near = sockets
    pump = Pump(near, TINY, body_of)
    read = []

    async def read_some():
        for _ in range(100):
            number = int(await pump.inbox.receive())
            read.append(number)

    async with running(pump), trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(read_some)
        for number in range(500):
            await trio.to_thread.run_sync(far.send, b"%d" % number)
    assert sorted(read) == list(range(500))


@pytest.mark.slow
async def test_receiving_stops_at_the_bound_and_goes_on_when_read(sockets):
    far, near = sockets
    taken = []
    pump = Pump(near, TINY, lambda frames: taken.append(body_of(frames)) or taken[-1])
    async with running(pump):
        sent = 0
        while far.poll(300, zmq.POLLOUT):
            far.send(b"%d" % sent)
            sent += 1
            await trio.lowlevel.checkpoint()
        assert sent > 10
        assert taken == [b"%d" % number for number in range(5)]
        for number in range(sent):
            assert await pump.inbox.receive() == b"%d" % number


async def test_a_flood_of_dropped_messages_does_not_hold_up_other_tasks(sockets):
    far, near = sockets
    dropped = 0

    def drop_and_refill(frames):  # a flood that never ends by itself
        nonlocal dropped
        dropped += 1
        while far.poll(0, zmq.POLLOUT):
            far.send(b"rubbish")
        near.poll(1000)

    pump = Pump(near, TINY, drop_and_refill)
    with trio.fail_after(30):
        assert await trio.to_thread.run_sync(far.poll, 10_000, zmq.POLLOUT)
        far.send(b"rubbish")
        async with running(pump):
            while dropped < 100:  # noqa: ASYNC110 - it is the coming back that is tested
                await trio.sleep(0.001)
        assert dropped < 1000


async def test_no_message_is_lost_when_a_reader_is_cancelled(sockets):
    far, near = sockets
    pump = Pump(near, TINY, body_of)
    async with running(pump):
        for number in range(50):
            with trio.move_on_after(0):
                await pump.inbox.receive()
                pytest.fail("nothing was there to be read")
            far.send(b"%d" % number)
            assert await pump.inbox.receive() == b"%d" % number


async def test_closing_wakes_everybody_who_waits(sockets):
    _, near = sockets
    pump = Pump(near, TINY, body_of)
    woken = []

    async def wait(function, *args):
        try:
            while True:
                await function(*args)
        except trio.ClosedResourceError:
            woken.append(function)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, pump.inbox.receive)
            nursery.start_soon(wait, pump.send, b"", b"x")
            await trio.testing.wait_all_tasks_blocked()
            pump.close()
    assert len(woken) == 2
