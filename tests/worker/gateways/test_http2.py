"""HTTP/2 at the gateways: real clients in front, servers of HTTP/1.1 behind."""

import contextlib

import msgspec
import pytest
import trio

from cluster.balance.ejection import PassiveHealth
from cluster.ingress import ListenerTls
from tests.fakes.http import says
from tests.fakes.http2 import Answer as Reply
from tests.fakes.http2 import Http2Server
from tests.fakes.http2_client import Http2Client, frames_until_end
from tests.fakes.rig import (
    PATIENCE_SECONDS,
    allow,
    deny,
    eventually,
    sni,
    start_upstream,
    tls_client,
)
from tests.harness.programs import program
from tests.worker.gateways.test_ingress_requests import API, Site, by_request, entry
from tests.worker.gateways.test_requests import ALLOW
from tests.worker.gateways.test_requests import Site as TerminatingSite
from tests.worker.gateways.test_retries import failing, serve
from tests.worker.http2.corpus import CALM, START, a_bomb, rapid_resets
from worker.http2.link import Link

GRPC = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))
CANCEL, INTERNAL_ERROR, PROTOCOL_ERROR = 8, 2, 1


class Http2Site(Site):
    """The same with clients of HTTP/2."""

    async def connect(self, **options):
        stream = self.front.closing(await self.front.call())
        return await Http2Client(stream, API, **options).start()


class Egress(TerminatingSite):
    """A terminating gateway, and callers of the mesh that speak HTTP/2."""

    async def connect(self, source="web", protocols=("h2",)):
        context = self.trust(self.pki.service(source))
        if protocols:
            context.set_alpn_protocols(list(protocols))
        stream = await tls_client(self.port, context, sni("billing"))
        self.streams.append(stream)
        self.agreed = stream.selected_alpn_protocol()
        return await Http2Client(stream).start()


@pytest.fixture
async def egress(node, pki, trust):
    async with trio.open_nursery() as nursery:
        made = Egress(node, pki, trust, nursery)
        yield made
        for stream in made.streams:
            await trio.aclose_forcefully(stream)
        node.world.pools.close()
        nursery.cancel_scope.cancel()


@pytest.fixture
def site(front, pki, tmp_path):
    return Http2Site(front, pki, tmp_path)


async def curl(*arguments):
    """What curl prints and the version and status it saw."""
    command = ["curl", "-sS", "-w", "\n%{http_version} %{response_code}", "--max-time", "30"]
    with trio.fail_after(PATIENCE_SECONDS):
        done = await trio.run_process(
            [*command, *arguments], capture_stdout=True, capture_stderr=True, check=False
        )
    assert done.returncode == 0, done.stderr
    body, _, seen = done.stdout.rpartition(b"\n")
    return body, seen.decode()


async def test_curl_speaks_http2_with_prior_knowledge(site, front):
    api = await site.start("api", says(b"hello", X_Mine="1"))
    await front.serve(site.service("api", API))
    url = f"http://127.0.0.1:{front.port}/a/../b?c=d"
    got = await curl("--http2-prior-knowledge", "--path-as-is", "-H", f"Host: {API}", url)
    assert got == (b"hello", "2 200")
    (seen,) = api.seen
    assert seen.target == "/b?c=d"
    assert seen.headers["host"] == API
    assert seen.headers["x-forwarded-proto"] == "http"


@pytest.mark.parametrize(("protocol", "version"), [("http", "1.1"), ("http2", "2"), ("grpc", "2")])
async def test_curl_is_offered_http2_where_the_protocol_says_so(
    site, front, tmp_path, protocol, version
):
    await site.start("api")
    front.protocol = protocol
    await front.serve(site.service("api"), tls=ListenerTls())
    (tmp_path / "roots.pem").write_bytes(site.pki.pem)
    where = [
        "--connect-to",
        f"::127.0.0.1:{front.port}",
        f"https://api.ingress.consul:{front.port}/",
    ]
    got = await curl("--http2", "--cacert", str(tmp_path / "roots.pem"), *where)
    assert got == (b"api", f"{version} 200")


