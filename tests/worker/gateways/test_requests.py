"""What a caller's requests get from a terminating gateway, and what the destination gets of them."""

import contextlib

import pytest
import trio

from cluster.intentions import Action, Intention
from cluster.messages import Ack
from cluster.names import ServiceName
from cluster.reasons import End
from cluster.routes import HttpRoute
from tests.fakes.http import Client, Server, says
from tests.fakes.pki import server_context, service_uri
from tests.fakes.rig import (
    PATIENCE_SECONDS,
    Linked,
    allow,
    at,
    black_hole,
    deny,
    eventually,
    files,
    snapshot,
    sni,
    start_upstream,
    tls_client,
)
from tests.worker.http.corpus import BODIES, GOOD, HEADS, SMUGGLED

HTTP = HttpRoute(request_timeout_seconds=60.0)
ALLOW = (allow("web", "*"), allow("api", "*"))


class Site:
    """A terminating gateway in front of one HTTP service."""

    def __init__(self, node, pki, trust, nursery):
        self.node, self.pki, self.trust, self.nursery = node, pki, trust, nursery
        self.port = node.listen()
        self.linked = []
        self.providers = ()
        self.streams = []

    async def serve(self, answer, *, rules=ALLOW, http=HTTP, **options):
        server = await Server(answer).start(self.nursery)
        await self.link(server.endpoint, rules=rules, http=http, **options)
        return server

    async def link(self, *endpoints, rules=ALLOW, http=HTTP, default_allow=False, **options):
        self.linked = [Linked("billing", *endpoints, http=http, **options)]
        await self.node.keys(self.pki.service("billing"))
        await self.decide(*rules, default_allow=default_allow)

    async def decide(self, *rules, default_allow=False):
        shot = snapshot(
            self.pki.bundle,
            [self.node.listener(self.port)],
            *self.linked,
            rules=rules,
            default_allow=default_allow,
            providers=self.providers,
        )
        assert isinstance(await self.node.offer(shot), Ack)

    async def stream(self, source="web"):
        context = self.trust(self.pki.service(source))
        stream = await tls_client(self.port, context, sni("billing"))
        self.streams.append(stream)
        return stream

    async def call(self, source="web"):
        return Client(await self.stream(source))

    def requests(self, code):
        labels = {"gateway": "egress", "service": "billing", "code": str(code)}
        return self.node.value("lockgate_http_requests_total", **labels)


@pytest.fixture
async def site(node, pki, trust):
    async with trio.open_nursery() as nursery:
        made = Site(node, pki, trust, nursery)
        yield made
        for stream in made.streams:
            await trio.aclose_forcefully(stream)
        node.world.pools.close()
        nursery.cancel_scope.cancel()


async def test_a_request_is_answered_and_counted(site):
    server = await site.serve(says(b"hello", Server="x"))
    client = await site.call()
    answer = await client.ask(target="/a?b=c", X_Mine="1")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["server"] == "x"
    (seen,) = server.seen
    assert seen.target == "/a?b=c"
    assert seen.headers["x-mine"] == "1"
    assert site.requests(200) == 1
    duration = {"gateway": "egress", "service": "billing"}
    assert site.node.value("lockgate_http_request_duration_seconds_count", **duration) == 1


async def test_requests_keep_both_connections(site):
    server = await site.serve(says())
    client = await site.call()
    for _ in range(5):
        assert (await client.ask()).status == 200
    assert server.connections == 1
    (entry,) = site.node.world.live
    shown = entry.describe(0.0)
    assert (shown["source"], shown["state"]) == ("web", "http")
    assert shown["bytes_down"] > 5 * len(b"hello")
    await client.stream.aclose()
    await site.node.ended("finished")
    other = await site.call("api")
    assert (await other.ask()).status == 200
    assert server.connections == 1  # also for another caller


