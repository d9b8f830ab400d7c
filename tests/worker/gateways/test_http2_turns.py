"""Common requests of HTTP/2 without a task: the same answers, counts and ends as with one."""

import pytest
import trio
from hyperframe.frame import HeadersFrame
from trio.testing import wait_all_tasks_blocked

from cluster.reasons import End
from cluster.routes import HttpRoute
from tests.fakes.engines import ENGINES
from tests.fakes.http import says
from tests.fakes.http2_client import Http2Client
from tests.fakes.rig import eventually, rig, sni, start_upstream, tls_client
from tests.worker.gateways.conftest import QUICK
from tests.worker.gateways.test_requests import Site, by_request
from worker.http import native
from worker.http2.serving import Serving
from worker.net.leg import READ_BYTES

pytestmark = pytest.mark.skipif(
    not native.is_built or "native" not in ENGINES, reason="the native modules were not built"
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PROTOCOL_ERROR, CANCEL = 1, 8


class Http2Site(Site):
    """The same with callers of HTTP/2."""

    async def connect(self, source="web"):
        context = self.trust(self.pki.service(source))
        context.set_alpn_protocols(["h2"])
        stream = await tls_client(self.port, context, sni("billing"))
        self.streams.append(stream)
        return await Http2Client(stream).start()

    async def warm(self, source="web"):
        """A caller for whom an upstream is in the pool."""
        client = await self.connect(source)
        assert (await client.ask()).status == 200
        return client


@pytest.fixture
async def node():
    async with rig(QUICK, engine=ENGINES["native"]()) as made:
        yield made


@pytest.fixture
async def site(node, pki, trust):
    async with trio.open_nursery() as nursery:
        made = Http2Site(node, pki, trust, nursery)
        yield made
        for stream in made.streams:
            await trio.aclose_forcefully(stream)
        node.world.pools.close()
        nursery.cancel_scope.cancel()


@pytest.fixture
def tasks(monkeypatch):
    """The streams that a task has served."""
    found, run = [], Serving.run

    async def counting(self):
        found.append(self._stream.number)
        await run(self)

    monkeypatch.setattr(Serving, "run", counting)
    return found


async def scripted(site, *parts, http=None):
    """An upstream that answers each request by these parts, a pause between them."""

    async def serve(stream):
        while await stream.receive_some(65536):
            for part in parts:
                await stream.send_all(part)
                await trio.sleep(0.01)

    upstream = await start_upstream(site.nursery, serve)
    await site.link(upstream.endpoint, **({} if http is None else {"http": http}))


async def after_one(site, then, **options):
    """An upstream that answers once, and then does what `then` does."""

    async def serve(stream):
        await stream.receive_some(65536)
        await stream.send_all(HEAD + b"hello")
        if await stream.receive_some(65536):
            await then(stream)

    upstream = await start_upstream(site.nursery, serve)
    await site.link(upstream.endpoint, **options)


async def never(_):
    await trio.sleep_forever()


async def test_what_is_common_needs_no_task(site, tasks):
    server = await site.serve(says(b"hello", Server="x"))
    client = await site.warm()
    assert tasks == [1]
    for number in range(3):
        answer = await client.ask(target=f"/{number}", fields=((b"x-a", b"b"),))
        assert (answer.status, answer.body, answer.headers["server"]) == (200, b"hello", "x")
    head = await client.ask("HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "5")
    assert tasks == [1]
    assert server.connections == 1
    assert [one.target for one in server.seen] == ["/", "/0", "/1", "/2", "/"]
    assert site.requests(200) == 5
    (entry,) = site.node.world.live
    assert not entry.strands


@pytest.mark.parametrize("length", [True, False])
async def test_a_whole_body_needs_none_either(site, tasks, length):
    server = await site.serve(says(b"hello"))
    client = await site.warm()
    fields = [(b"content-length", b"3")] if length else []
    number = client.conn.get_next_available_stream_id()
    client.answers[number] = type(client.answers[1])()
    named = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]
    client.conn.send_headers(number, [*named, *fields])
    client.conn.send_data(number, b"abc", end_stream=True)
    await client.flush()
    assert (await client.until(number)).body == b"hello"
    assert tasks == [1]
    assert server.seen[1].body == b"abc"
    assert server.seen[1].headers.get("content-length") == ("3" if length else None)


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD + b"hello",),
        (HEAD, b"hello"),
        (HEAD[:20], HEAD[20:], b"he", b"l", b"lo"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD + b"hello",),
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",),
        (CHUNKED + b"5\r\nhel", b"lo\r\n0\r\n\r\n"),
        (CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n",),
    ],
)
async def test_an_answer_comes_in_any_pieces(site, parts):
    await scripted(site, *parts)
    client = await site.connect()
    for _ in range(4):
        answer = await client.ask()
        assert (answer.status, answer.body) == (200, b"hello")
    assert site.requests(200) == 4