async def test_h2load_is_served_and_everything_counted(site, front):
    h2load = program("h2load", "nghttp2-client")
    await site.start_plain("api")
    await front.serve(site.service("api", API))
    command = [h2load, "-n", "300", "-c", "3", "-m", "30", "-H", f":authority: {API}"]
    with trio.fail_after(3 * PATIENCE_SECONDS):
        done = await trio.run_process(
            [*command, f"http://127.0.0.1:{front.port}/"], capture_stdout=True
        )
    assert b"300 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout
    assert b"status codes: 300 2xx" in done.stdout
    await eventually(lambda: front.closed("finished", "api") == 3)
    counted = {"gateway": "front", "service": "api", "code": "200"}
    assert front.node.value("lockgate_http_requests_total", **counted) == 300


async def test_requests_are_served_at_once_and_answered_as_they_come(site, front):
    gate = trio.Event()

    async def slow_or_quick(stream):
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some()
        if b"/slow" in data:
            await gate.wait()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await stream.aclose()

    upstream = await start_upstream(front.nursery, slow_or_quick)
    front.sets |= {"connect:api": (), "plaintext:api": (upstream.endpoint,)}
    site.plaintext["api"] = "plaintext:api"
    await front.serve(site.service("api", API))
    client = await site.connect()
    slow = await client.begin(target="/slow")
    for _ in range(3):
        assert (await client.ask()).body == b"ok"
    (entry_of,) = front.live()
    assert len(entry_of.strands) == 1
    assert not client.answers[slow].is_over
    gate.set()
    assert (await client.until(slow)).status == 200
    await eventually(lambda: not entry_of.strands)
    shown = entry_of.describe(0.0)
    assert (shown["source"], shown["destination"], shown["state"]) == ("front", "api", "http")
    counted = {"gateway": "front", "service": "api", "code": "200"}
    assert front.node.value("lockgate_http_requests_total", **counted) == 4
    await client.stream.aclose()
    await eventually(lambda: front.closed("finished", "api") == 1)


async def test_bodies_of_any_size_go_both_ways(site, front, tmp_path):
    api = await site.start("api", lambda message: (200, [], message.body[::-1]))
    await front.serve(site.service("api", API))
    sent = bytes(range(256)) * 12_000  # wider than any window
    (tmp_path / "body").write_bytes(sent)
    upload = ["--data-binary", f"@{tmp_path / 'body'}", "-H", f"Host: {API}"]
    body, seen = await curl("--http2-prior-knowledge", *upload, f"http://127.0.0.1:{front.port}/")
    assert (len(body), seen) == (len(sent), "2 200")
    assert body == sent[::-1]
    assert api.seen[0].headers["content-length"] == str(len(sent))


async def test_a_body_without_a_length_and_its_trailers_go_on_in_chunks(site, front):
    fields = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"
    api = await site.start("api", lambda message: raw)
    assert fields
    await front.serve(site.service("api", API))
    client = await site.connect()
    number = await client.begin("POST", whole=False)
    await client.send(number, b"one ")
    await client.send(number, b"two")
    await client.end(number, [(b"x-mine", b"1"), (b"content-length", b"9")])
    answer = await client.until(number)
    assert (answer.status, answer.body, answer.trailers) == (200, b"abc", {"x-sum": "7"})
    (seen,) = api.seen
    assert seen.body == b"one two"
    assert seen.trailers == ((b"x-mine", b"1"),)


