"""Flows that the native engine dials itself: what becomes of both descriptors, and what is told."""

import errno
import gc
import os
import socket
import weakref
from contextlib import suppress

import pytest
import trio

from cluster.reasons import End
from tests.contracts.relay_wire import (
    receive_all,
    receive_exactly,
    tcp_pair,
    tls_client,
)
from tests.fakes.rig import black_hole, eventually
from tests.worker.relay.launching import (
    Launched,
    Upstream,
    attended,
    descriptors,
    packed_address,
)
from worker.relay.engine import RelayLimits

native = pytest.importorskip("worker.relay.native")


@pytest.fixture
async def engine(nursery):
    made = native.NativeEngine((30.0, 600.0))
    await nursery.start(made.attend)
    return made


@pytest.fixture
async def upstream():
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
async def launch():
    made = []

    def launch(*arguments, **options):
        made.append(Launched(*arguments, **options))
        return made[-1]

    yield launch
    for flow in made:
        flow.client.close()


@pytest.fixture
def converse(launch, upstream):
    """A flow that has carried a byte each way, and the upstream's end of it."""

    async def conversation(engine, **options):
        flow = launch(engine, upstream.address, **options)
        peer = await upstream.accept()
        await flow.client.send(b"?")
        assert await receive_exactly(peer, 1) == b"?"
        await peer.send(b"!")
        assert await receive_exactly(flow.client, 1) == b"!"
        return flow, peer

    return conversation


async def in_time(converse, engine, limit):
    """A conversation within the shortest limit that the machine is quick enough for, and that limit."""
    for seconds in (0.2, 2.0):
        with suppress(OSError, AssertionError):
            limits = RelayLimits(**{limit: seconds})
            return seconds, *await converse(engine, dial_seconds=60.0, limits=limits)
    limits = RelayLimits(**{limit: 20.0})
    return 20.0, *await converse(engine, dial_seconds=60.0, limits=limits)


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


async def test_it_dials_carries_and_closes_both_in_order(engine, upstream, launch):
    flow = launch(engine, upstream.address)
    await flow.client.send(b"request")
    await flow.client.half_close()
    peer = await upstream.accept()
    assert await receive_all(peer) == b"request"
    assert not flow.is_over
    await peer.send(b"answer")
    peer.close()
    assert await receive_all(flow.client) == b"answer"
    assert await flow.ended() is End.FINISHED
    assert (flow.flow.up_bytes, flow.flow.down_bytes) == (7, 6)
    assert flow.launch.dial_error == 0
    assert not is_open(flow.descriptor)


async def test_times_of_dials_and_set_ups_are_counted(engine, converse):
    await converse(engine)
    assert [counts for counts, _ in engine.times()] == [[1, 0, 0], [1, 0, 0]]
    assert all(0 < total < 30 for _, total in engine.times())


async def test_killed_it_resets_both(engine, converse):
    flow, peer = await converse(engine)
    flow.flow.kill(End.INTENTION_REVOKED)
    assert await flow.ended() is End.INTENTION_REVOKED
    assert not is_open(flow.descriptor)
    for end in (flow.client, peer):
        with pytest.raises(ConnectionResetError):
            await end.receive()


@pytest.mark.parametrize("lost", ["client", "upstream"])
async def test_a_reset_of_either_is_passed_on_and_told_apart(engine, lost, converse):
    flow, peer = await converse(engine)
    ends = {"client": flow.client, "upstream": peer}
    ends.pop(lost).reset()
    assert await flow.ended() is {"client": End.CLIENT_RESET, "upstream": End.UPSTREAM_RESET}[lost]
    (other,) = ends.values()
    with pytest.raises(ConnectionResetError):
        await other.receive()


async def test_a_refused_dial_gives_the_client_back_unread(engine, launch):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = packed_address(*gone.getsockname())
    outer, inner = tcp_pair()
    outer.send(b"hello")
    flow = launch(engine, address, pair=(outer, inner))
    assert await flow.ended() is None
    assert flow.launch.dial_error == errno.ECONNREFUSED
    with socket.socket(fileno=flow.descriptor) as client:
        assert client.recv(100) == b"hello"
        client.send(b"still here")
        assert await receive_exactly(flow.client, 10) == b"still here"


async def test_an_address_that_cannot_be_dialled_at_all_gives_the_client_back(engine, launch):
    flow = launch(engine, b"\x63\x00" + bytes(14))  # a family that nobody has
    assert await flow.ended() is None
    assert flow.launch.dial_error == errno.EAFNOSUPPORT
    os.close(flow.descriptor)


async def test_a_dial_into_the_dark_ends_in_time(engine, launch):
    before = descriptors()
    with black_hole() as port:
        started = trio.current_time()
        flow = launch(engine, packed_address("127.0.0.1", port), dial_seconds=0.2)
        await flow.client.send(b"hello")
        assert await flow.ended() is None
        assert trio.current_time() - started >= 0.2
        assert flow.launch.dial_error == errno.ETIMEDOUT
        with socket.socket(fileno=flow.descriptor) as client:
            assert client.recv(100) == b"hello"
    flow.client.close()
    assert not descriptors() - before


