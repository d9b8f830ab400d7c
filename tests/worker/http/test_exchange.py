"""One exchange with a large body: it takes as long as it likes, but may not stop."""

import pytest
import trio

from cluster.routes import Endpoint
from tests.contracts.relay_wire import open_wire
from worker.http.bodies import body_of
from worker.http.exchange import Exchange, Outcome
from worker.http.limits import HttpLimits
from worker.http.patience import Patience, Phase, Timers
from worker.http.pool import Upstream
from worker.http.reading import next_request
from worker.http.wire import Wire

LIMITS = HttpLimits()
PART = bytes(100_000)
PARTS = 5
LENGTH = PARTS * len(PART)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % LENGTH
ENDPOINT = Endpoint(address="127.0.0.1", port=80)


class Between:
    """A caller and an upstream, and an exchange between them that ends with `outcome`, or late."""

    def __init__(self, nursery, sockets):
        self.caller, self.upstream = sockets.client, sockets.upstream
        self.client = Wire(sockets.client_leg)
        self.asked = Upstream(sockets.upstream_leg, ENDPOINT, ("127.0.0.1", 80, None))
        timers = Timers(trio.current_time)
        self.patience = Patience(timers)
        self.outcome, self.over = None, trio.Event()
        nursery.start_soon(timers.attend)

    async def run(self, head):
        request, _ = next_request(head, LIMITS.head_bytes, LIMITS.fields)
        exchange = Exchange(
            self.client, limits=LIMITS, patience=self.patience, is_closing=lambda: False
        )
        with self.patience.scope:
            body = body_of(request.length or 0)
            self.outcome = await exchange.run(request, body, self.asked, head, 1000)
        if self.outcome is None:  # or whoever still waits for bytes would wait for ever
            self.client.abort()
            self.asked.abort()
        self.over.set()


@pytest.fixture(params=["plain-plain", "tls-tls"])
async def between(request, nursery):
    sockets = await open_wire(request.param)
    yield Between(nursery, sockets)
    nursery.cancel_scope.cancel()
    sockets.close()


async def heard(peer, count):
    got = b""
    while len(got) < count:
        got += await peer.receive(count - len(got))
    return got


async def go_on(clock, speaker, hearer, parts=PARTS):
    """Say parts of a body, each a long time after the one before was heard."""
    for _ in range(parts):
        await speaker.send(PART)
        assert await heard(hearer, len(PART)) == PART
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(0.9 * LIMITS.stall_seconds)
        await trio.testing.wait_all_tasks_blocked()


async def answer_begun(between, nursery):
    nursery.start_soon(between.run, GET)
    assert await heard(between.upstream, len(GET)) == GET
    await between.upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LENGTH)
    assert (await between.caller.receive()).startswith(b"HTTP/1.1 200 ")


async def upload_begun(between, nursery):
    nursery.start_soon(between.run, POST)
    assert await heard(between.upstream, len(POST)) == POST


async def test_an_answer_may_take_any_time_while_it_moves(between, nursery, mock_clock):
    await answer_begun(between, nursery)
    await go_on(mock_clock, between.upstream, between.caller)
    await between.over.wait()
    assert between.outcome == Outcome(200, keeps_client=True, keeps_upstream=True)


async def test_an_upload_may_take_any_time_while_it_moves(between, nursery, mock_clock):
    await upload_begun(between, nursery)
    await go_on(mock_clock, between.caller, between.upstream)
    await between.upstream.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    await between.over.wait()
    assert between.outcome == Outcome(204, keeps_client=True, keeps_upstream=True)


async def test_an_answer_that_stops_in_the_middle_is_late(between, nursery, mock_clock):
    await answer_begun(between, nursery)
    await go_on(mock_clock, between.upstream, between.caller, PARTS - 1)
    mock_clock.jump(0.2 * LIMITS.stall_seconds)
    await between.over.wait()
    assert (between.outcome, between.patience.phase) == (None, Phase.DOWNLOAD)


async def test_an_upload_that_stops_in_the_middle_is_late(between, nursery, mock_clock):
    await upload_begun(between, nursery)
    await go_on(mock_clock, between.caller, between.upstream, PARTS - 1)
    mock_clock.jump(0.2 * LIMITS.stall_seconds)
    await between.over.wait()
    assert (between.outcome, between.patience.phase) == (None, Phase.UPLOAD)