async def test_pipelined_requests_are_answered_in_order(site):
    await site.serve(lambda message: (200, [("Content-Length", "2")], message.target[1:].encode()))
    client = await site.call()
    lines = [b"GET /%02d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(20)]
    await client.stream.send_all(b"".join(lines))
    got = b""
    with trio.fail_after(PATIENCE_SECONDS):
        while got.count(b"HTTP/1.1 200") < 20 or not got.endswith(b"19"):
            got += await client.stream.receive_some()
    bodies = [part[-2:] for part in got.split(b"HTTP/1.1 200")[1:]]
    assert bodies == [b"%02d" % number for number in range(20)]


async def test_the_destination_is_told_who_called_and_how(site, pki):
    server = await site.serve(says())
    client = await site.call()
    await client.ask()
    await client.ask(
        X_Forwarded_For="10.0.0.1",
        X_Forwarded_Proto="http",
        X_Forwarded_Host="front",
        X_Request_Id="mine",
        X_Forwarded_Client_Cert="By=a;URI=b",
    )
    first, second = (message.headers for message in server.seen)
    assert first["x-forwarded-for"] == "127.0.0.1"
    assert first["x-forwarded-proto"] == "https"
    assert first["x-forwarded-host"] == "billing.internal"
    assert len(first["x-request-id"]) == 36
    assert first["x-request-id"][14] == "4"
    element = first["x-forwarded-client-cert"]
    assert element.startswith(f"By={service_uri('billing')};Hash=")
    assert f"URI={service_uri('web')}" in element
    assert second["x-forwarded-for"] == "10.0.0.1,127.0.0.1"
    assert second["x-forwarded-proto"] == "http"
    assert second["x-forwarded-host"] == "front"
    assert second["x-request-id"] == "mine"
    assert second["x-forwarded-client-cert"] == f"By=a;URI=b,{element}"


async def test_what_was_said_of_earlier_hops_can_be_dropped(site):
    server = await site.serve(says(), http=HttpRoute(replaces_client_cert=True))
    await (await site.call()).ask(X_Forwarded_Client_Cert="forged")
    assert "forged" not in server.seen[0].headers["x-forwarded-client-cert"]


@pytest.mark.parametrize(("rewrites", "host"), [(True, "localhost"), (False, "billing.internal")])
async def test_an_instance_with_a_name_is_asked_by_it(site, rewrites, host):
    server = await Server(says()).start(site.nursery)
    endpoint = at(server.endpoint.port, host="localhost")
    await site.link(endpoint, http=HttpRoute(rewrites_host=rewrites))
    await (await site.call()).ask()
    assert server.seen[0].headers["host"] == host
    assert server.seen[0].headers["x-forwarded-host"] == "billing.internal"


# --- who may ask for what


async def test_a_denied_caller_is_told_per_request(site):
    server = await site.serve(says(), rules=(deny("web", "*"), allow("api", "*")))
    client = await site.call()
    for _ in range(2):
        answer = await client.ask("POST", body=b"x" * 1000)
        assert (answer.status, answer.body) == (403, b"RBAC: access denied")
    assert server.seen == []
    assert site.requests(403) == 2
    await site.decide(*ALLOW)
    assert (await client.ask()).status == 200  # on the same connection
    labels = {"gateway": "egress", "service": "billing", "source": "web"}
    decided = "lockgate_authorization_decisions_total"
    assert site.node.value(decided, **labels, decision="deny") == 2
    assert site.node.value(decided, **labels, decision="allow") == 1


def by_request(*permissions):
    return Intention(
        source=ServiceName(name="web"),
        destination=ServiceName(name="billing"),
        permissions=permissions,
    )


READ = {"Action": Action.ALLOW.value, "HTTP": {"Methods": ["GET"], "PathPrefix": "/public"}}


async def test_permissions_are_asked_for_each_request(site):
    server = await site.serve(says(), rules=(by_request(READ),))
    client = await site.call()
    assert (await client.ask(target="/public/a")).status == 200
    assert (await client.ask("DELETE", target="/public/a")).status == 403
    assert (await client.ask(target="/private")).status == 403
    assert (await client.ask(target="/public/../private")).status == 403
    assert (await client.ask(target="/public/%2e%2e/private")).status == 403
    assert (await client.ask(target="/x/../public/./b")).status == 200
    assert [message.target for message in server.seen] == ["/public/a", "/public/b"]


async def test_a_denial_ends_connections_that_were_let_in(site):
    await site.serve(says())
    client, other = await site.call(), await site.call("api")
    assert (await client.ask()).status == 200
    assert (await other.ask()).status == 200
    await site.decide(deny("web", "*"), allow("api", "*"))
    await site.node.ended("intention_revoked")
    assert (await other.ask()).status == 200
    assert (await (await site.call()).ask()).status == 403


async def test_permissions_leave_a_connection_but_end_what_they_forbid(site):
    gate = trio.Event()

    async def slow(stream):
        await stream.receive_some()
        await gate.wait()

    upstream = await start_upstream(site.nursery, slow)
    await site.link(upstream.endpoint)
    waiting, idle = await site.call(), await site.call()
    await waiting.send(target="/private")
    await eventually(lambda: upstream.accepted == 1)
    await site.decide(by_request(READ))
    await site.node.ended("intention_revoked")
    assert (await idle.ask(target="/private")).status == 403


async def test_a_withdrawn_link_ends_with_the_next_request(site):
    await site.serve(says())
    client = await site.call()
    assert (await client.ask()).status == 200
    site.linked = []
    await site.decide(*ALLOW)
    assert (await client.ask()).status == 503
    assert await client.ended() == (b"", "in order")


async def test_an_operator_ends_a_connection(site):
    await site.serve(says())
    client = await site.call()
    await client.ask()
    (entry,) = site.node.world.live
    assert entry.end(End.CLOSED_BY_OPERATOR)
    assert (await client.ended())[1] == "broken"
    await site.node.ended("closed_by_operator")


async def test_a_worker_that_drains_lets_callers_go(site):
    gate = trio.Event()

    async def slow(stream):
        while await stream.receive_some():
            await gate.wait()
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    upstream = await start_upstream(site.nursery, slow)
    await site.link(upstream.endpoint)
    idle, busy = await site.call(), await site.call()
    await busy.send()
    await eventually(lambda: upstream.accepted == 1)
    site.node.world.live.leave()
    assert await idle.ended() == (b"", "in order")
    gate.set()
    answer = await busy.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await busy.ended() == (b"", "in order")


# --- the corpus, on a real listener


def names(cases):
    return [pytest.param(*case[1:], id=case[0]) for case in cases]


async def raw_answer(site, data):
    stream = await site.stream()
    got = b""
    with trio.fail_after(PATIENCE_SECONDS):
        try:
            await stream.send_all(data)
            while chunk := await stream.receive_some():
                got += chunk
        except trio.BrokenResourceError:
            got += b"(broken)"
    return got


async def test_what_can_be_misread_is_refused_and_nothing_behind_it_served(site):
    server = await site.serve(says())
    for name, data, status in HEADS:
        got = await raw_answer(site, data + SMUGGLED)
        assert got.startswith(b"HTTP/1.1 %d " % status), (name, got)
        assert b"connection: close" in got, name
        assert got.count(b"HTTP/1.1 ") == 1, name
    assert server.seen == []
    await site.node.ended("bad_request", len(HEADS))


async def test_bad_bodies_are_refused_and_nothing_behind_them_served(site):
    server = await site.serve(says())
    for name, data in BODIES:
        got = await raw_answer(site, data + SMUGGLED)
        assert got.startswith(b"HTTP/1.1 400 "), (name, got)
        assert got.count(b"HTTP/1.1 ") == 1, name
    assert not [message for message in server.seen if "smuggled" in message.target]


async def test_what_has_fooled_others_means_one_thing(site):
    server = await site.serve(says())
    stream = await site.stream()
    got = b""
    for number, (_, data, _) in enumerate(GOOD[:-3], 1):
        await stream.send_all(data)
        with trio.fail_after(PATIENCE_SECONDS):
            while got.count(b"hello") < number and b"connection: close" not in got:
                got += await stream.receive_some()
        if b"connection: close" in got:
            break
    wanted = [content for _, _, content in GOOD]
    assert [message.body for message in server.seen] == wanted[: len(server.seen)]
    assert len(server.seen) >= len(GOOD) - 3


# --- bodies


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 16_384, 65_536, 1_000_003])
async def test_bodies_go_up_and_come_down(site, size, chunked):
    def mirror(message):
        length = [] if chunked else [("Content-Length", str(len(message.body)))]
        return (200, length, message.body)

    await site.serve(mirror)
    client = await site.call()
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    for _ in range(2):
        answer = await client.ask("POST", body=body, chunked=chunked)
        assert answer.body == body


