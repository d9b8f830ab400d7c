"""The rest of a sized body from one connection to another: so many bytes, as fast as the sink takes them."""

import contextlib
import socket

import pytest
import trio

from worker.http.bodies import Malformed, SizedBody
from worker.http.carrying import can_carry, carry
from worker.http.wire import Wire
from worker.net.leg import PlainLeg

native = pytest.importorskip("worker.http._carry")

BODY = bytes(range(256)) * 1024
PATIENCE_SECONDS = 30


class Way:
    """A source and a sink, and the far ends of both."""

    def __init__(self, stack):
        self.speaker, near = self._tcp(stack)
        self.hearer, far = self._tcp(stack)
        self.source, self.sink = Wire(PlainLeg(near), self._count), Wire(PlainLeg(far), self._count)
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

    async def carry(self, body):
        await carry(self.source, body, self.sink, self.moved)

    def say(self, data):
        self.speaker.sendall(data)

    async def heard(self, count):
        stream, got = trio.SocketStream(trio.socket.from_stdlib_socket(self.hearer)), b""
        while len(got) < count:
            got += await stream.receive_some(count - len(got))
        return got

    async def no_more_can_be_sent(self):
        """Fill the way to the hearer; how many bytes that took."""
        sock, sent = self.sink.leg.sock, 0
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # or it grows now and then
        is_full = False
        while not is_full:
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += sock.send(bytes(65536))
            with trio.move_on_after(0.1) as waiting:
                await trio.lowlevel.wait_writable(sock)
            is_full = waiting.cancelled_caught
        return sent


@pytest.fixture
async def way():
    with contextlib.ExitStack() as stack, trio.fail_after(PATIENCE_SECONDS):
        yield Way(stack)


async def test_nothing_beyond_the_body_is_read(way):
    way.say(BODY + b"GET / HTTP/1.1")
    await way.carry(SizedBody(len(BODY)))
    assert await way.heard(len(BODY)) == BODY
    assert way.source.leg.sock.recv(100) == b"GET / HTTP/1.1"
    assert way.counted == len(BODY)
    assert way.sink.has_sent


async def test_every_part_that_comes_goes_on_at_once_and_is_told(way):
    body = SizedBody(6)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(way.carry, body)
        for number, part in enumerate((b"abc", b"de", b"f")):
            await trio.testing.wait_all_tasks_blocked()
            assert way.moves == number
            way.say(part)
            assert await way.heard(len(part)) == part
    assert (way.moves, way.counted, body.is_over) == (3, 6, True)


async def test_a_large_body_leaves_others_their_turn(way):
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    size = 6_000_000
    way.speaker.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, way.say, bytes(size))
        nursery.start_soon(way.heard, size)
        nursery.start_soon(count_turns)
        await way.carry(SizedBody(size))
        assert turns >= size // 520_000
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("much", [b"", b"ab"])
async def test_a_source_that_ends_too_early_is_told(way, much):
    way.say(much)
    way.speaker.close()
    with pytest.raises(Malformed, match=f"{3 - len(much)} bytes of the body are missing"):
        await way.carry(SizedBody(3))
    assert not way.source.is_lost
    assert way.counted == len(much)


async def test_nothing_is_read_while_the_sink_is_full(way):
    filled = await way.no_more_can_be_sent()
    way.say(BODY)
    body = SizedBody(len(BODY))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(way.carry, body)
        await trio.testing.wait_all_tasks_blocked()
        held = len(BODY) - body.left
        assert 0 < held < 65_536
        assert (way.counted, way.moves) == (0, 0)
        assert await way.heard(filled + len(BODY)) == bytes(filled) + BODY
    assert (way.counted, body.left) == (len(BODY), 0)


@pytest.mark.parametrize("who", ["source", "sink"])
async def test_who_is_lost_is_marked(way, who):
    if who == "sink":
        way.say(b"abc")
    PlainLeg(way.speaker if who == "source" else way.hearer).abort()
    lost, other = way.source, way.sink
    if who == "sink":
        lost, other = other, lost
    with pytest.raises(ConnectionError):
        await way.carry(SizedBody(6))
    assert (lost.is_lost, other.is_lost) == (True, False)


async def test_what_was_read_already_goes_first(way):
    assert can_carry(way.source, way.sink)
    way.source.unread = b"x"
    assert not can_carry(way.source, way.sink)


async def test_without_the_native_modules_nothing_can(way, monkeypatch):
    monkeypatch.setattr("worker.http.native.is_built", False)
    assert not can_carry(way.source, way.sink)
