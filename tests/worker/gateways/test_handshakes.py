"""Who waits for a handshake, until when, and that each is told one thing, once."""

import contextlib
import os
import socket

import pytest

from tests.fakes.rig import eventually
from worker.gateways.handshakes import Handshakes
from worker.tls.stepping import Want

TIMEOUT_SECONDS = 10.0


class FakeHandshake:
    """Its steps are what the test has put there; readable whenever the peer has sent something."""

    def __init__(self, *steps):
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.steps = list(steps)

    def step(self):
        with contextlib.suppress(BlockingIOError):
            self.sock.recv(100)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


class Caller:
    def __init__(self, *steps):
        self.handshake = FakeHandshake(*steps)
        self.told = []

    def done(self):
        self.told.append("done")

    def failed(self, error):
        self.told.append(error)

    def too_slow(self):
        self.told.append("too slow")

    def send(self):
        self.handshake.peer.send(b"x")


class Desk:
    def __init__(self):
        self.now = 0.0
        self.batches = 0
        self.callers = []
        self.handshakes = Handshakes(TIMEOUT_SECONDS, lambda: self.now, self._count)

    def _count(self):
        self.batches += 1

    def begin(self, *steps):
        caller = Caller(*steps)
        self.callers.append(caller)
        self.handshakes.begin(caller)
        return caller


@pytest.fixture
async def desk(nursery):
    made = Desk()
    nursery.start_soon(made.handshakes.attend)
    yield made
    nursery.cancel_scope.cancel()
    for caller in made.callers:
        caller.handshake.sock.close()
        caller.handshake.peer.close()


async def test_a_handshake_of_three_steps(desk):
    caller = desk.begin(Want.READ, Want.WRITE, Want.NOTHING)
    assert caller.told == []
    caller.send()
    await eventually(lambda: caller.told)
    assert caller.told == ["done"]
    assert desk.batches >= 1


async def test_one_that_is_over_at_once_is_not_waited_for(desk):
    assert desk.begin(Want.NOTHING).told == ["done"]


async def test_what_went_wrong_is_told_at_once_or_later(desk):
    first, later = ValueError("first"), ValueError("later")
    assert desk.begin(first).told == [first]
    caller = desk.begin(Want.READ, later)
    caller.send()
    await eventually(lambda: caller.told)
    assert caller.told == [later]


async def test_who_is_forgotten_is_told_nothing(desk):
    caller, other = desk.begin(Want.READ, Want.NOTHING), desk.begin(Want.READ, Want.NOTHING)
    desk.handshakes.forget(caller)
    caller.send()
    other.send()
    await eventually(lambda: other.told)
    assert caller.told == []


async def test_who_is_too_slow_is_told_so_and_the_others_are_not(desk):
    slow = desk.begin(Want.READ)
    desk.now = 6.0
    other = desk.begin(Want.READ)
    desk.now = TIMEOUT_SECONDS + 0.1
    await eventually(lambda: slow.told)
    assert (slow.told, other.told) == (["too slow"], [])


async def test_who_drips_keeps_the_deadline_of_its_beginning(desk):
    """Though others that began later are still under way."""
    dripping = desk.begin(Want.READ, Want.READ)
    desk.now = 5.0
    desk.begin(Want.READ)
    dripping.send()
    await eventually(lambda: not dripping.handshake.steps)
    desk.now = TIMEOUT_SECONDS + 0.1
    await eventually(lambda: dripping.told)
    assert dripping.told == ["too slow"]


async def test_one_descriptor_may_serve_again(desk):
    first = desk.begin(Want.READ, Want.NOTHING)
    first.send()
    await eventually(lambda: first.told)
    second = Caller(Want.READ, Want.NOTHING)
    with second.handshake.sock as made:
        descriptor = os.dup2(made.fileno(), first.handshake.sock.detach())
    second.handshake.sock = socket.socket(fileno=descriptor)
    desk.callers.append(second)
    desk.handshakes.begin(second)
    second.send()
    await eventually(lambda: second.told)
    assert (first.told, second.told) == (["done"], ["done"])