async def test_trailers_go_through_but_those_that_must_not(site):
    server = await site.serve(says())
    client = await site.call()
    trailers = [("X-Sum", "1"), ("Host", "evil"), ("X-Forwarded-For", "forged")]
    await client.ask("POST", body=b"abc", chunked=True, trailers=trailers)
    assert server.seen[0].trailers == ((b"x-sum", b"1"),)


async def test_trailers_of_an_answer(site):
    data = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX-Sum: 2\r\n\r\n"
    )
    await site.serve(lambda _: data)
    answer = await (await site.call()).ask()
    assert (answer.body, answer.trailers) == (b"abc", ((b"x-sum", b"2"),))


async def test_an_answer_without_a_length(site):
    await site.serve(lambda _: b"HTTP/1.1 200 OK\r\n\r\nall of it")
    client = await site.call()
    assert (await client.ask()).body == b"all of it"
    assert (await client.ask()).body == b"all of it"  # in chunks, so the connection stays


async def test_an_old_client_gets_no_chunks(site):
    await site.serve(
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    got = await raw_answer(site, b"GET / HTTP/1.0\r\n\r\n")
    assert got.endswith(b"\r\n\r\nabc")
    assert b"transfer-encoding" not in got


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(site, status):
    await site.serve(lambda _: (status, [("ETag", "x")], b""))
    client = await site.call()
    for _ in range(3):
        answer = await client.ask()
        assert (answer.status, answer.body) == (status, b"")


async def test_head_has_a_length_and_no_body(site):
    await site.serve(says(b"hello"))
    client = await site.call()
    for _ in range(3):
        answer = await client.ask("HEAD")
        assert (answer.headers["content-length"], answer.body) == ("5", b"")


async def test_a_caller_is_told_to_go_on(site):
    server = await site.serve(says())
    client = await site.call()
    await client.stream.send_all(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    )
    assert await client.stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.stream.send_all(b"abc")
    assert (await client.stream.receive_some()).startswith(b"HTTP/1.1 200 ")
    assert server.seen[0].body == b"abc"
    assert "expect" not in server.seen[0].headers


async def test_hints_before_the_answer_are_passed_on(site):
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    await site.serve(lambda _: hints + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    client = await site.call()
    assert (await client.ask()).status == 103
    assert (await client.answer()).status == 200


async def test_an_answer_may_come_before_the_body_is_over(site):
    async def too_large(stream):
        await stream.receive_some()
        await stream.send_all(
            b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
        )
        await trio.sleep(0.2)

    upstream = await start_upstream(site.nursery, too_large)
    await site.link(upstream.endpoint)
    client = await site.call()
    await client.stream.send_all(
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 1000
    )
    got, _ = await client.ended()
    assert got.startswith(b"HTTP/1.1 413 ")
    assert got.endswith(b"no")


async def test_a_slow_reader_stops_the_sender(site):
    sent = 0

    async def endless(stream):
        nonlocal sent
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"x" * 65536)
                sent += 65536

    upstream = await start_upstream(site.nursery, endless)
    await site.link(upstream.endpoint)
    client = await site.call()
    await client.send()
    before = -1
    with trio.fail_after(PATIENCE_SECONDS):
        while before != sent or not sent:
            before = sent
            await trio.sleep(0.3)
    assert sent < 64_000_000  # what kernels hold


# --- upstreams that fail


async def test_nobody_there_is_503_in_envoys_words(site):
    await site.link(at(1))
    answer = await (await site.call()).ask()
    assert answer.status == 503
    assert answer.body.startswith(b"upstream connect error or disconnect/reset before headers.")


async def test_none_healthy_is_503(site):
    await site.link(at(1, healthy=False))
    answer = await (await site.call()).ask()
    assert (answer.status, answer.body) == (503, b"no healthy upstream")


async def test_no_answer_to_a_dial_is_503(site):
    with black_hole() as port:
        await site.link(at(port), timeout=0.2)
        answer = await (await site.call()).ask()
    assert answer.status == 503
    assert answer.body.endswith(b"connection timeout")


async def test_another_instance_is_tried_when_one_refuses(site):
    server = await Server(says()).start(site.nursery)
    await site.link(at(1), server.endpoint)
    client = await site.call()
    for _ in range(6):
        assert (await client.ask()).status == 200


async def test_an_upstream_that_is_too_slow_is_504_and_the_caller_stays(site):
    async def silent(stream):
        await stream.receive_some()
        await trio.sleep(PATIENCE_SECONDS)

    upstream = await start_upstream(site.nursery, silent)
    await site.link(upstream.endpoint, http=HttpRoute(request_timeout_seconds=0.2))
    client = await site.call()
    for _ in range(2):
        answer = await client.ask()
        assert (answer.status, answer.body) == (504, b"upstream request timeout")
    assert site.requests(504) == 2


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 503),
        (b"HTTP/1.1 200", 503),
        (b"garbage\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 502),
        (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 502),
    ],
)
async def test_an_upstream_that_speaks_badly(site, data, status):
    await site.serve(lambda _: data)
    client = await site.call()
    assert (await client.ask()).status == status
    assert (await client.ask()).status == status  # the caller's connection stays


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n",
    ],
)
async def test_an_answer_that_is_cut_short_is_not_taken_for_whole(site, data):
    await site.serve(lambda _: data)
    client = await site.call()
    await client.send()
    _, how = await client.ended()
    assert how == "broken"
    await site.node.ended("upstream_reset")