async def test_an_answer_that_fills_a_read_is_left_to_a_task(site, tasks):
    """There may be more behind it, for which the connection could not be used again."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
    body = bytes(READ_BYTES - len(head % READ_BYTES))
    answers = iter((head % 2 + b"ok", head % len(body) + body))

    async def serve(stream):
        while await stream.receive_some(65536):
            await stream.send_all(next(answers))

    upstream = await start_upstream(site.nursery, serve)
    await site.link(upstream.endpoint)
    client = await site.warm()
    assert (await client.ask()).body == body
    assert tasks == [1, 3]


async def test_an_answer_wider_than_the_window_waits_for_it(site):
    await site.serve(says(bytes(50_000)))
    client = await site.warm()
    client.takes = False
    first, second = await client.begin(), await client.begin()
    while len(client.answers[first].body + client.answers[second].body) < 15_535:
        assert await client.step()
    client.conn.increment_flow_control_window(2**20)
    await client.flush()
    assert len((await client.until(first)).body) == 50_000
    assert len((await client.until(second)).body) == 50_000


async def test_an_answer_that_does_not_come_is_504_and_the_connection_stays(site, tasks):
    await after_one(site, never, http=HttpRoute(request_timeout_seconds=3.0))
    client = await site.warm()
    assert (await client.ask()).status == 504
    assert (await client.ask()).status == 200
    assert (site.requests(504), site.requests(200)) == (1, 2)
    assert len(site.node.world.pools) == 1


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 503)])
async def test_an_upstream_that_goes_without_an_answer(site, method, status):
    async def go(stream):
        await stream.aclose()

    await after_one(site, go)
    client = await site.warm()
    assert (await client.ask(method)).status == status


async def test_who_resets_has_its_upstream_ended(site):
    await after_one(site, never)
    client = await site.warm()
    number = await client.begin()
    await wait_all_tasks_blocked(0.02)
    client.conn.reset_stream(number, CANCEL)
    await client.flush()
    await eventually(lambda: site.requests(499) == 1)
    assert len(site.node.world.pools) == 0
    assert (await client.ask()).status == 200


async def test_a_withdrawn_permission_resets_the_stream(site):
    reads, writes = (
        by_request({"Action": "allow", "HTTP": {"PathPrefix": "/", "Methods": [method]}})
        for method in ("GET", "POST")
    )
    await after_one(site, never, rules=(reads,))
    client = await site.warm()
    number = await client.begin()
    await wait_all_tasks_blocked(0.02)
    await site.decide(writes)
    assert (await client.until(number)).reset == CANCEL
    assert (await client.ask()).status == 403
    assert (site.requests(499), site.requests(403)) == (1, 1)
    assert len(site.node.world.pools) == 0
    await site.decide(reads)
    assert (await client.ask()).status == 200


@pytest.mark.parametrize("by_us", [True, False])
async def test_the_end_of_a_connection_ends_what_is_under_way(site, by_us):
    await after_one(site, never)
    client = await site.warm()
    await client.begin()
    await wait_all_tasks_blocked(0.02)
    (entry,) = site.node.world.live
    assert len(entry.strands) == 1
    if by_us:
        assert entry.end(End.CLOSED_BY_OPERATOR)
    else:
        await trio.aclose_forcefully(client.stream)
    await site.node.alone()
    assert site.requests(499) == 1
    assert not entry.strands
    assert len(site.node.world.pools) == 0


async def test_draining_lets_what_is_under_way_end(site):
    go_on = trio.Event()

    async def later(stream):
        await go_on.wait()
        await stream.send_all(HEAD + b"hello")
        await trio.sleep_forever()

    await after_one(site, later)
    client = await site.warm()
    number = await client.begin()
    await wait_all_tasks_blocked(0.02)
    site.node.world.live.leave()
    go_on.set()
    assert (await client.until(number)).status == 200
    assert await client.ended() == 0
    await site.node.ended("finished")


async def too_short(client):
    """A request whose body is to have 100 bytes, and is over with none; its stream."""
    number = client.conn.get_next_available_stream_id()
    client.answers[number] = type(client.answers[1])()
    named = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a"), (b":path", b"/")]
    client.conn.send_headers(number, [*named, (b"content-length", b"100")])
    trailers = HeadersFrame(number, flags=["END_HEADERS", "END_STREAM"]).serialize()
    await client.stream.send_all(client.conn.data_to_send() + trailers)
    return number


async def test_a_body_that_trailers_ended_too_early_is_malformed(site):
    await after_one(site, never)
    client = await site.warm()
    assert (await client.until(await too_short(client))).reset == PROTOCOL_ERROR
    assert site.requests(400) == 1
    assert len(site.node.world.pools) == 0


async def test_a_body_that_trailers_ended_too_early_costs_its_upstream(site):
    """It waits for the rest, and would take the next request for that."""
    read = []

    async def serve(stream):
        at = len(read)
        read.append(b"")
        while data := await stream.receive_some(65536):
            read[at] += data
            await stream.send_all(HEAD + b"hello")

    upstream = await start_upstream(site.nursery, serve)
    await site.link(upstream.endpoint)
    client = await site.warm()
    number = await too_short(client)
    await client.until(number)
    assert (await client.ask(target="/next")).body == b"hello"
    assert read[-1].startswith(b"GET /next ")
    assert sum(b"/next" in one for one in read) == 1
