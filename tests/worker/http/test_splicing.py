"""Bytes of a sized body from socket to socket: exactly so many, and no pipe is lost over it."""

import contextlib
import socket

import pytest
import trio

from tests.harness.descriptors import open_descriptors
from worker.http.bodies import ChunkedBody, Malformed, SizedBody
from worker.http.splicing import Pipes, splice, worth_splicing
from worker.http.wire import Wire
from worker.net.leg import PlainLeg

BODY = bytes(range(256)) * 1024
PATIENCE_SECONDS = 30


class Way:
    """A source and a sink, the far ends of both, and pipes of their own."""

    def __init__(self, stack, most=2):
        self.speaker, near = self._tcp(stack)
        self.hearer, far = self._tcp(stack)
        self.source, self.sink = Wire(PlainLeg(near), self._count), Wire(PlainLeg(far), self._count)
        self.pipes = Pipes(most)
        stack.callback(self.pipes.close)
        self.counted = self.moves = 0

    def _tcp(self, stack):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            one = stack.enter_context(socket.create_connection(listener.getsockname()))
            other, _ = listener.accept()
        return one, stack.enter_context(other)

    def _count(self, count):
        self.counted += count

    def moved(self):
        self.moves += 1

    async def splice(self, body):
        return await splice(self.source, body, self.sink, self.moved, self.pipes)

    def say(self, data):
        self.speaker.sendall(data)

    async def heard(self, count):
        stream, got = trio.SocketStream(trio.socket.from_stdlib_socket(self.hearer)), b""
        while len(got) < count:
            got += await stream.receive_some(count - len(got))
        return got

    async def no_more_can_be_sent(self):
        """Fill the way to the hearer."""
        sock = self.sink.leg.sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # or it grows now and then
        is_full = False
        while not is_full:
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock.send(bytes(65536))
            with trio.move_on_after(0.1) as waiting:
                await trio.lowlevel.wait_writable(sock)
            is_full = waiting.cancelled_caught


@pytest.fixture
async def way():
    with contextlib.ExitStack() as stack, trio.fail_after(PATIENCE_SECONDS):
        yield Way(stack)


async def test_nothing_beyond_the_body_is_read(way):
    way.say(BODY + b"GET / HTTP/1.1")
    body = SizedBody(len(BODY))
    while not body.is_over:
        assert await way.splice(body)
    assert await way.heard(len(BODY)) == BODY
    assert way.source.leg.sock.recv(100) == b"GET / HTTP/1.1"
    assert way.counted == len(BODY)
    assert (way.moves > 0, way.pipes.lent) == (True, 0)


async def test_it_waits_for_the_body_without_a_pipe(way):
    body = SizedBody(3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(way.splice, body)
        await trio.testing.wait_all_tasks_blocked()
        assert (way.pipes.lent, body.left) == (0, 3)
        way.say(b"abc")
    assert await way.heard(3) == b"abc"


async def test_a_source_that_ends_too_early_is_told(way):
    way.say(b"ab")
    way.speaker.close()
    body = SizedBody(3)
    assert await way.splice(body)
    with pytest.raises(Malformed, match="1 bytes of the body are missing"):
        await way.splice(body)
    assert way.pipes.lent == 0


async def test_what_a_slow_reader_leaves_waits_in_a_pipe(way):
    await way.no_more_can_be_sent()
    way.say(b"abc")
    body = SizedBody(3)
    with trio.move_on_after(0.05):
        await way.splice(body)
    assert (way.counted, body.left) == (0, 0)
    assert way.pipes.lent == 0  # it was cancelled


async def test_a_pipe_with_something_in_it_is_not_used_again(way):
    await way.no_more_can_be_sent()
    before = open_descriptors()
    for _ in range(3):
        way.say(b"old")
        with trio.move_on_after(0.02):
            await way.splice(SizedBody(3))
    assert way.counted == 0
    assert not open_descriptors() - before


async def test_without_a_pipe_nothing_is_read(way):
    while way.pipes.lend():
        pass
    assert way.pipes.lent == 2
    way.say(b"abc")
    assert not await way.splice(SizedBody(3))
    assert way.source.leg.sock.recv(100) == b"abc"


@pytest.mark.parametrize("who", ["source", "sink"])
async def test_who_is_lost_is_marked(way, who):
    if who == "sink":
        way.say(b"abc")
    PlainLeg(way.speaker if who == "source" else way.hearer).abort()
    lost, other = way.source, way.sink
    if who == "sink":
        lost, other = other, lost
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(ConnectionError):
        await way.splice(SizedBody(6))
    assert (lost.is_lost, other.is_lost, way.pipes.lent) == (True, False, 0)


async def test_what_is_worth_it(way):
    large = SizedBody(1_000_000)
    assert worth_splicing(way.source, large, way.sink) is large
    assert worth_splicing(way.source, SizedBody(10_000), way.sink) is None
    assert worth_splicing(way.source, ChunkedBody(), way.sink) is None
    way.source.unread = b"x"
    assert worth_splicing(way.source, large, way.sink) is None