async def test_an_upstream_that_hung_up_meanwhile_is_dialled_again(site):
    server = await site.serve(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    client = await site.call()
    for number in range(1, 4):  # it closes after each answer without having said so
        assert (await client.ask("POST", body=b"x")).status == 200
        await eventually(lambda: server.upstream.open == 0)
        assert server.connections == number


class Fickle:
    """An upstream that answers once and ends the connection when asked again."""

    def __init__(self):
        self.asked = 0

    async def __call__(self, stream):
        await stream.receive_some()
        self.asked += 1
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await stream.receive_some()
        self.asked += 1


@pytest.mark.parametrize(("method", "statuses"), [("GET", [200, 200]), ("POST", [200, 503])])
async def test_only_what_may_be_repeated_is_repeated(site, method, statuses):
    fickle = Fickle()
    upstream = await start_upstream(site.nursery, fickle)
    await site.link(upstream.endpoint)
    client = await site.call()
    body = b"x" if method == "POST" else b""
    assert [(await client.ask(method, body=body)).status for _ in statuses] == statuses


async def test_tls_to_the_outside_is_kept_too(site, tmp_path):
    certificate = site.pki.leaf(dns=["billing.example.com"])
    context = server_context(tmp_path, certificate)
    server = await Server(says()).start(site.nursery, context)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(site.pki.pem)
    await site.link(server.endpoint, tls=files(ca=ca, server_name="billing.example.com"))
    client = await site.call()
    for _ in range(3):
        assert (await client.ask()).status == 200
    assert server.connections == 1


async def test_tls_that_fails_is_503(site, tmp_path):
    server = await Server(says()).start(site.nursery)
    ca = tmp_path / "ca.pem"
    ca.write_bytes(site.pki.pem)
    await site.link(server.endpoint, tls=files(ca=ca, server_name="x"))
    answer = await (await site.call()).ask()
    assert answer.status == 503
    assert b"TLS_error" in answer.body


@pytest.mark.parametrize("http", [HTTP, HttpRoute(load_balancer={"Policy": "least_request"})])
async def test_tls_files_that_are_gone_are_503_for_who_is_served_already(site, tmp_path, http):
    """Whether the upstream was chosen by a task, a turn or a plan; and nothing stays counted."""
    context = server_context(tmp_path, site.pki.leaf(dns=["billing.example.com"]))
    server = await Server(says()).start(site.nursery, context)
    ca = tmp_path / "outside.pem"
    ca.write_bytes(site.pki.pem)
    tls = files(ca=ca, server_name="billing.example.com")
    await site.link(server.endpoint, tls=tls, http=http)
    client = await site.call()
    for _ in range(3):
        assert (await client.ask()).status == 200
    text = ca.read_bytes()
    for _ in range(2):
        ca.unlink()
        for _ in range(2):
            assert (await client.ask()).status == 503
        ca.write_bytes(text)
        for _ in range(3):
            assert (await client.ask()).status == 200
    (view,) = site.node.world.current.view.gateways.values()
    balanced = view.table.find(sni("billing")).http.balanced
    assert balanced is None or balanced.room.requests == 0


# --- what is no HTTP any more

UPGRADE = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def test_after_an_upgrade_bytes_flow_both_ways(site):
    async def switch(stream):
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        head, early = head.split(b"\r\n\r\n")
        assert b"upgrade: websocket" in head.lower()
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi:"
        )
        await stream.send_all(early)
        async for chunk in stream:
            await stream.send_all(chunk)

    upstream = await start_upstream(site.nursery, switch)
    await site.link(upstream.endpoint)
    stream = await site.stream()
    await stream.send_all(UPGRADE + b"early")
    got = b""
    with trio.fail_after(PATIENCE_SECONDS):
        while not got.endswith(b"hi:early"):
            got += await stream.receive_some()
        assert got.startswith(b"HTTP/1.1 101 ")
        await stream.send_all(b"x" * 200_000)
        count = 0
        while count < 200_000:
            count += len(await stream.receive_some())
        (entry,) = site.node.world.live
        shown = entry.describe(0.0)
        assert shown["state"] == "relay"
        await eventually(lambda: entry.flow.up_bytes > 200_000)
        assert site.requests(101) == 1
        await site.decide(deny("web", "*"))
        await site.node.ended("intention_revoked")
    assert len(site.node.world.pools) == 0


