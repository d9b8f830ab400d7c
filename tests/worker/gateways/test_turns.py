"""Common turns without a task: the same answers, counts and ends as with one, whatever comes between."""

import re
import socket

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from cluster.reasons import End
from cluster.routes import HttpRoute
from tests.fakes.engines import ENGINES
from tests.fakes.http import Client, says
from tests.fakes.rig import PATIENCE_SECONDS, deny, eventually, rig, start_upstream
from tests.worker.gateways.test_requests import ALLOW, Site
from tests.worker.http.corpus import BODIES, GOOD, HEADS, SMUGGLED, get, post, request
from worker.http import native
from worker.http.express import Express
from worker.http.patience import Patience, Phase

pytestmark = pytest.mark.skipif(
    not native.is_built or "native" not in ENGINES, reason="the native modules were not built"
)

COMMON = (
    ("get", get()),
    ("fields", get(b"X-A: b", b"x-a:c", b"Cookie: d", b"X-Forwarded-For: 1", b"X-Request-Id: r")),
    ("query", request(b"GET /a/b?c=d HTTP/1.1", b"Host: A.example:80")),
    ("body", post(b"Content-Length: 3", body=b"abc")),
    ("half a body", post(b"Content-Length: 3", body=b"a")),
    ("head", request(b"HEAD / HTTP/1.1", b"Host: a")),
    ("close", get(b"Connection: close")),
    ("old", request(b"GET / HTTP/1.0", b"Host: a")),
    ("pipelined", get() + post(b"Content-Length: 2", body=b"hi") + get(b"Connection: close")),
)


CHANGING = {b"x-request-id", b"x-forwarded-client-cert"}
MADE = re.compile(rb"(?<=Hash=)[0-9a-f]{64}|^[0-9a-f-]{36}$")


@pytest.fixture
async def node():
    async with rig(engine=ENGINES["native"]()) as made:
        yield made


@pytest.fixture
async def site(node, pki, trust):
    async with trio.open_nursery() as nursery:
        made = Site(node, pki, trust, nursery)
        yield made
        for stream in made.streams:
            await trio.aclose_forcefully(stream)
        node.world.pools.close()
        nursery.cancel_scope.cancel()


@pytest.fixture
def served(site):
    """How many answers have come that needed no task."""
    return lambda: site.node.world.express.answered


async def scripted(site, *parts):
    """An upstream that answers each request by these parts, a pause between them; what it was sent."""
    seen = []

    async def serve(stream):
        while data := await stream.receive_some(65536):
            seen.append(data)
            for part in parts:
                await stream.send_all(part)
                await trio.sleep(0.01)

    upstream = await start_upstream(site.nursery, serve)
    await site.link(upstream.endpoint)
    return seen


async def warm(site):
    """A caller for whom an upstream is in the pool."""
    client = await site.call()
    assert (await client.ask()).status == 200
    return client


async def test_what_is_common_needs_no_task(site, served):
    server = await site.serve(says(b"hello", Server="x"))
    client = await warm(site)
    assert served() == 0
    for number in range(3):
        answer = await client.ask("POST", f"/{number}", body=b"abc", X_A="b")
        assert (answer.status, answer.body, answer.headers["server"]) == (200, b"hello", "x")
    assert served() == 3
    assert (server.connections, [one.body for one in server.seen][1:]) == (1, [b"abc"] * 3)
    assert site.requests(200) == 4
    (entry,) = site.node.world.live
    shown = entry.describe(0.0)
    assert (shown["state"], shown["endpoint"]) == ("http", str(server.endpoint))
    assert min(shown["bytes_up"], shown["bytes_down"]) > 4 * len(b"hello")


async def test_answers_are_the_same_byte_for_byte(site):
    """And so is what the upstream sees; nothing behind a refused request is served."""
    server = await site.serve(says(b"hello"))
    await warm(site)
    with_it = await answers_to_all(site, server)
    object.__setattr__(site.node.world, "express", None)
    without = await answers_to_all(site, server)
    for case in with_it:
        assert with_it[case] == without[case], case
    assert sum(b" 400 " in got for got, _ in with_it.values()) > 50


