"""Two tasks on one leg, with a leg that is scripted to want the wrong readiness."""

import socket
from contextlib import suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from worker.net.leg import WouldBlockRead, WouldBlockWrite
from worker.relay.side import Side


class ScriptedLeg:
    """Answers each call as the test last said: an exception to raise, a count, or a function.

    `sock` is a real socket, so the waiting is real; nothing is ever read from it here.
    """

    def __init__(self, **answers):
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.peer.setblocking(False)
        self.calls = []
        self.will(**answers)

    def will(self, **answers):
        self.answers = answers

    def _answer(self, call):
        self.calls.append(call)
        answer = self.answers[call]
        if isinstance(answer, type):
            raise answer
        return answer() if callable(answer) else answer

    def recv_into(self, buffer):
        return self._answer("recv")

    def send(self, data):
        return self._answer("send")

    def shutdown_write(self):
        self._answer("end")

    def make_readable(self):
        self.peer.send(b"!")

    def make_unwritable(self):
        with suppress(BlockingIOError):
            while True:
                self.sock.send(b"x" * 65536)

    def make_writable(self):
        with suppress(BlockingIOError):
            while True:
                self.peer.recv(1 << 20)

    def close(self):
        self.sock.close()
        self.peer.close()


@pytest.fixture
def leg_of():
    legs = []

    def make(**scripts):
        legs.append(ScriptedLeg(**scripts))
        return legs[-1]

    yield make
    for leg in legs:
        leg.close()


BUFFER = memoryview(bytearray(10))


class Tasks:
    """Runs `receive` and `send` of a side and notes what became of them."""

    def __init__(self, side):
        self.side = side
        self.done = []

    async def receive(self):
        self.done.append(("received", await self.side.receive(BUFFER)))

    async def send(self, data=b"abc"):
        moved = []
        await self.side.send(memoryview(bytearray(data)), moved.append)
        self.done.append(("sent", sum(moved)))


async def test_a_send_that_wants_to_read_shares_the_wait_of_a_receive(leg_of):
    """Both wait for the same readiness of one descriptor, which trio alone would refuse."""
    leg = leg_of(recv=WouldBlockRead, send=WouldBlockRead)
    tasks = Tasks(Side(leg))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tasks.receive)
            await wait_all_tasks_blocked()
            nursery.start_soon(tasks.send)
            await wait_all_tasks_blocked()
            assert tasks.done == []
            leg.will(recv=7, send=3)
            leg.make_readable()
    assert sorted(tasks.done) == [("received", 7), ("sent", 3)]


async def test_a_receive_that_wants_to_write_shares_the_wait_of_a_send(leg_of):
    leg = leg_of(recv=WouldBlockWrite, send=WouldBlockWrite)
    leg.make_unwritable()
    tasks = Tasks(Side(leg))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tasks.send)
            nursery.start_soon(tasks.receive)
            await wait_all_tasks_blocked()
            assert tasks.done == []
            leg.will(recv=7, send=3)
            leg.make_writable()
    assert sorted(tasks.done) == [("received", 7), ("sent", 3)]


async def test_the_second_waiter_goes_on_when_the_first_is_cancelled(leg_of):
    leg = leg_of(recv=WouldBlockRead, send=WouldBlockRead)
    tasks = Tasks(Side(leg))
    receiving = trio.CancelScope()

    async def receive():
        with receiving:
            await tasks.receive()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await wait_all_tasks_blocked()
            nursery.start_soon(tasks.send)
            await wait_all_tasks_blocked()
            receiving.cancel()
            await wait_all_tasks_blocked()
            leg.will(send=3)
            leg.make_readable()  # the second one waits for itself now
    assert tasks.done == [("sent", 3)]


async def test_a_receive_that_took_what_a_crossed_send_waits_for_wakes_it(leg_of):
    """The socket never becomes readable: the bytes are in the TLS library already."""

    def takes_all():
        leg.will(send=3)
        return 7

    leg = leg_of(send=WouldBlockRead)
    tasks = Tasks(Side(leg))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tasks.send)
            await wait_all_tasks_blocked()
            leg.will(recv=takes_all, send=WouldBlockRead)
            nursery.start_soon(tasks.receive)
    assert sorted(tasks.done) == [("received", 7), ("sent", 3)]