async def test_an_upgrade_may_be_declined(site):
    await site.serve(says(status=400))
    stream = await site.stream()
    await stream.send_all(UPGRADE)
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 400 ")


# --- who gets which request


@pytest.fixture
async def three(site):
    """Three instances that say who they are, balanced as a service-resolver says."""

    async def start(**balancer):
        servers = [await Server(says(str(n).encode())).start(site.nursery) for n in range(3)]
        endpoints = (server.endpoint for server in servers)
        await site.link(*endpoints, http=HttpRoute(load_balancer=balancer))
        return servers

    return start


@pytest.mark.parametrize("policy", ["ring_hash", "maglev"])
async def test_a_header_keeps_requests_with_an_instance(site, three, policy):
    await three(Policy=policy, HashPolicies=[{"Field": "header", "FieldValue": "x-user"}])
    client = await site.call()
    by_user = {
        user: {(await client.ask(X_User=f"user{user}")).body for _ in range(3)}
        for user in range(40)  # on whose ports depends where they land
    }
    assert all(len(bodies) == 1 for bodies in by_user.values())
    assert len(set.union(*by_user.values())) == 3
    await site.decide(*ALLOW)  # another view, the same instances
    again = {user: (await client.ask(X_User=f"user{user}")).body for user in by_user}
    assert all(again[user] in bodies for user, bodies in by_user.items())