async def test_killed_while_dialling_it_resets_the_client(engine, launch):
    with black_hole() as port:
        flow = launch(engine, packed_address("127.0.0.1", port))
        await flow.client.send(b"hello")
        flow.flow.kill(End.CLOSED_BY_OPERATOR)
        assert await flow.ended() is End.CLOSED_BY_OPERATOR
    assert flow.launch.dial_error == 0
    with pytest.raises(ConnectionResetError):
        await flow.client.receive()
    assert not is_open(flow.descriptor)


async def test_too_old_while_dialling(engine, launch):
    with black_hole() as port:
        flow = launch(
            engine, packed_address("127.0.0.1", port), limits=RelayLimits(max_age_seconds=0.1)
        )
        assert await flow.ended() is End.MAX_AGE
    assert not is_open(flow.descriptor)


@pytest.mark.slow
async def test_a_client_that_is_lost_while_dialling_is_noticed_after(engine, launch):
    """The kernel tells of it once, while nobody reads."""
    with socket.socket() as slow:
        slow.bind(("127.0.0.1", 0))
        slow.listen(0)
        with socket.create_connection(slow.getsockname()):  # the queue has room for one
            flow = launch(engine, packed_address(*slow.getsockname()))
            flow.client.reset()
            assert not flow.is_over
            for _ in range(2):  # whose SYN was dropped tries again
                peer, _ = await trio.to_thread.run_sync(slow.accept)
                peer.close()
    assert await flow.ended() is End.CLIENT_RESET


async def test_idle_counts_from_the_last_byte(engine, converse):
    """Even if the limit is shorter than the dial was allowed to take."""
    seconds, flow, peer = await in_time(converse, engine, "idle_timeout_seconds")
    moved = trio.current_time()
    assert await flow.ended() is End.IDLE_TIMEOUT
    assert 0.9 * seconds <= trio.current_time() - moved
    for end in (flow.client, peer):
        with pytest.raises(ConnectionResetError):
            await end.receive()


async def test_too_old(engine, converse):
    started = trio.current_time()
    seconds, flow, _ = await in_time(converse, engine, "max_age_seconds")
    assert await flow.ended() is End.MAX_AGE
    assert trio.current_time() - started >= seconds


async def test_a_tls_client_and_a_plain_upstream(engine, upstream, launch):
    """What a terminating gateway launches; the leg lives for as long as the flow needs it."""
    outer, inner = tcp_pair()
    client, leg = await tls_client(outer, inner)
    assert leg.sock is inner
    flow = launch(
        engine, upstream.address, pair=(outer, inner), client_ssl=leg.ssl_address(), keep=leg
    )
    connection = weakref.ref(leg.connection)
    del leg
    gc.collect()
    peer = await upstream.accept()
    await client.send(b"request")
    assert await receive_exactly(peer, 7) == b"request"
    await peer.send(b"answer" * 10_000)
    await peer.half_close()
    assert await receive_all(client) == b"answer" * 10_000
    assert not flow.is_over
    await client.half_close()
    assert await receive_all(peer) == b""
    assert await flow.ended() is End.FINISHED
    assert connection() is not None
    flow.launch = None
    gc.collect()
    assert connection() is None
    client.close()


async def test_counters_are_live(engine, converse):
    flow, peer = await converse(engine)
    for expected in (1001, 2001, 3001):
        await flow.client.send(bytes(1000))
        await receive_exactly(peer, 1000)
        await eventually(lambda expected=expected: flow.flow.up_bytes == expected)
    assert not flow.is_over


async def test_what_was_launched_before_the_engine_runs_waits_for_it(upstream, launch):
    engine = native.NativeEngine()
    flow, killed = launch(engine, upstream.address), launch(engine, upstream.address)
    killed.flow.kill(End.DRAINED)
    assert not flow.is_over
    assert not killed.is_over
    async with attended(engine):
        assert await killed.ended() is End.DRAINED
        peer = await upstream.accept()
        await peer.send(b"hello")
        assert await receive_exactly(flow.client, 5) == b"hello"
        peer.reset()
        assert await flow.ended() is End.UPSTREAM_RESET


async def test_cancelled_it_gives_every_flow_back_and_it_can_start_again(launch, converse):
    engine = native.NativeEngine()
    for _ in range(3):
        before = descriptors()
        with black_hole() as port:
            async with attended(engine):
                flow, peer = await converse(engine)
                dialling = launch(engine, packed_address("127.0.0.1", port))
        for one in (flow, dialling):
            assert (one.calls, one.launch.end) == (1, None)
        for end in (flow.client, dialling.client, peer):
            with pytest.raises(ConnectionResetError):
                await end.receive()
            end.close()
        assert not descriptors() - before
