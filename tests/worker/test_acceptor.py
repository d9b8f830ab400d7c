import errno
import os
import resource
import socket
import subprocess
import sys

import pytest
import trio

from tests.fakes.rig import eventually
from worker.acceptor import Acceptor, Batch
from worker.arrival import accept
from worker.net.sockets import listening_socket


class Door:
    """An acceptor, and what became of whom it met."""

    def __init__(self, limit=None):
        self.sock = listening_socket("127.0.0.1", 0)
        self.place = self.sock.getsockname()
        self.admitted, self.shed, self.limit = [], 0, limit
        self.acceptor = Acceptor(self.sock, self._admit, self._count)

    def _admit(self, arrival):
        if self.limit is not None and len(self.admitted) >= self.limit:
            return False
        self.admitted.append(socket.socket(fileno=arrival[0]))
        return True

    def _count(self):
        self.shed += 1

    def close(self):
        for sock in (self.sock, *self.admitted):
            sock.close()


@pytest.fixture
def make_door():
    made = []

    def make(limit=None):
        made.append(Door(limit))
        return made[-1]

    yield make
    for door in made:
        door.close()


@pytest.fixture
def clients():
    """A function that connects so many, closed at the end."""
    made = []

    def connect(door, count):
        new = [socket.create_connection(door.place) for _ in range(count)]
        made.extend(new)
        return new

    yield connect
    for sock in made:
        sock.close()


async def test_all_that_wait_are_taken_a_batch_at_a_time(make_door, clients):
    door = make_door()
    clients(door, 70)
    batches = [door.acceptor.accept_batch() for _ in range(2)]
    assert batches == [Batch.FULL, Batch.EMPTY]
    assert len(door.admitted) == 70
    door.acceptor._drop_spare()


async def test_for_draining_all_that_wait_are_taken_at_once(make_door, clients):
    door = make_door()
    clients(door, 70)
    door.acceptor.accept_waiting()
    assert len(door.admitted) == 70
    door.acceptor._drop_spare()


async def test_beyond_the_limit_callers_are_told_no(make_door, clients):
    door = make_door(limit=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.acceptor.run)
        _, second = clients(door, 2)
        with pytest.raises(ConnectionResetError):
            await trio.to_thread.run_sync(second.recv, 1)
        assert (len(door.admitted), door.shed) == (1, 1)
        nursery.cancel_scope.cancel()


async def test_a_connection_that_died_in_the_queue_costs_nobody_else(make_door, clients):
    door = make_door()
    failures = [OSError(errno.ECONNABORTED, "x"), OSError(errno.ENETUNREACH, "x")]

    def flaky(listening):
        if failures:
            raise failures.pop()
        return accept(listening)

    clients(door, 1)
    door.acceptor._accept = flaky
    assert door.acceptor.accept_batch() is Batch.EMPTY
    assert len(door.admitted) == 1
    door.acceptor._drop_spare()


async def test_an_error_of_ours_is_not_hidden(make_door):
    door = make_door()
    door.sock.close()
    with pytest.raises(OSError, match="descriptor"):
        door.acceptor.accept_batch()
    door.acceptor._drop_spare()


async def test_given_up_before_its_first_turn_it_leaves_quietly(make_door):
    door = make_door()
    with trio.CancelScope() as scope:
        scope.cancel()
        door.sock.close()
        await door.acceptor.run()
    assert scope.cancelled_caught
    assert door.acceptor._spare is None


def test_out_of_descriptors_callers_are_told_no_and_later_ones_are_served():
    """In a process of its own: a low limit of descriptors is for all of it."""
    subprocess.run([sys.executable, __file__], check=True, timeout=90, env={"PYTHONPATH": "."})


async def _run_out_of_descriptors():
    door = Door()
    free = os.dup(0)
    os.close(free)
    callers = [socket.socket() for _ in range(20)]
    again = [socket.socket() for _ in range(5)]
    async with trio.open_nursery() as nursery:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        ceiling = max(int(name) for name in os.listdir("/proc/self/fd")) + 4
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
        nursery.start_soon(door.acceptor.run)
        for caller in callers:
            caller.connect(door.place)
        await eventually(lambda: len(door.admitted) + door.shed == 20)
        assert door.admitted, "some were taken before the limit"
        assert door.shed > 10, door.shed
        for caller, is_served in _told(callers, door):
            assert is_served or _was_reset(caller)
        for caller in again:  # the spare descriptor is there for the next shortage too
            caller.connect(door.place)
        await eventually(lambda: len(door.admitted) + door.shed == 25)
        for served in door.admitted:
            served.close()
        before, late = len(door.admitted), callers.pop()
        late.close()
        late = socket.create_connection(door.place)
        await eventually(lambda: len(door.admitted) > before)
        late.close()
        nursery.cancel_scope.cancel()


def _told(callers, door):
    served = {sock.getpeername() for sock in door.admitted}
    return [(caller, caller.getsockname() in served) for caller in callers]


def _was_reset(caller):
    caller.settimeout(30)
    try:
        caller.recv(1)
    except ConnectionResetError:
        return True
    return False


if __name__ == "__main__":
    trio.run(_run_out_of_descriptors)
