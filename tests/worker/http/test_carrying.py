"""The rest of a sized body from one connection to another: so many bytes, as fast as the sink takes them."""

import pytest
import trio

from tests.contracts.relay_wire import PAIRS, open_wire
from worker.http.bodies import Malformed, SizedBody
from worker.http.carrying import can_carry, carry, carry_at_once
from worker.http.wire import Wire

native = pytest.importorskip("worker.http._carry")

BODY = bytes(range(251)) * 4000
PIECE_BYTES = 64_512
PATIENCE_SECONDS = 30


class Way:
    """A source and a sink, and the far ends of both."""

    def __init__(self, wire):
        self.wire = wire
        self.speaker, self.hearer = wire.client, wire.upstream
        self.source = Wire(wire.client_leg, self._count)
        self.sink = Wire(wire.upstream_leg, self._count)
        self.counted = self.moves = 0

    def _count(self, count):
        self.counted += count

    def moved(self):
        self.moves += 1

    async def carry(self, body):
        return await carry(self.source, body, self.sink, self.moved)

    async def heard(self, count):
        got = b""
        while len(got) < count:
            got += await self.hearer.receive(count - len(got))
        return got


@pytest.fixture(params=PAIRS)
async def pair(request):
    return request.param


@pytest.fixture
async def way(pair):
    with trio.fail_after(PATIENCE_SECONDS):
        wire = await open_wire(pair)
        yield Way(wire)
        wire.close()


async def test_nothing_beyond_the_body_is_read(way, nursery):
    body = SizedBody(len(BODY))
    nursery.start_soon(way.speaker.send, BODY + b"GET / HTTP/1.1")
    nursery.start_soon(way.carry, body)
    assert await way.heard(len(BODY)) == BODY
    assert await way.source.more()
    assert way.source.unread == b"GET / HTTP/1.1"
    assert (way.counted, body.is_over, way.sink.has_sent) == (len(BODY), True, True)


async def test_every_part_that_comes_goes_on_at_once_and_is_told(way, nursery):
    body = SizedBody(6)
    nursery.start_soon(way.carry, body)
    for number, part in enumerate((b"abc", b"de", b"f")):
        await trio.testing.wait_all_tasks_blocked()
        assert way.moves == number
        await way.speaker.send(part)
        assert await way.heard(len(part)) == part
    await trio.testing.wait_all_tasks_blocked()
    assert (way.moves, way.counted, body.is_over) == (3, 6, True)


@pytest.mark.parametrize("pair", ["plain-plain", "tls-plain"])
async def test_one_call_leaves_others_their_turn(way, nursery):
    body = SizedBody(20_000_000)
    nursery.start_soon(way.speaker.send, bytes(body.left))
    nursery.start_soon(way.heard, body.left)
    state = native.MORE_LATER
    while body.left > 1_000_000:
        before = body.left
        state, rest = carry_at_once(way.source, body, way.sink)
        if rest:
            await way.sink.send(rest)
        assert before - body.left <= 16 * PIECE_BYTES
        if state == native.MORE_LATER:
            await way.source.wait()
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("much", [b"", b"ab"])
async def test_a_source_that_ends_too_early_is_told(way, much):
    if much:
        await way.speaker.send(much)
    await way.speaker.half_close()
    with pytest.raises(Malformed, match=f"{3 - len(much)} bytes of the body are missing"):
        await way.carry(SizedBody(3))
    assert not way.source.is_lost
    assert way.counted == len(much)


async def test_little_is_held_while_the_sink_is_full(pair, nursery):
    wire = await open_wire(pair, small_buffers=True)
    way, body = Way(wire), SizedBody(len(BODY))
    nursery.start_soon(way.speaker.send, BODY)
    nursery.start_soon(way.carry, body)
    for _ in range(5):
        await trio.testing.wait_all_tasks_blocked(0.05)
    held = len(BODY) - body.left - way.counted
    assert 0 < held <= PIECE_BYTES
    assert body.left > 0
    with trio.fail_after(PATIENCE_SECONDS):
        assert await way.heard(len(BODY)) == BODY
    await trio.testing.wait_all_tasks_blocked()
    assert (way.counted, body.left) == (len(BODY), 0)
    wire.close()


@pytest.mark.parametrize("who", ["source", "sink"])
async def test_who_is_lost_is_marked(way, who):
    lost, other = way.source, way.sink
    if who == "sink":
        await way.speaker.send(b"abc")
        lost, other = other, lost
    (way.speaker if who == "source" else way.hearer).reset()
    with pytest.raises(ConnectionError):
        await way.carry(SizedBody(6))
    assert (lost.is_lost, other.is_lost) == (True, False)


async def test_an_answer_can_be_read_though_its_sender_has_hung_up(way):
    await way.hearer.send(b"413")
    way.hearer.reset()
    await way.speaker.send(b"abc")
    with pytest.raises(ConnectionError):
        await way.carry(SizedBody(6))
    assert await way.sink.more()
    assert way.sink.unread == b"413"


@pytest.mark.parametrize("pair", ["tls-plain"])
async def test_what_cannot_be_read_for_now_is_read_the_other_way(way, monkeypatch):
    monkeypatch.setattr(native, "carry", lambda source, sink, left: (native.CROSSED, 0, b""))
    body = SizedBody(3)
    assert not await way.carry(body)
    assert body.left == 3


@pytest.mark.parametrize("pair", ["plain-plain"])
async def test_what_was_read_already_goes_first(way):
    assert can_carry(way.source)
    way.source.unread = b"x"
    assert not can_carry(way.source)


@pytest.mark.parametrize("pair", ["plain-plain"])
async def test_without_the_native_modules_nothing_can(way, monkeypatch):
    monkeypatch.setattr("worker.http.carrying._IS_POSSIBLE", False)
    assert not can_carry(way.source)
