"""What every relay engine keeps to, on real sockets, for every kind of legs.

In-memory pipes would hide what matters here: resets, full socket buffers, descriptors.
"""

import gc
import hashlib
import random
import socket
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from cluster.reasons import End
from tests.contracts.relay_wire import (
    PAIRS,
    open_wire,
    receive_all,
    receive_exactly,
)
from tests.fakes.engines import ENGINES
from tests.fakes.rig import eventually
from tests.harness.descriptors import open_descriptors
from worker.relay.engine import Flow, RelayLimits

NO_LIMITS = RelayLimits()
CHUNK = b"x" * 65536
GONE = (OSError, trio.ClosedResourceError)  # reset by the other side, or closed by the test itself


@pytest.fixture(params=sorted(ENGINES))
async def engine(request, nursery):
    made = ENGINES[request.param]()
    await nursery.start(made.attend)
    return made


@pytest.fixture(params=sorted(PAIRS))
def pair(request):
    return request.param


@pytest.fixture
async def wire(pair):
    opened = await open_wire(pair)
    yield opened
    opened.close()


@pytest.fixture
async def tight_wire(pair):
    opened = await open_wire(pair, small_buffers=True)
    yield opened
    opened.close()


class Running:
    """An engine's run in a task of its own: its flow, and its ending once it is there."""

    def __init__(self):
        self.flow = Flow()
        self.end = None
        self.over = trio.Event()
        self.scope = trio.CancelScope()

    async def run(self, engine, wire, limits):
        with self.scope:
            self.end = await engine.run(wire.client_leg, wire.upstream_leg, self.flow, limits)
        self.over.set()

    async def ended(self):
        await self.over.wait()
        return self.end


@asynccontextmanager
async def running(engine, wire, limits=NO_LIMITS):
    run = Running()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.run, engine, wire, limits)
            yield run


async def assert_reset(peer):
    """The peer's stream is cut: a reset, and no orderly end."""
    with pytest.raises(ConnectionResetError):
        await receive_all(peer)


async def fill(peer, flow_bytes):
    """Send until everything on the way is full; how many bytes went in."""
    sent = quiet = 0
    while quiet < 3:  # one quiet look may be a pause of the machine
        before = sent, flow_bytes()
        with trio.move_on_after(0.1):
            while True:
                await peer.send(b"y" * 1024)
                sent += 1024
        quiet = quiet + 1 if before == (sent, flow_bytes()) else 0
    return sent


async def test_bytes_go_both_ways_and_are_counted(engine, wire):
    async with running(engine, wire) as run:
        await wire.client.send(b"hello")
        assert await receive_exactly(wire.upstream, 5) == b"hello"
        await wire.upstream.send(b"welcome")
        assert await receive_exactly(wire.client, 7) == b"welcome"
        # Live, not only at the end; an engine may count what it has sent a moment later.
        await eventually(lambda: (run.flow.up_bytes, run.flow.down_bytes) == (5, 7))
        await wire.client.half_close()
        await wire.upstream.half_close()
        assert await run.ended() is End.FINISHED


async def test_no_bytes_at_all(engine, wire):
    async with running(engine, wire) as run:
        await wire.client.half_close()
        assert await receive_all(wire.upstream) == b""
        await wire.upstream.half_close()
        assert await receive_all(wire.client) == b""
        assert await run.ended() is End.FINISHED
        assert (run.flow.up_bytes, run.flow.down_bytes) == (0, 0)


async def test_answer_after_the_end_of_the_request(engine, wire):
    async with running(engine, wire) as run:
        await wire.client.send(b"request")
        await wire.client.half_close()
        assert await receive_all(wire.upstream) == b"request"
        await wire.upstream.send(b"answer")
        await wire.upstream.half_close()
        assert await receive_all(wire.client) == b"answer"
        assert await run.ended() is End.FINISHED


async def test_request_after_the_end_of_the_answer(engine, wire):
    async with running(engine, wire) as run:
        await wire.upstream.send(b"greeting")
        await wire.upstream.half_close()
        assert await receive_all(wire.client) == b"greeting"
        await wire.client.send(b"late words")
        await wire.client.half_close()
        assert await receive_all(wire.upstream) == b"late words"
        assert await run.ended() is End.FINISHED


