"""What is decided once for a host: the same bytes both ways, counts, limits and ends as with a task."""

import re
import socket
from collections import Counter

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from cluster.balance.ejection import PassiveHealth
from cluster.balance.limits import UpstreamLimits
from tests.fakes.engines import ENGINES
from tests.fakes.http import Client, Server, says
from tests.fakes.rig import allow, deny, eventually, rig, start_upstream
from tests.worker.gateways.front import until_end
from tests.worker.gateways.test_ingress_requests import API, Site, ask, by_request, entry
from tests.worker.gateways.test_turns import COMMON as TURNS
from tests.worker.gateways.test_turns import answers_to_all, arrived
from tests.worker.http.corpus import BODIES, GOOD, HEADS, get
from tests.worker.http.test_quick_heads import COMMON as COMMON_HEADS
from worker.http import native
from worker.settings import Limits

pytestmark = pytest.mark.skipif(
    not native.is_built or "native" not in ENGINES, reason="the native modules were not built"
)
#: Many handshakes at once take long on a busy machine.
PATIENT = Limits(hello_timeout_seconds=60.0, handshake_timeout_seconds=60.0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
SPOOFED = get(
    b"X-Forwarded-For: 1.2.3.4, 5.6.7.8",
    b"X-Forwarded-Proto: gopher",
    b"X-Forwarded-Host: other.example.com",
    b"X-Forwarded-Client-Cert: By=spiffe://x",
    b"X-Request-Id: mine",
    b"X-Empty:",
)
QUICK_HEADS = [data for data in COMMON_HEADS if b"hunked" not in data]
HOSTS = ("a", "a.example.com:8080", "127.0.0.1:", "a-b_c.d")
CASES = (*TURNS, ("spoofed", SPOOFED), *GOOD, *HEADS, *BODIES)


@pytest.fixture
async def node():
    async with rig(PATIENT, engine=ENGINES["native"]()) as made:
        yield made


@pytest.fixture
def site(front, pki, tmp_path):
    return Site(front, pki, tmp_path)


async def planned(site, host=API):
    """A caller whose last request went by a plan."""
    client = await site.call()
    for _ in range(3):
        assert (await ask(client, host)).status == 200
    assert site.front.node.world.express.answered
    return client


class Door:
    """An ingress listener, as `answers_to_all` knows a site."""

    def __init__(self, site):
        self.stream = site.front.call


@pytest.mark.parametrize("kind", ["plain", "mesh"])
async def test_bytes_are_the_same_both_ways(site, front, kind):
    """With and without plans, for whatever a caller sends on a connection that has a plan."""
    start = site.start_plain if kind == "plain" else site.start
    server = await start("legacy")
    server.answer = says(b"hello", Server="x", X_A="b", Connection="keep-alive", Keep_Alive="5")
    await front.serve(site.service("legacy", "a"))
    await Client(await front.call()).ask(Host="a")
    with_it = await answers_to_all(Door(site), server, CASES)
    object.__setattr__(front.node.world, "express", None)
    without = await answers_to_all(Door(site), server, CASES)
    for case in with_it:
        assert with_it[case] == without[case], case


@pytest.mark.parametrize("kind", ["plain", "mesh"])
async def test_common_requests_are_the_same_one_by_one(site, front, kind):
    """Those that plans serve, and nothing is behind them."""
    server = await (site.start_plain if kind == "plain" else site.start)("legacy")
    await front.serve(site.service("legacy", *HOSTS))
    express = front.node.world.express
    found, asked = [], [*QUICK_HEADS, SPOOFED]
    for chosen in (express, None):
        object.__setattr__(front.node.world, "express", chosen)
        del server.seen[:]
        got = [await third(await front.call(), data) for data in asked]
        found.append((got, list(map(arrived, server.seen))))
    assert found[0] == found[1]
    assert len(server.seen) == 3 * len(asked)
    assert express.answered >= 2 * len(asked) - 4


async def third(stream, data):
    """What is answered to this on a connection that has a plan."""
    warm = re.sub(rb"^[A-Z]+ \S+", b"GET /", data, count=1).split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    warm = re.sub(rb"(?i)\r\n(?:content-length|transfer-encoding|connection): [^\r]*", b"", warm)
    for one in (warm, warm, data):
        await stream.send_all(one)
        got = await stream.receive_some()
    return got


ANSWERS = {
    "bare": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "sized": b"HTTP/1.1 404 Not  Found\r\nX-A:b\r\nx-a: c\r\nContent-Length: 005\r\n\r\nhello",
    "none": b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
    "unchanged": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: x\r\n\r\n",
    "no words": b"HTTP/1.1 200 \r\nContent-Length: 2\r\nKeep-Alive: 5\r\n\r\nhi",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    "many": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%b\r\n" % (n, b"x" * n) for n in (1, 15, 16, 255, 256, 4097))
    + b"0\r\n\r\n",
    "empty": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "extended": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
    "trailed": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: a\r\n\r\n",
    "bad size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
    "closing": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
    "too much": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!",
    "both": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
    "folded": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nhi",
    "no http": b"SSH-2.0-x\r\n\r\n",
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_answers_are_the_same_byte_for_byte(site, front, method):
    """Whatever an upstream answers to a request that went by a plan."""

    async def serve(stream):
        while data := await stream.receive_some(65536):
            name = data.split()[1][1:].decode().replace("-", " ")
            await stream.send_all(ANSWERS.get(name, HEAD + b"hello"))

    upstream = await start_upstream(front.nursery, serve)
    front.sets |= {"connect:legacy": (), "plaintext:legacy": (upstream.endpoint,)}
    site.plaintext["legacy"] = "plaintext:legacy"
    await front.serve(site.service("legacy", API))
    found = []
    for express in (front.node.world.express, None):
        object.__setattr__(front.node.world, "express", express)
        for name in ANSWERS:
            client = await site.call()
            for _ in range(2):
                assert (await ask(client, API, "/first")).status == 200
            await client.stream.send_all(
                f"{method} /{name.replace(' ', '-')} HTTP/1.1\r\nHost: {API}\r\n\r\n"
                f"GET /first HTTP/1.1\r\nHost: {API}\r\nConnection: close\r\n\r\n".encode()
            )
            found.append((name, await client.ended()))
    for one, other in zip(found[: len(ANSWERS)], found[len(ANSWERS) :], strict=True):
        assert one == other
    assert sum(b"HTTP/1.1 " in got for _, (got, _) in found) > len(found) - 6


async def until_asked(site):
    """Until the request of the one connection is under way to an upstream."""
    await eventually(lambda: len(site.asked) > 0)
    await wait_all_tasks_blocked(0.01)


async def silent(site, name="legacy"):
    """A plain instance that answers until it is asked for `/wait`; what was asked for then."""
    site.asked, site.go_on = [], trio.Event()

    async def serve(stream):
        while data := await stream.receive_some(65536):
            if b" /wait" in data:
                site.asked.append(data)
                await site.go_on.wait()
            await stream.send_all(HEAD + name.encode()[:5])

    upstream = await start_upstream(site.front.nursery, serve)
    site.front.sets |= {f"connect:{name}": (), f"plaintext:{name}": (upstream.endpoint,)}
    site.plaintext[name] = f"plaintext:{name}"
    return upstream


async def wait_for_it(client):
    await client.send(target="/wait", Host=API)


async def test_the_register_shows_what_is_under_way(site, front):
    upstream = await silent(site)
    await front.serve(site.service("legacy", API))
    client = await planned(site)
    (entry,) = front.live()
    assert entry.permit is None
    await wait_for_it(client)
    await until_asked(site)
    assert (str(entry.permit.source), str(entry.permit.destination)) == ("front", "legacy")
    shown = entry.describe(0.0)
    assert (shown["endpoint"], shown["destination"]) == (str(upstream.endpoint), "legacy")
    site.go_on.set()
    assert (await client.answer()).status == 200
    assert entry.permit is None
    labels = {"gateway": "front", "service": "legacy"}
    value = front.node.value
    assert value("lockgate_http_requests_total", **labels, code="200") == 4
    assert value("lockgate_http_request_duration_seconds_count", **labels) == 4
    decisions = "lockgate_authorization_decisions_total"
    assert value(decisions, **labels, source="front", decision="allow") == 4


@pytest.mark.parametrize("by", ["connection", "request"])
async def test_a_withdrawal_ends_what_a_plan_carries(site, front, by):
    await silent(site)
    before, after = allow("front", "legacy"), deny("front", "legacy")
    if by == "request":
        after = by_request(before, {"Action": "deny", "HTTP": {"PathPrefix": "/wait"}})
    await front.serve(site.service("legacy", API), rules=[before])
    client = await planned(site)
    await wait_for_it(client)
    await until_asked(site)
    await front.decide(before, allow("web", "legacy"))
    assert len(front.live()) == 1
    if by == "request":
        other = by_request(before, {"Action": "deny", "HTTP": {"PathPrefix": "/other"}})
        await front.decide(
            by_request(other, *other.permissions, {"Action": "allow", "HTTP": {"PathPrefix": "/"}})
        )
        assert len(front.live()) == 1
    await front.decide(after)
    assert await until_end(client.stream) == (b"", "reset")
    await front.node.ended("intention_revoked")
    assert len(front.node.world.pools) == 0


async def test_a_plan_holds_for_its_view_only(site, front):
    await site.start_plain("legacy")
    await site.start_plain("other")
    await front.serve(site.service("legacy", API))
    client = await planned(site)
    await front.serve(site.service("other", API))
    assert (await ask(client, API)).body == b"other"
    await front.decide(deny("front", "other"))
    assert (await ask(client, API)).status == 403
    await front.serve(site.service("other", "else.example.com"))
    assert (await ask(client, API)).status == 404


async def test_whoever_drains_or_leaves_is_told(site, front):
    await silent(site)
    await front.serve(site.service("legacy", API))
    idle, client = await planned(site), await planned(site)
    await wait_for_it(client)
    await until_asked(site)
    front.node.world.live.leave()
    assert await idle.ended() == (b"", "in order")
    site.go_on.set()
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await client.ended() == (b"", "in order")


@pytest.mark.parametrize("policy", ["round_robin", "least_request", "random"])
async def test_endpoints_share_what_goes_by_plans(site, front, policy):
    servers = [await Server(says(b"x")).start(front.nursery) for _ in range(3)]
    endpoints = tuple(server.endpoint for server in servers)
    front.sets |= {"connect:legacy": (), "plaintext:legacy": endpoints}
    site.plaintext["legacy"] = "plaintext:legacy"
    site.entries = [entry("service-resolver", "legacy", LoadBalancer={"Policy": policy})]
    await front.serve(site.service("legacy", API))
    client = await site.call()
    for _ in range(60):
        assert (await ask(client, API)).status == 200
    counts = Counter({server.endpoint: len(server.seen) for server in servers})
    assert counts.total() == 60
    assert all(count == 20 if policy == "round_robin" else count > 3 for count in counts.values())
    assert [server.connections for server in servers] == [1] * 3
    assert front.node.world.express.answered >= 50


def watched(shape, **more):
    """The service with these."""
    return msgspec.structs.replace(shape, **more)


async def test_failures_by_plans_count_against_the_endpoint(site, front):
    good, bad = [await Server(says(b"x")).start(front.nursery) for _ in range(2)]
    front.sets |= {"connect:legacy": (), "plaintext:legacy": (good.endpoint, bad.endpoint)}
    site.plaintext["legacy"] = "plaintext:legacy"
    health = PassiveHealth(max_failures=2, base_ejection_seconds=3600.0, max_ejection_percent=100)
    await front.serve(watched(site.service("legacy", API), health=health))
    client = await planned(site)
    bad.answer = says(b"", status=500)
    statuses = [(await ask(client, API)).status for _ in range(12)]
    assert Counter(statuses) == {200: 10, 500: 2}
    assert statuses[-6:] == [200] * 6


async def test_a_target_has_room_for_so_many(site, front):
    await silent(site)
    limits = UpstreamLimits(requests=1)
    await front.serve(watched(site.service("legacy", API), limits=limits))
    first, second = await planned(site), await planned(site)
    await wait_for_it(first)
    await until_asked(site)
    answer = await ask(second, API)
    assert (answer.status, answer.headers["x-envoy-overloaded"]) == (503, "true")
    site.go_on.set()
    assert (await first.answer()).status == 200
    assert (await ask(second, API)).status == 200


async def test_a_caller_that_goes_leaves_room_and_connection_as_they_were(site, front):
    await silent(site)
    limits = UpstreamLimits(requests=1)
    await front.serve(watched(site.service("legacy", API), limits=limits))
    client = await planned(site)
    await wait_for_it(client)
    await until_asked(site)
    await trio.aclose_forcefully(client.stream)
    site.go_on.set()
    await eventually(lambda: not front.live())
    assert (await ask(await site.call(), API)).status == 200


async def test_what_nobody_answers_is_dialled_again(site, front):
    """An upstream that hung up while it was idle, and one that does so when it is asked."""
    streams = []

    async def serve(stream):
        streams.append(stream)
        while data := await stream.receive_some(65536):
            if b" /hang-up" in data and len(streams) == 2:
                return
            await stream.send_all(HEAD + b"hello")

    upstream = await start_upstream(front.nursery, serve)
    front.sets |= {"connect:legacy": (), "plaintext:legacy": (upstream.endpoint,)}
    site.plaintext["legacy"] = "plaintext:legacy"
    await front.serve(site.service("legacy", API))
    client = await planned(site)
    streams[0].socket.shutdown(socket.SHUT_RDWR)
    assert (await ask(client, API)).status == 200
    assert (await ask(client, API)).status == 200
    assert (await ask(client, API, "/hang-up")).status == 200
    assert len(streams) == 3


async def test_nobody_answers_in_time(site, front):
    await silent(site)
    route = {"Match": {}, "Destination": {"RequestTimeout": "200ms"}}
    site.entries = [entry("service-router", "legacy", Routes=[route])]
    await front.serve(site.service("legacy", API))
    client = await planned(site)
    await wait_for_it(client)
    assert (await client.answer()).status == 504
    assert (await ask(client, API)).status == 200
    site.go_on.set()