async def test_a_receive_that_got_nothing_for_itself_wakes_a_crossed_send_too(leg_of):
    """It may have read a handshake message, which is nothing for it and all for the send."""

    def takes_a_handshake_message():
        leg.will(recv=WouldBlockRead, send=3)
        raise WouldBlockRead

    leg = leg_of(recv=takes_a_handshake_message, send=WouldBlockRead)
    tasks = Tasks(Side(leg))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tasks.send)
            await wait_all_tasks_blocked()
            nursery.start_soon(tasks.receive)
            await wait_all_tasks_blocked()
            assert tasks.done == [("sent", 3)]
            leg.will(recv=7)
            leg.make_readable()


async def test_a_crossed_send_that_went_on_wakes_a_receive(leg_of):
    """Sending read the record in which the application's data was; the socket never becomes writable."""

    def takes_all():
        leg.will(recv=7)
        return 3

    leg = leg_of(recv=WouldBlockWrite, send=WouldBlockRead)
    leg.make_unwritable()
    tasks = Tasks(Side(leg))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tasks.send)
            nursery.start_soon(tasks.receive)
            await wait_all_tasks_blocked()
            leg.will(recv=WouldBlockWrite, send=takes_all)
            leg.make_readable()
    assert tasks.done == [("sent", 3), ("received", 7)]


async def test_two_crossed_calls_do_not_keep_each_other_awake(leg_of):
    leg = leg_of(recv=WouldBlockWrite, send=WouldBlockRead)
    leg.make_unwritable()
    tasks = Tasks(Side(leg))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tasks.send)
        nursery.start_soon(tasks.receive)
        await wait_all_tasks_blocked()
        assert len(leg.calls) < 8
        nursery.cancel_scope.cancel()
    assert tasks.done == []


async def test_two_calls_on_one_readiness_do_not_keep_each_other_awake(leg_of):
    leg = leg_of(recv=WouldBlockRead, send=WouldBlockRead)
    tasks = Tasks(Side(leg))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tasks.receive)
        nursery.start_soon(tasks.send)
        await wait_all_tasks_blocked()
        assert len(leg.calls) < 8
        nursery.cancel_scope.cancel()


async def test_a_plain_leg_is_never_nudged(leg_of, monkeypatch):
    leg = leg_of(recv=WouldBlockRead, send=WouldBlockWrite)
    leg.make_unwritable()
    tasks = Tasks(Side(leg))
    nudges = []
    monkeypatch.setattr(trio.lowlevel, "notify_closing", nudges.append)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tasks.receive)
            nursery.start_soon(tasks.send)
            await wait_all_tasks_blocked()
            leg.will(recv=7, send=3)
            leg.make_readable()
            leg.make_writable()
    assert sorted(tasks.done) == [("received", 7), ("sent", 3)]
    assert nudges == []


async def test_ending_waits_until_it_is_said(leg_of):
    leg = leg_of(end=WouldBlockWrite)
    leg.make_unwritable()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Side(leg).end)
            await wait_all_tasks_blocked()
            assert leg.calls == ["end"]
            leg.will(end=None)
            leg.make_writable()
    assert leg.calls == ["end", "end"]


async def test_what_is_left_is_copied_before_another_task_may_overwrite_it(leg_of):
    leg = leg_of(send=WouldBlockWrite)
    leg.make_unwritable()
    seen = []
    send = leg.send
    leg.send = lambda data: (seen.append(data), send(data))[1]
    shared = bytearray(b"abc")
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Side(leg).send, memoryview(shared), lambda count: None)
            await wait_all_tasks_blocked()
            shared[:] = b"xyz"
            leg.will(send=3)
            leg.make_writable()
    assert bytes(seen[-1]) == b"abc"


@pytest.mark.parametrize("error", [ConnectionResetError, BrokenPipeError])
async def test_a_lost_side_says_so(leg_of, error):
    for call in ("recv", "send", "end"):
        side = Side(leg_of(**{call: error}))
        calls = {
            "recv": lambda side=side: side.receive(BUFFER),
            "send": lambda side=side: side.send(memoryview(b"abc"), lambda count: None),
            "end": side.end,
        }
        assert not side.is_lost
        with pytest.raises(error):
            await calls[call]()
        assert side.is_lost