async def test_a_caller_that_takes_nothing_holds_up_the_upstream_and_nobody_else(site, front):
    sent = 0

    async def endless(stream):
        nonlocal sent
        request = await stream.receive_some()
        if b"/endless" not in request:
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with trio.move_on_after(60):
            while True:
                await stream.send_all(b"10000\r\n" + bytes(65536) + b"\r\n")
                sent += 65536

    upstream = await start_upstream(front.nursery, endless)
    front.sets |= {"connect:api": (), "plaintext:api": (upstream.endpoint,)}
    site.plaintext["api"] = "plaintext:api"
    await front.serve(site.service("api", API))
    client = await site.connect(takes=False)
    number = await client.begin(target="/endless")
    while len(client.answers[number].body) < 65535 and await client.step():
        pass
    (one,) = front.live()
    assert one.flow.down_bytes < 80_000
    other = await site.connect()
    assert (await other.ask()).body == b"ok"
    client.conn.reset_stream(number)
    await client.flush()
    await eventually(lambda: not one.strands)
    counted = {"gateway": "front", "service": "api", "code": "200"}
    assert front.node.value("lockgate_http_requests_total", **counted) >= 1
    assert not one.strands


async def test_a_caller_that_wants_to_be_told_so_is_told_to_go_on(site, front):
    await site.start("api")
    await front.serve(site.service("api", API))
    client = await site.connect()
    number = await client.begin("PUT", whole=False, fields=[(b"expect", b"100-continue")])
    while not client.answers[number].interim:
        assert await client.step()
    assert client.answers[number].interim == [{":status": "100"}]
    await client.send(number, b"body", whole=True)
    assert (await client.until(number)).status == 200


async def test_what_is_no_request_costs_its_stream_and_no_other(site, front):
    api = await site.start("api")
    await front.serve(site.service("api", API))
    client = await site.connect()
    assert (await client.ask(fields=[(b"connection", b"close")])).reset == PROTOCOL_ERROR
    assert (await client.ask()).status == 200
    assert len(api.seen) == 1


async def test_a_request_that_cannot_be_served_is_told_why(site, front):
    api = await site.start("api")
    await front.serve(site.service("api", API))
    client = await site.connect()
    answer = await client.ask("CONNECT", None, scheme=None)
    assert (answer.status, answer.body) == (405, b"Method Not Allowed: CONNECT is not served")
    assert (await client.ask(authority="nobody.example.com")).status == 404
    assert (await client.ask()).status == 200
    assert len(api.seen) == 1


async def test_crumbs_of_a_cookie_are_one_again(site, front):
    api = await site.start("api")
    await front.serve(site.service("api", API))
    client = await site.connect()
    crumbs = [(b"cookie", b"a=1"), (b"x-a", b"1"), (b"cookie", b"b=2")]
    assert (await client.ask(fields=crumbs)).status == 200
    assert api.seen[0].headers["cookie"] == "a=1; b=2"


async def test_who_may_not_is_told_so_and_grpc_in_its_own_words(site, front):
    await site.start_plain("api")
    await front.serve(site.service("api", API), rules=(deny("front", "api"),))
    client = await site.connect()
    answer = await client.ask()
    assert (answer.status, answer.body) == (403, b"RBAC: access denied")
    answer = await client.ask("POST", "/shop.Cart/Add", fields=GRPC)
    assert answer.status == 200
    assert answer.headers["grpc-status"] == "7"
    assert answer.headers["grpc-message"] == "RBAC: access denied"
    assert answer.body == b""


async def test_grpc_callers_read_a_status_when_there_is_no_upstream(site, front):
    front.sets["connect:api"] = ()
    await front.serve(site.service("api", API))
    client = await site.connect()
    answer = await client.ask("POST", "/shop.Cart/Add", fields=GRPC)
    assert (answer.status, answer.headers["grpc-status"]) == (200, "14")
    assert (await client.ask()).status == 503
    nobody = await client.ask("POST", "/x", fields=GRPC, authority="nobody.example.com")
    assert nobody.headers["grpc-status"] == "12"


async def test_an_answer_that_is_cut_short_is_a_reset(site, front):
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    await site.start("api", lambda message: half if message.target == "/half" else (200, [], b"ok"))
    await front.serve(site.service("api", API))
    client = await site.connect()
    answer = await client.ask(target="/half")
    assert (answer.status, answer.body, answer.reset) == (200, b"half", INTERNAL_ERROR)
    assert (await client.ask()).status == 200