async def test_a_client_without_a_cookie_is_given_one(site, three):
    policy = {"Field": "cookie", "FieldValue": "stay", "CookieConfig": {"Session": True}}
    await three(Policy="maglev", HashPolicies=[policy])
    client = await site.call()
    first = await client.ask()
    cookie = first.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith("stay=")
    answers = [await client.ask(Cookie=cookie) for _ in range(5)]
    assert {answer.body for answer in answers} == {first.body}
    assert not any("set-cookie" in answer.headers for answer in answers)


async def test_round_robin_takes_turns(site, three):
    servers = await three(Policy="round_robin")
    client = await site.call()
    for _ in range(9):
        await client.ask()
    assert [len(server.seen) for server in servers] == [3, 3, 3]


async def test_who_has_fewest_requests_gets_the_next(site):
    gate = trio.Event()

    async def slow(stream):
        with contextlib.suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                await gate.wait()
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    upstreams = [await start_upstream(site.nursery, slow) for _ in range(2)]
    policy = {"Policy": "least_request", "LeastRequestConfig": {"ChoiceCount": 20}}
    endpoints = [upstream.endpoint for upstream in upstreams]
    await site.link(*endpoints, http=HttpRoute(load_balancer=policy))
    clients = [await site.call() for _ in range(6)]
    for number, client in enumerate(clients, 1):
        await client.send()
        await eventually(lambda wanted=number: sum(u.accepted for u in upstreams) == wanted)
    assert [upstream.accepted for upstream in upstreams] == [3, 3]
    gate.set()
    for client in clients:
        assert (await client.answer()).status == 200
    (view,) = site.node.world.current.view.gateways.values()
    room = view.table.find(sni("billing")).http.balanced.room
    assert room.requests == 0