async def test_bytes_and_ends_that_were_there_before(engine, wire):
    await wire.client.send(b"early")
    await wire.client.half_close()
    await wire.upstream.send(b"bird")
    await wire.upstream.half_close()
    async with running(engine, wire) as run:
        assert await run.ended() is End.FINISHED
        assert await receive_all(wire.upstream) == b"early"
        assert await receive_all(wire.client) == b"bird"


async def test_finishing_leaves_the_legs_open(engine, wire):
    await wire.client.half_close()
    await wire.upstream.half_close()
    async with running(engine, wire) as run:
        assert await run.ended() is End.FINISHED
    assert wire.client_leg.sock.fileno() != -1
    assert wire.upstream_leg.sock.fileno() != -1


async def test_large_random_data_both_ways_arrives_whole(engine, wire):
    size = 4_000_000
    data = {"up": random.Random(1).randbytes(size), "down": random.Random(2).randbytes(size)}
    digests = {}

    async def send(peer, name):
        position, chance = 0, random.Random(name)
        while position < size:
            step = chance.choice((1, 100, 5_000, 70_000, 300_000))
            await peer.send(data[name][position : position + step])
            position += step
        await peer.half_close()

    async def receive(peer, name):
        digests[name] = hashlib.sha256(await receive_all(peer)).digest()

    async with running(engine, wire) as run:
        async with trio.open_nursery() as both:
            both.start_soon(send, wire.client, "up")
            both.start_soon(receive, wire.upstream, "up")
            both.start_soon(send, wire.upstream, "down")
            both.start_soon(receive, wire.client, "down")
        assert await run.ended() is End.FINISHED
        assert (run.flow.up_bytes, run.flow.down_bytes) == (size, size)
    assert digests == {name: hashlib.sha256(data[name]).digest() for name in data}


@pytest.mark.parametrize("pipe_bytes", [0, 64 * 1024])
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_stalled_reader_blocks_the_sender(engine, tight_wire, direction, pipe_bytes):
    wire, limits = tight_wire, RelayLimits(buffer_bytes=16 * 1024, pipe_bytes=pipe_bytes)
    sender, reader = (
        (wire.client, wire.upstream) if direction == "up" else (wire.upstream, wire.client)
    )
    async with running(engine, wire, limits) as run:

        def moved():
            return run.flow.up_bytes + run.flow.down_bytes

        taken = await fill(sender, moved)
        assert 16 * 1024 < taken < 400 * 1024
        assert moved() < taken
        # The other direction is not held up by it.
        await reader.send(b"still here")
        assert await receive_exactly(sender, 10) == b"still here"
        # And nothing was lost.
        received = 0
        while received < taken:
            received += len(await reader.receive())
        assert received == taken
        run.scope.cancel()


@pytest.mark.parametrize("broken", ["client", "upstream"])
async def test_a_reset_is_told_apart_and_passed_on(engine, wire, broken):
    ends = {"client": End.CLIENT_RESET, "upstream": End.UPSTREAM_RESET}
    peers = {"client": wire.client, "upstream": wire.upstream}
    async with running(engine, wire) as run:
        await wire.client.send(b"some")
        assert await receive_exactly(wire.upstream, 4) == b"some"
        peers.pop(broken).reset()
        assert await run.ended() is ends[broken]
        await assert_reset(*peers.values())


@pytest.mark.parametrize("broken", ["client", "upstream"])
async def test_a_reset_in_full_flight(engine, wire, broken):
    ends = {"client": End.CLIENT_RESET, "upstream": End.UPSTREAM_RESET}
    peers = {"client": wire.client, "upstream": wire.upstream}

    told = {"client": [], "upstream": []}

    async def send_for_ever(name):
        # Whichever call comes first after a reset is told of it, and only that one.
        try:
            while True:
                await peers[name].send(CHUNK)
        except GONE as error:
            told[name].append(error)

    async def read_for_ever(name):
        try:
            while await peers[name].receive():
                pass
        except GONE as error:
            told[name].append(error)

    async with running(engine, wire) as run, trio.open_nursery() as traffic:
        for name in peers:
            traffic.start_soon(send_for_ever, name)
            traffic.start_soon(read_for_ever, name)
        while min(run.flow.up_bytes, run.flow.down_bytes) < 200_000:
            await trio.lowlevel.checkpoint()
        peers[broken].reset()
        assert await run.ended() is ends[broken]
    other = "upstream" if broken == "client" else "client"
    assert any(isinstance(error, ConnectionError) for error in told[other])