async def answers_to_all(site, server, cases=(*COMMON, *GOOD, *HEADS, *BODIES)):
    """What each request is answered with on a connection of its own, and what the upstream sees of all."""
    del server.seen[:]
    found = {}

    async def ask(name, data):
        stream = await site.stream()
        await stream.send_all(get())
        first = await stream.receive_some()
        await stream.send_all(data)
        if name == "half a body":
            await stream.send_all(b"bc")
        await stream.send_all(SMUGGLED + get(b"Connection: close"))
        rest, end = await Client(stream).ended()
        found[name] = first + rest, end

    with trio.fail_after(3 * PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            for name, data, *_ in cases:
                nursery.start_soon(ask, name, data)
    found["seen"] = b"", sorted(map(arrived, server.seen))
    return found


def arrived(message):
    """What a request said, but for an id that was made for it, and for which leaf its caller showed."""
    fields = [
        (name, MADE.sub(b"made", value) if name in CHANGING else value)
        for name, value in message.start.headers
    ]
    return message.target, message.start.method, message.body, fields


CHANNEL = native.channel.Channel if native.is_built else object
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD + b"hello",),
        (HEAD, b"hello"),
        (HEAD[:20], HEAD[20:], b"he", b"l", b"lo"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b"hello",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", b"lo\r\n0\r\n\r\n"),
    ],
)
async def test_an_answer_comes_in_any_pieces(site, parts):
    await scripted(site, *parts)
    client = await site.call()
    for _ in range(4):
        answer = await client.ask()
        while answer.status == 103:
            answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"hello")
    assert site.requests(200) == 4


async def test_an_answer_that_does_not_come_is_504_and_the_caller_stays(site):
    late = trio.Event()
    server = await site.serve(says())
    await site.link(server.endpoint)
    client = await warm(site)
    slow = await start_upstream(site.nursery, lambda stream: answer_once(stream, late))
    await site.link(slow.endpoint, http=HttpRoute(request_timeout_seconds=3.0))
    assert (await client.ask()).status == 200  # dialled, and pooled
    assert (await client.ask()).status == 504
    assert (await client.ask()).status == 200  # another connection
    assert (site.requests(504), site.requests(200)) == (1, 3)


async def test_half_a_head_does_not_make_the_time_longer(site, monkeypatch):
    """It was waited for without a task, and then with one: the time is that of both."""

    async def serve(stream):
        await stream.receive_some(65536)
        await stream.send_all(HEAD + b"hello")
        await stream.receive_some(65536)
        await trio.sleep(0.1)
        await stream.send_all(HEAD[:20])
        await wait_all_tasks_blocked(0.02)
        await stream.send_all(HEAD[20:] + b"hello")
        await trio.sleep_forever()

    upstream = await start_upstream(site.nursery, serve)
    await site.link(upstream.endpoint, http=HttpRoute(request_timeout_seconds=20.0))
    client = await warm(site)
    waits, wait = [], Patience.wait
    monkeypatch.setattr(Patience, "wait", lambda *given: (waits.append(given[1:]), wait(*given)))
    assert (await client.ask()).status == 200
    (left,) = (seconds for phase, seconds in waits if phase is Phase.ANSWER)
    assert left <= 19.9


async def answer_once(stream, late):
    await stream.receive_some(65536)
    await stream.send_all(HEAD + b"hello")
    await late.wait()


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 503)])
async def test_an_upstream_that_goes_without_an_answer(site, served, method, status):
    """What may be sent twice is, once."""

    async def serve(stream):
        await stream.receive_some(65536)
        await stream.send_all(HEAD + b"hello")
        await stream.receive_some(65536)  # and no answer

    upstream = await start_upstream(site.nursery, serve)
    await site.link(upstream.endpoint)
    client = await warm(site)
    assert (await client.ask(method)).status == status
    assert (await client.ask()).status == 200
    assert served() == 0


async def test_an_operator_ends_it_under_way_and_idle(site):
    never = trio.Event()
    upstream = await start_upstream(site.nursery, lambda stream: answer_once(stream, never))
    await site.link(upstream.endpoint)
    for is_under_way in (True, False):
        client = await warm(site)
        if is_under_way:
            await client.send()
            await wait_all_tasks_blocked(0.02)
        (entry,) = site.node.world.live
        assert entry.end(End.CLOSED_BY_OPERATOR)
        assert await client.ended() == (b"", "broken")
        await site.node.alone()
    await site.node.ended("closed_by_operator", 2)
    assert len(site.node.world.pools) == 1  # the second upstream; the first had begun