async def test_a_permission_that_is_withdrawn_resets_the_streams_it_was_about(site, front):
    async def wait(stream):
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await trio.sleep_forever()

    for name in ("api", "web"):
        upstream = await start_upstream(front.nursery, wait)
        front.sets |= {f"connect:{name}": (), f"plaintext:{name}": (upstream.endpoint,)}
        site.plaintext[name] = f"plaintext:{name}"
    await front.serve(site.service("api", API), site.service("web", "web.example.com"))
    client = await site.connect()
    api = await client.begin()
    web = await client.begin(authority="web.example.com")
    for number in (api, web):
        while not client.answers[number].body:
            assert await client.step()
    await front.decide(deny("front", "api"), allow("front", "web"))
    assert (await client.until(api)).reset == CANCEL
    assert not client.answers[web].is_over
    assert (await client.ask()).status == 403
    assert front.node.value("lockgate_connections_revoked_total", cause="intention") == 1


async def test_a_worker_that_leaves_finishes_what_is_under_way(site, front):
    gate = trio.Event()

    async def later(stream):
        await stream.receive_some()
        await gate.wait()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    upstream = await start_upstream(front.nursery, later)
    front.sets |= {"connect:api": (), "plaintext:api": (upstream.endpoint,)}
    site.plaintext["api"] = "plaintext:api"
    await front.serve(site.service("api", API))
    idle, busy = await site.connect(), await site.connect()
    number = await busy.begin()
    await eventually(lambda: any(one.strands for one in front.live()))
    await eventually(lambda: len(front.live()) == 2)
    front.node.world.live.leave()
    gate.set()
    assert await idle.ended() == 0
    assert (await busy.until(number)).body == b"ok"
    assert await busy.ended() == 0
    assert [frame.last_stream_id for frame in busy.goaways] == [2**31 - 1, 1]


async def test_a_caller_that_resets_its_stream_frees_the_upstream(site, front):
    ended = trio.Event()

    async def wait(stream):
        await stream.receive_some()
        if not await stream.receive_some():
            ended.set()

    upstream = await start_upstream(front.nursery, wait)
    front.sets |= {"connect:api": (), "plaintext:api": (upstream.endpoint,)}
    site.plaintext["api"] = "plaintext:api"
    await front.serve(site.service("api", API))
    client = await site.connect()
    number = await client.begin()
    await eventually(lambda: upstream.accepted == 1)
    client.conn.reset_stream(number, CANCEL)
    await client.flush()
    with trio.fail_after(PATIENCE_SECONDS):
        await ended.wait()


@pytest.mark.parametrize(
    ("body", "how"), [(b"", 503), (b"hello", 503), (b"", None), (b"hello", None)]
)
async def test_a_request_is_made_again_as_its_route_says(site, front, body, how):
    server = await serve(site, front, failing(2, how), NumRetries=2, RetryOn=["5xx", "reset"])
    client = await site.connect()
    number = await client.begin("POST", whole=not body, fields=_length(body))
    if body:
        await client.send(number, body, whole=True)
    answer = await client.until(number)
    assert (answer.status, answer.body) == (200, b"ok")
    assert [message.body for message in server.seen] == [body] * 3


def _length(body):
    return [(b"content-length", b"%d" % len(body))] if body else []


async def test_a_streamed_body_is_never_sent_twice(site, front):
    server = await serve(site, front, failing(1), NumRetries=1, RetryOn=["5xx"])
    client = await site.connect()
    number = await client.begin("POST", whole=False)
    await client.send(number, b"x")
    await eventually(lambda: server.connections == 1)
    await client.send(number, b"y", whole=True)
    assert (await client.until(number)).status == 503
    assert [message.body for message in server.seen] == [b"xy"]