@pytest.mark.parametrize(
    ("pair", "cut"), [("tls-plain", "client"), ("plain-tls", "upstream"), ("tls-tls", "client")]
)
async def test_a_tls_stream_without_its_end_is_cut_not_finished(engine, wire, cut):
    """A FIN without close_notify may be anybody's (RFC 8446 section 6.1)."""
    ends = {"client": End.CLIENT_RESET, "upstream": End.UPSTREAM_RESET}
    peers = {"client": wire.client, "upstream": wire.upstream}
    other = peers["upstream" if cut == "client" else "client"]
    async with running(engine, wire) as run:
        await peers[cut].send(b"half a mess")
        assert await receive_exactly(other, 11) == b"half a mess"
        peers[cut].sock.shutdown(socket.SHUT_WR)
        assert await run.ended() is ends[cut]
        await assert_reset(other)


@pytest.mark.parametrize("pair", ["plain-plain", "plain-tls"], indirect=True)
@pytest.mark.parametrize("size", [3, 100_000])
@pytest.mark.parametrize("with_end", [True, False])
async def test_urgent_data_cuts_no_stream(engine, wire, size, with_end):
    """A read stops short at its mark (tcp(7)), although more is there. The urgent byte itself is dropped."""
    wire.client.sock.send(b"a" * size)
    wire.client.sock.send(b"!", socket.MSG_OOB)
    wire.client.sock.send(b"b" * size)
    if with_end:
        await wire.client.half_close()
    async with running(engine, wire) as run:
        assert await receive_exactly(wire.upstream, 2 * size) == b"a" * size + b"b" * size
        if not with_end:
            await wire.client.half_close()
        assert await receive_all(wire.upstream) == b""
        await wire.upstream.half_close()
        assert await run.ended() is End.FINISHED


async def test_a_reset_after_half_close_is_still_a_reset(engine, wire):
    async with running(engine, wire) as run:
        await wire.client.half_close()
        assert await receive_all(wire.upstream) == b""
        wire.upstream.reset()
        assert await run.ended() is End.UPSTREAM_RESET
        await assert_reset(wire.client)


@pytest.mark.parametrize("pair", [p for p in sorted(PAIRS) if p.endswith("-plain")], indirect=True)
async def test_an_early_answer_of_a_server_that_then_closes_is_delivered(engine, tight_wire):
    """A server that refuses an upload answers and closes with bytes unread, which resets.

    Over plain TCP only: OpenSSL reads nothing more once a write has failed (SSL_get_error(3)).
    """
    wire = tight_wire
    got = []

    told = []

    async def upload():
        try:
            while True:
                await wire.client.send(CHUNK)
        except ConnectionError:
            told.append("send")

    async def collect():
        try:
            while part := await wire.client.receive():
                got.append(part)
        except ConnectionError:
            told.append("receive")

    async with running(engine, wire) as run, trio.open_nursery() as client:
        client.start_soon(upload)
        client.start_soon(collect)
        await receive_exactly(wire.upstream, 10_000)
        await wire.upstream.send(b"413 too large")
        wire.upstream.close()
        assert await run.ended() is End.UPSTREAM_RESET
    assert b"".join(got) == b"413 too large"
    assert told, "a cut stream ended in order"


async def test_cancelling_closes_nothing(engine, wire):
    async with running(engine, wire) as run:
        await wire.client.send(b"some")
        assert await receive_exactly(wire.upstream, 4) == b"some"
        run.scope.cancel()
        assert await run.ended() is None
    assert wire.client_leg.sock.fileno() != -1
    assert wire.upstream_leg.sock.fileno() != -1
    # The legs can be waited for by others, and even by a second run.
    async with running(engine, wire) as run:
        await wire.client.send(b"more")
        assert await receive_exactly(wire.upstream, 4) == b"more"
        run.scope.cancel()


async def test_killed_before_it_runs(engine, wire):
    await wire.client.send(b"never to be seen")
    flow = Flow()
    flow.kill(End.INTENTION_REVOKED)
    with trio.fail_after(30):
        end = await engine.run(wire.client_leg, wire.upstream_leg, flow, NO_LIMITS)
        assert end is End.INTENTION_REVOKED
        assert flow.up_bytes == 0
        await assert_reset(wire.client)
        await assert_reset(wire.upstream)


async def test_killed_while_it_runs_the_first_reason_wins(engine, wire):
    async with running(engine, wire) as run:
        await wire.client.send(b"some")
        assert await receive_exactly(wire.upstream, 4) == b"some"
        run.flow.kill(End.INTENTION_REVOKED)
        run.flow.kill(End.CLOSED_BY_OPERATOR)
        assert await run.ended() is End.INTENTION_REVOKED
        await assert_reset(wire.client)
        await assert_reset(wire.upstream)
        assert run.flow.up_bytes == 4