async def test_an_answer_in_the_moment_of_the_end_is_nobodys(site, monkeypatch):
    """Not one that would have to be handed over, either: its upstream would be nobody's."""
    rounds, go_on = Express._rounds, trio.Event()

    def after_the_end(self):
        if go_on.is_set():
            (entry,) = site.node.world.live
            entry.end(End.CLOSED_BY_OPERATOR)  # cancels the task, which has not run yet
        rounds(self)

    async def serve(stream):
        await stream.receive_some(65536)
        await stream.send_all(HEAD + b"hello")
        await stream.receive_some(65536)
        await go_on.wait()
        await stream.send_all(b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b"hello")
        await trio.sleep_forever()

    upstream = await start_upstream(site.nursery, serve)
    await site.link(upstream.endpoint)
    client = await warm(site)
    await client.send()
    await wait_all_tasks_blocked(0.02)
    monkeypatch.setattr(Express, "_rounds", after_the_end)
    go_on.set()
    assert await client.ended() == (b"", "broken")
    await site.node.alone()
    assert len(site.node.world.pools) == 0


async def test_draining_tells_who_is_under_way_and_lets_others_go(site, served):
    go_on = trio.Event()

    async def serve(stream):
        for first in (True, False):
            await stream.receive_some(65536)
            if not first:
                await go_on.wait()
            await stream.send_all(HEAD + b"hello")
        await trio.sleep_forever()

    upstream = await start_upstream(site.nursery, serve)
    await site.link(upstream.endpoint)
    idle = await warm(site)
    client = await site.call("api")
    await client.send()
    await wait_all_tasks_blocked(0.02)
    site.node.world.live.leave()
    assert await idle.ended() == (b"", "in order")
    go_on.set()
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await client.ended() == (b"", "in order")
    assert served() == 0


async def test_each_request_is_judged_by_the_rules_of_its_moment(site, served):
    await site.serve(says())
    client = await warm(site)
    assert (await client.ask()).status == 200
    await site.decide(deny("web", "*"))
    assert await client.ended() == (b"", "broken")
    other = await site.call("web")
    assert (await other.ask()).status == 403
    await site.decide(*ALLOW)
    assert (await other.ask()).status == 200
    assert site.requests(403) >= 1


class HalfAtATime(CHANNEL):
    """A channel to a side that takes only half of what it is sent."""

    def send(self, data):
        return super().send(data[: len(data) // 2])


async def test_what_a_side_does_not_take_at_once_it_gets_later(site, monkeypatch):
    server = await site.serve(says(bytes(40_000)))
    monkeypatch.setattr(native.channel, "Channel", HalfAtATime)
    client = await warm(site)
    for _ in range(3):
        answer = await client.ask("POST", body=b"abc" * 1000)
        assert (answer.status, len(answer.body)) == (200, 40_000)
    assert [one.body for one in server.seen][1:] == [b"abc" * 1000] * 3
    assert (site.requests(200), server.connections) == (4, 1)


async def test_a_caller_that_hangs_up_while_it_waits(site):
    go_on = trio.Event()

    async def serve(stream):
        await stream.receive_some(65536)
        await stream.send_all(HEAD + b"hello")
        await stream.receive_some(65536)
        await go_on.wait()
        await stream.send_all(HEAD + b"hello")
        await trio.sleep_forever()

    upstream = await start_upstream(site.nursery, serve)
    await site.link(upstream.endpoint)
    client = await warm(site)
    await client.send()
    await wait_all_tasks_blocked(0.02)
    await trio.aclose_forcefully(client.stream)
    go_on.set()
    await site.node.alone()
    assert sum(site.node.endings().values()) == 1


async def test_an_idle_upstream_that_hangs_up_is_not_used(site, served):
    stay = {}

    async def serve(stream):
        number = len(stay)
        stay[number] = stream
        while await stream.receive_some(65536):
            await stream.send_all(HEAD + b"hello")

    upstream = await start_upstream(site.nursery, serve)
    await site.link(upstream.endpoint)
    client = await warm(site)
    assert (await client.ask()).status == 200
    await stay[0].send_all(b"HTTP/1.1 200 unasked\r\n\r\n")
    await eventually(lambda: all(map(has_come, idle_of(site))))
    answer = await client.ask()
    assert (answer.status, answer.start.reason) == (200, b"OK")
    assert len(stay) == 2


def has_come(upstream):
    try:
        return len(upstream.leg.sock.recv(1, socket.MSG_PEEK)) == 1
    except BlockingIOError:
        return False


def idle_of(site):
    return [one for found in site.node.world.pools._idle.values() for one in found]