@pytest.mark.parametrize("how", [503, None])
async def test_who_fails_attempts_of_callers_in_http2_is_put_out(site, front, how):
    server = await site.start("api", failing(2, how))
    match = {"HTTP": {"PathPrefix": "/"}}
    again = {"NumRetries": 2, "RetryOn": ["5xx", "reset"]}
    site.entries = [entry("service-router", "api", Routes=[{"Match": match, "Destination": again}])]
    health = PassiveHealth(max_failures=2)
    await front.serve(msgspec.structs.replace(site.service("api", API), health=health))
    client = await site.connect()
    answer = await client.ask()
    assert answer.status == 200
    assert len(server.seen) == 3
    labels = {"gateway": "front", "service": "api"}
    assert front.node.value("lockgate_endpoint_ejections_total", **labels) == 1
    assert front.node.value("lockgate_http_retries_total", outcome="made", **labels) == 2


@pytest.mark.parametrize(("made", "code"), [(rapid_resets, CALM), (a_bomb, CALM)])
@pytest.mark.parametrize("protocol", ["http", "http2", "grpc"])
async def test_floods_are_answered_at_every_kind_of_listener(site, front, protocol, made, code):
    front.protocol = site.protocol = protocol
    await front.serve(site.service("api", API))
    stream = front.closing(await front.call())
    with contextlib.suppress(trio.BrokenResourceError):
        for part in (START, *made()):
            await stream.send_all(part)
    frames = [frame for frame, _ in await frames_until_end(stream)]
    assert frames[-1].error_code == code
    await stream.aclose()
    await eventually(lambda: not front.live())


async def test_callers_of_the_mesh_speak_http2_to_a_terminating_gateway(egress):
    server = await egress.serve(says(b"hello"))
    client = await egress.connect(protocols=("h2", "http/1.1"))
    assert egress.agreed == "http/1.1"  # which this caller does not heed
    answer = await client.ask(target="/a")
    assert (answer.status, answer.body) == (200, b"hello")
    (seen,) = server.seen
    assert "URI=spiffe://" in seen.headers["x-forwarded-client-cert"]
    assert egress.requests(200) == 1


async def test_a_terminating_gateway_offers_http2_for_services_that_speak_it(egress):
    server = Http2Server(lambda asked: Reply(body=b"hello"), {})
    await server.start(egress.nursery, None)
    await egress.link(server.endpoint, protocol="grpc")
    client = await egress.connect()
    assert egress.agreed == "h2"
    assert (await client.ask()).body == b"hello"
    other = await egress.call()
    assert (await other.ask()).status == 200  # and whoever wants HTTP/1.1 has it


async def test_each_stream_of_a_caller_is_permitted_by_itself(egress):
    server = await egress.serve(says(b"hello"), rules=ALLOW)
    reads = {"Action": "allow", "HTTP": {"PathPrefix": "/", "Methods": ["GET"]}}
    await egress.decide(by_request(allow("web", "billing"), reads))
    client = await egress.connect(protocols=())
    assert (await client.ask()).status == 200
    denied = await client.ask("DELETE", fields=GRPC)
    assert denied.headers["grpc-status"] == "7"
    assert [message.start.method for message in server.seen] == [b"GET"]
    labels = {"gateway": "egress", "service": "billing", "code": "403"}
    assert egress.node.value("lockgate_http_requests_total", **labels) == 1


async def test_interim_answers_are_sent_no_faster_than_the_caller_reads(egress, monkeypatch):
    links, made, sent = [], Link.__init__, [0]
    monkeypatch.setattr(Link, "__init__", lambda self, *a: (made(self, *a), links.append(self))[0])

    async def hints(stream):
        await stream.receive_some(65536)
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 8000 + b"\r\n\r\n"
        while sent[0] < 48 * 2**20:
            await stream.send_all(hint * 100)
            sent[0] += 100 * len(hint)

    upstream = await start_upstream(egress.nursery, hints)
    await egress.link(upstream.endpoint)
    client = await egress.connect()
    await client.begin()
    before = -1
    while before < sent[0] < 48 * 2**20:
        before = sent[0]
        await trio.sleep(0.3)
    assert len(links[0]._out) < 2**20
    assert sent[0] < 48 * 2**20