async def test_killed_while_stalled(engine, tight_wire):
    async with running(engine, tight_wire) as run:
        await fill(tight_wire.client, lambda: run.flow.up_bytes)
        run.flow.kill(End.CLOSED_BY_OPERATOR)
        assert await run.ended() is End.CLOSED_BY_OPERATOR
        await assert_reset(tight_wire.upstream)


async def test_killed_after_it_ran_is_harmless(engine, wire):
    await wire.client.half_close()
    await wire.upstream.half_close()
    async with running(engine, wire) as run:
        assert await run.ended() is End.FINISHED
        run.flow.kill(End.CLOSED_BY_OPERATOR)
    assert wire.client_leg.sock.fileno() != -1


async def test_idle_for_too_long(engine, wire):
    idle, chance = 0.16, random.Random(7)
    async with running(engine, wire, RelayLimits(idle_timeout_seconds=idle)) as run:
        started = last = trio.current_time()
        # Bytes of either direction keep it, for longer than the limit in all; a machine that pauses for
        # longer than the limit ends it, but not before its time either.
        with suppress(*GONE, AssertionError):
            while last - started < 2 * idle:
                sender, reader = (
                    (wire.client, wire.upstream)
                    if chance.random() < 0.5
                    else (wire.upstream, wire.client)
                )
                sent_at = trio.current_time()
                await sender.send(b".")
                await receive_exactly(reader, 1)
                last = sent_at
                await trio.sleep(idle / 8)
        assert await run.ended() is End.IDLE_TIMEOUT
        assert trio.current_time() - last >= idle
        await assert_reset(wire.client)
        await assert_reset(wire.upstream)


async def test_too_old_although_busy(engine, wire):
    limits = RelayLimits(idle_timeout_seconds=60, max_age_seconds=0.2)
    started = trio.current_time()

    async def chat():
        with suppress(*GONE):
            while True:
                await wire.client.send(b".")
                await wire.upstream.receive()

    async with running(engine, wire, limits) as run, trio.open_nursery() as chatting:
        chatting.start_soon(chat)
        assert await run.ended() is End.MAX_AGE
        assert trio.current_time() - started >= 0.2
        chatting.cancel_scope.cancel()


async def test_a_fast_flow_leaves_time_for_the_others(engine, pair):
    """While one flow never blocks, 20 others answer; and the loop itself is not held up."""
    fast = await open_wire(pair)
    others = [await open_wire(pair) for _ in range(20)]
    gaps = []

    async def tick():
        while True:
            before = trio.current_time()
            await trio.sleep(0.001)
            gaps.append(trio.current_time() - before)

    async def pour():
        while True:
            await fast.client.send(CHUNK)

    async def swallow():
        while True:
            await fast.upstream.receive(1 << 20)

    async def converse(wire):
        for _ in range(20):
            await wire.client.send(b"ping")
            assert await receive_exactly(wire.upstream, 4) == b"ping"
            await wire.upstream.send(b"pong")
            assert await receive_exactly(wire.client, 4) == b"pong"

    async with trio.open_nursery() as background:
        for wire in (fast, *others):
            background.start_soon(engine.run, wire.client_leg, wire.upstream_leg, Flow(), NO_LIMITS)
        background.start_soon(pour)
        background.start_soon(swallow)
        background.start_soon(tick)
        with trio.fail_after(30):
            async with trio.open_nursery() as talks:
                for wire in others:
                    talks.start_soon(converse, wire)
        background.cancel_scope.cancel()
    assert sorted(gaps)[len(gaps) // 2] < 0.1
    for wire in (fast, *others):
        wire.close()


async def test_many_flows_leave_no_descriptor_behind(engine, pair):
    async def one(number):
        wire = await open_wire(pair)
        async with running(engine, wire) as run:
            await wire.client.send(b"%d" % number)
            await wire.upstream.receive()
            if number % 3 == 0:
                wire.client.reset()
            elif number % 3 == 1:
                run.flow.kill(End.DRAINED)
            else:
                await wire.client.half_close()
                await wire.upstream.half_close()
            await run.ended()
        wire.close()

    await one(2)
    gc.collect()
    before = open_descriptors()
    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(one, number)
    assert not open_descriptors() - before
