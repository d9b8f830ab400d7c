"""What only this engine promises, or what real sockets cannot be made to do at a chosen moment."""

import socket

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from cluster.reasons import End
from worker.net.leg import WouldBlockRead
from worker.relay.engine import Flow, RelayLimits
from worker.relay.pure import PureEngine


class FakeLeg:
    """A leg whose `incoming` is a function and whose `outgoing` takes everything, or raises."""

    def __init__(self, incoming, outgoing=None):
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.incoming = incoming
        self.outgoing = outgoing or (lambda data: None)
        self.ended = self.aborted = False

    def recv_into(self, buffer):
        data = self.incoming()
        buffer[: len(data)] = data
        return len(data)

    def send(self, data):
        self.outgoing(bytes(data))
        return len(data)

    def shutdown_write(self):
        self.ended = True

    def close(self):
        self.sock.close()
        self.peer.close()

    def abort(self):
        self.aborted = True


def raises(error):
    def incoming(*_):
        raise error

    return incoming


@pytest.fixture
def legs():
    made = []

    def make(*args):
        made.append(FakeLeg(*args))
        return made[-1]

    yield make
    for leg in made:
        leg.close()


@pytest.mark.parametrize(("chunk", "most"), [(65536, 600_000), (1, 200)])
async def test_a_flow_that_never_blocks_lets_others_run(legs, chunk, most):
    """Counted, not timed: at most two turns of the flow between two of another task."""
    flow, data = Flow(), b"x" * chunk
    client, upstream = legs(lambda: data), legs(raises(WouldBlockRead))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(PureEngine().run, client, upstream, flow, RelayLimits())
        await trio.lowlevel.checkpoint()
        for _ in range(20):
            before = flow.up_bytes
            await trio.lowlevel.checkpoint()
            assert flow.up_bytes - before <= most
        assert flow.up_bytes > 0
        nursery.cancel_scope.cancel()


async def test_what_a_lost_side_said_before_is_delivered(legs):
    """Sending fails first, and only then is there something to receive: the early answer."""
    got, answers = [], [b"413 too large", b""]

    def incoming():
        if not upstream.broken:
            raise WouldBlockRead
        return answers.pop(0)

    def outgoing(data):
        upstream.broken = True
        upstream.peer.send(b"!")  # readable from now on
        raise BrokenPipeError

    client, upstream = legs(lambda: b"upload", got.append), legs(incoming, outgoing)
    upstream.broken = False
    with trio.fail_after(30):
        end = await PureEngine().run(client, upstream, Flow(), RelayLimits())
    assert (end, got) == (End.UPSTREAM_RESET, [b"413 too large"])
    assert client.aborted
    assert not client.ended


async def test_two_flows_share_the_scratch_buffer_and_not_their_bytes(legs):
    engine, got = PureEngine(), {1: b"", 2: b""}
    flows = []
    for number in (1, 2):
        parts = [bytes([number]) * 1000] * 50 + [b""]

        def collect(data, number=number):
            got[number] += data

        client = legs(lambda parts=parts: parts.pop(0))
        flows.append((client, legs(lambda: b"", collect)))
    async with trio.open_nursery() as nursery:
        for client, upstream in flows:
            nursery.start_soon(engine.run, client, upstream, Flow(), RelayLimits())
    assert got == {1: b"\1" * 50_000, 2: b"\2" * 50_000}


async def test_a_bug_in_a_leg_is_raised_by_itself(legs):
    client, upstream = legs(raises(ZeroDivisionError)), legs(raises(WouldBlockRead))
    with pytest.raises(ZeroDivisionError):
        await PureEngine().run(client, upstream, Flow(), RelayLimits())


async def test_a_reset_of_both_sides_is_told_of_the_first(legs):
    client, upstream = legs(raises(WouldBlockRead)), legs(raises(WouldBlockRead))
    ends = []

    async def run():
        ends.append(await PureEngine().run(client, upstream, Flow(), RelayLimits()))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await wait_all_tasks_blocked()
            upstream.incoming = raises(ConnectionResetError)
            client.incoming = raises(ConnectionResetError)
            upstream.peer.send(b"!")
    assert ends == [End.UPSTREAM_RESET]


@pytest.mark.parametrize(
    ("limits", "end", "after"),
    [
        (RelayLimits(idle_timeout_seconds=80), End.IDLE_TIMEOUT, 90),
        (RelayLimits(max_age_seconds=50), End.MAX_AGE, 50),
        (RelayLimits(idle_timeout_seconds=80, max_age_seconds=85), End.MAX_AGE, 85),
        (RelayLimits(idle_timeout_seconds=10, max_age_seconds=3600), End.IDLE_TIMEOUT, 11.25),
    ],
)
async def test_limits_on_a_clock_of_the_test(legs, autojump_clock, limits, end, after):
    client, upstream = legs(raises(WouldBlockRead)), legs(raises(WouldBlockRead))
    started = trio.current_time()
    assert await PureEngine().run(client, upstream, Flow(), limits) is end
    assert trio.current_time() - started == pytest.approx(after)


async def test_a_larger_buffer_than_usual(legs):
    sizes = []
    client = legs(lambda: b"x" * 200_000 if not sizes else b"", lambda data: None)
    upstream = legs(lambda: b"", lambda data: sizes.append(len(data)))
    limits = RelayLimits(buffer_bytes=200_000)
    assert await PureEngine().run(client, upstream, Flow(), limits) is End.FINISHED
    assert sizes == [200_000]
