"""Requests at an ingress gateway: by host and chain to instances of the mesh, by h11 on both sides."""

import ssl

import msgspec
import pytest
import trio

from cluster.chain import Request, compile_chain, entries_of
from cluster.ingress import CertificateFiles, IngressHttp, IngressService, ListenerTls
from cluster.names import ServiceName
from tests.fakes.http import Client, Server, says
from tests.fakes.pki import TRUST_DOMAIN, Pki, server_context, write
from tests.fakes.rig import (
    PATIENCE_SECONDS,
    allow,
    at,
    deny,
    eventually,
    start_upstream,
    tls_client,
)
from tests.worker.gateways.front import target, until_end

API = "api.example.com"


def by_request(rule, *permissions):
    """The same pair, decided by these permissions."""
    return msgspec.structs.replace(rule, permissions=permissions)


def entry(kind, name, **body):
    return {"Kind": kind, "Name": name, **body}


class Site:
    """An http listener: services with their chains, and real servers of the mesh."""

    def __init__(self, front, pki, tmp_path):
        self.front, self.pki, self.folder = front, pki, tmp_path
        front.protocol = self.protocol = "http"
        self.entries = []
        self.plaintext = {}

    async def start(self, name, answer=None):
        """A server that shows the service's leaf, and demands one of the mesh."""
        context = server_context(self.folder, self.pki.service(name), roots=self.pki.pem)
        server = await Server(answer or says(name.encode())).start(self.front.nursery, context)
        self.front.sets[f"connect:{name}"] = (server.endpoint,)
        return server

    async def start_plain(self, name):
        server = await Server(says(name.encode())).start(self.front.nursery)
        self.front.sets |= {f"connect:{name}": (), f"plaintext:{name}": (server.endpoint,)}
        self.plaintext[name] = f"plaintext:{name}"
        return server

    def service(self, name, *hosts, files=None, **exposed):
        everywhere = entry("proxy-defaults", "global", Config={"protocol": self.protocol})
        request = Request(
            service=name,
            datacenter="dc1",
            trust_domain=TRUST_DOMAIN,
            entries=entries_of((everywhere, *self.entries)),
        )
        chain = compile_chain(request)
        return IngressService(
            service=ServiceName(name=name),
            targets=tuple(self._target(one) for one in chain.targets.values()),
            hosts=hosts,
            files=files,
            http=IngressHttp(chain=chain, exposed=exposed),
        )

    def _target(self, named):
        name = named.service.name
        self.front.sets.setdefault(f"connect:{name}", ())
        return target(name, id=named.id, plaintext=self.plaintext.get(name, ""))

    async def call(self, tls=None, roots=None):
        """A client; with `tls` it asks for that name."""
        if tls is None:
            return Client(await self.front.call())
        context = ssl.create_default_context(cadata=(roots or self.pki.pem).decode())
        context.set_alpn_protocols(["h2", "http/1.1"])
        stream = self.front.closing(await tls_client(self.front.port, context, tls))
        assert stream.selected_alpn_protocol() == "http/1.1"
        return Client(stream)


@pytest.fixture
def site(front, pki, tmp_path):
    return Site(front, pki, tmp_path)


async def ask(client, host, target="/", **more):
    return await client.ask(target=target, Host=host, **more)


async def test_a_host_leads_to_its_service_and_others_are_not_found(site, front):
    api, web = await site.start("api"), await site.start("web")
    await front.serve(site.service("api", API), site.service("web"))
    client = await site.call()
    assert (await ask(client, API)).body == b"api"
    assert (await ask(client, f"{API.upper()}:{front.port}")).body == b"api"
    assert (await ask(client, "web.ingress.anything")).body == b"web"
    answer = await ask(client, "nobody.example.com")
    assert (answer.status, answer.body) == (404, b"")
    assert (await ask(client, f"{API}:1")).status == 404
    assert [len(one.seen) for one in (api, web)] == [2, 1]
    counted = {"gateway": "front", "service": "api", "code": "200"}
    assert front.node.value("lockgate_http_requests_total", **counted) == 2
    (shown,) = [one.describe(0.0) for one in front.live()]
    assert (shown["source"], shown["destination"]) == ("front", "web")


async def test_connections_into_the_mesh_are_used_again_by_anybody(site, front):
    api = await site.start("api")
    await front.serve(site.service("api", API))
    for _ in range(3):
        client = await site.call()
        for _ in range(3):
            assert (await ask(client, API)).status == 200
    assert (len(api.seen), api.connections) == (9, 1)


async def test_a_connection_made_with_another_leaf_is_not_used_again(site, front):
    api = await site.start("api")
    for _ in range(2):
        await front.serve(site.service("api", API))
        for _ in range(2):
            assert (await ask(await site.call(), API)).status == 200
    assert (len(api.seen), api.connections) == (4, 2)


async def test_what_a_client_outside_says_of_earlier_hops_is_not_believed(site, front):
    api = await site.start("api")
    await front.serve(site.service("api", API))
    said = {
        "X-Forwarded-Client-Cert": "URI=spiffe://evil",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example.com",
        "X-Forwarded-For": "1.2.3.4",
        "X-Request-Id": "abc",
    }
    await ask(await site.call(), API, **{name.replace("-", "_"): v for name, v in said.items()})
    (seen,) = api.seen
    assert "x-forwarded-client-cert" not in seen.headers
    assert seen.headers["x-forwarded-proto"] == "http"
    assert seen.headers["x-forwarded-host"] == API
    assert seen.headers["x-forwarded-for"] == "1.2.3.4,127.0.0.1"
    assert seen.headers["x-request-id"] == "abc"
    assert seen.headers["host"] == API


async def test_a_router_leads_rewrites_and_changes_headers_both_ways(site, front):
    await site.start("api")
    v2 = await site.start("v2", says(b"v2", Server="secret"))
    destination = {
        "Service": "v2",
        "PrefixRewrite": "/",
        "RequestHeaders": {"Set": {"X-From": "route", "X-Forwarded-Proto": "https"}},
        "ResponseHeaders": {"Remove": ["Server"], "Add": {"X-Route": "v2"}},
    }
    route = {"Match": {"HTTP": {"PathPrefix": "/v2/"}}, "Destination": destination}
    site.entries = [entry("service-router", "api", Routes=[route])]
    await front.serve(
        site.service(
            "api",
            API,
            RequestHeaders={"Set": {"X-From": "listener"}, "Add": {"X-Also": "1"}},
            ResponseHeaders={"Set": {"X-Front": "yes"}},
        )
    )
    client = await site.call()
    answer = await ask(client, API, "/v2/deep?q=1", Cookie="a=b")
    assert answer.body == b"v2"
    assert (answer.headers["x-route"], answer.headers["x-front"]) == ("v2", "yes")
    assert "server" not in answer.headers
    (seen,) = v2.seen
    assert seen.target == "/deep?q=1"
    assert seen.headers["x-from"] == "listener"
    assert (seen.headers["x-also"], seen.headers["cookie"]) == ("1", "a=b")
    assert seen.headers["x-forwarded-proto"] == "https"
    assert (await ask(client, API, "/other")).body == b"api"


async def test_a_split_sends_shares(site, front):
    one, other = await site.start("api"), await site.start("canary")
    splits = [{"Weight": 70}, {"Weight": 30, "Service": "canary"}]
    site.entries = [entry("service-splitter", "api", Splits=splits)]
    await front.serve(site.service("api", API))
    client = await site.call()
    for _ in range(200):
        await ask(client, API)
    assert len(one.seen) + len(other.seen) == 200
    assert 30 <= len(other.seen) <= 90


async def test_a_cookie_keeps_a_client_with_an_instance(site, front):
    servers = [await site.start("api", says(str(number).encode())) for number in range(3)]
    front.sets["connect:api"] = tuple(server.endpoint for server in servers)
    policy = {"Field": "cookie", "FieldValue": "stay", "CookieConfig": {"Session": True}}
    balancer = {"Policy": "maglev", "HashPolicies": [policy]}
    site.entries = [entry("service-resolver", "api", LoadBalancer=balancer)]
    await front.serve(site.service("api", API))
    client = await site.call()
    first = await ask(client, API)
    cookie = first.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith("stay=")
    bodies = {(await ask(client, API, Cookie=cookie)).body for _ in range(20)}
    assert bodies == {first.body}
    assert len({(await ask(client, API)).body for _ in range(40)}) == 3


async def test_a_stand_in_answers_when_nobody_else_does(site, front):
    await site.start("spare")
    site.entries = [
        entry("service-resolver", "api", Failover={"*": {"Targets": [{"Service": "spare"}]}})
    ]
    shape = site.service("api", API)
    for endpoints in ((at(1, healthy=False),), (at(1),)):
        front.sets["connect:api"] = endpoints
        await front.serve(shape)
        assert (await ask(await site.call(), API)).body == b"spare"


@pytest.mark.parametrize(
    ("endpoints", "words"),
    [((), b"no healthy upstream"), ((at(1),), b"upstream connect error")],
)
async def test_nobody_to_ask_is_503(site, front, endpoints, words):
    front.sets["connect:api"] = endpoints
    await front.serve(site.service("api", API))
    client = await site.call()
    answer = await ask(client, API)
    assert answer.status == 503
    assert answer.body.startswith(words)
    assert (await ask(client, API)).status == 503


async def test_who_is_not_the_service_gets_no_request(site, front, pki, tmp_path):
    context = server_context(tmp_path, pki.service("somebody"), roots=pki.pem)
    server = await Server(says()).start(front.nursery, context)
    front.sets["connect:api"] = (server.endpoint,)
    await front.serve(site.service("api", API))
    answer = await ask(await site.call(), API)
    assert (answer.status, b"TLS_error" in answer.body) == (503, True)
    assert server.seen == []


async def test_the_route_is_that_of_the_moment(site, front):
    await site.start("api")
    await site.start("web")
    await front.serve(site.service("api", API))
    client = await site.call()
    assert (await ask(client, API)).body == b"api"
    await front.serve(site.service("web", API))
    assert (await ask(client, API)).body == b"web"


async def test_a_long_body_both_ways(site, front):
    def echo(message):
        return 200, [("Content-Length", str(len(message.body)))], message.body

    api = await site.start("api", echo)
    await front.serve(site.service("api", API))
    body = bytes(range(256)) * 4000
    answer = await (await site.call()).ask("POST", "/", body, Host=API)
    assert answer.body == body
    assert api.seen[0].body == body
    (entry,) = front.live()
    assert min(entry.flow.up_bytes, entry.flow.down_bytes) > len(body)


class TestPlaintext:
    """Nobody else decides, so the gateway does, request by request."""

    async def test_permissions_are_asked(self, site, front):
        server = await site.start_plain("legacy")
        permission = {"Action": "allow", "HTTP": {"PathPrefix": "/public"}}
        rule = by_request(allow("front", "legacy"), permission)
        await front.serve(site.service("legacy", API), rules=[rule])
        client = await site.call()
        assert (await ask(client, API, "/public/x")).body == b"legacy"
        answer = await ask(client, API, "/private")
        assert (answer.status, answer.body) == (403, b"RBAC: access denied")
        assert (await ask(client, API, "/public/../private")).status == 403
        assert len(server.seen) == 1
        for decision in ("allow", "deny"):
            labels = {"gateway": "front", "service": "legacy", "source": "front"}
            assert front.node.value(
                "lockgate_authorization_decisions_total", **labels, decision=decision
            )

    async def test_what_arrives_is_judged_not_what_was_asked(self, site, front):
        await site.start_plain("legacy")
        destination = {"Service": "legacy", "PrefixRewrite": "/private/"}
        route = {"Match": {"HTTP": {"PathPrefix": "/public/"}}, "Destination": destination}
        site.entries = [entry("service-router", "legacy", Routes=[route])]
        rule = by_request(
            allow("front", "legacy"),
            {"Action": "deny", "HTTP": {"PathPrefix": "/private"}},
            {"Action": "allow", "HTTP": {"PathPrefix": "/"}},
        )
        await front.serve(site.service("legacy", API), rules=[rule])
        client = await site.call()
        assert (await ask(client, API, "/public/x")).status == 403
        assert (await ask(client, API, "/x")).status == 200

    async def test_what_was_decided_for_a_host_holds_for_one_view_and_one_host(self, site, front):
        """The policy and the routes may change between requests; so may the host within a connection."""
        server = await site.start_plain("legacy")
        await site.start("web")
        rule = allow("front", "*")
        services = site.service("legacy", API), site.service("web")
        await front.serve(*services, rules=[rule])
        client = await site.call()
        spoof = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "1.2.3.4"}
        for _ in range(3):
            assert (await ask(client, API, "/private", **spoof)).body == b"legacy"
        assert {one.headers["x-forwarded-proto"] for one in server.seen} == {"http"}
        assert {one.headers["x-forwarded-for"] for one in server.seen} == {"1.2.3.4,127.0.0.1"}
        assert (await ask(client, "web.ingress.x")).body == b"web"
        assert (await ask(client, "nobody.example.com")).status == 404
        only = by_request(rule, {"Action": "allow", "HTTP": {"PathPrefix": "/public"}})
        await front.decide(only)
        for path, status in (("/public", 200), ("/private", 403), ("/public", 200)):
            assert (await ask(client, API, path)).status == status
        await front.decide(rule)
        assert [(await ask(client, API, "/private")).status for _ in range(3)] == [200] * 3
        labels = {"gateway": "front", "service": "legacy", "source": "front"}
        counted = "lockgate_authorization_decisions_total"
        assert front.node.value(counted, **labels, decision="allow") == 8
        assert front.node.value(counted, **labels, decision="deny") == 1
        await front.decide(deny("front", "legacy"))
        assert (await ask(client, API, "/private")).status == 403

    async def test_a_listeners_changes_are_made_to_each_request(self, site, front):
        server = await site.start_plain("legacy")
        changes = {"RequestHeaders": {"Add": {"x-more": "yes"}}}
        await front.serve(site.service("legacy", API, **changes))
        client = await site.call()
        for _ in range(3):
            assert (await ask(client, API)).status == 200
        assert [one.headers["x-more"] for one in server.seen] == ["yes"] * 3

    async def test_a_withdrawal_is_a_403_and_the_connection_stays(self, site, front):
        await site.start_plain("legacy")
        await front.serve(site.service("legacy", API))
        client = await site.call()
        assert (await ask(client, API)).status == 200
        await front.decide(deny("front", "legacy"))
        assert (await ask(client, API)).status == 403

    @pytest.mark.parametrize("by", ["connection", "request"])
    async def test_a_withdrawal_ends_a_request_under_way(self, site, front, by):
        await site.start_plain("legacy")
        path = {"HTTP": {"PathPrefix": "/"}}
        before = by_request(allow("front", "legacy"), {"Action": "allow", **path})
        after = by_request(allow("front", "legacy"), {"Action": "deny", **path})
        if by == "connection":
            before, after = allow("front", "legacy"), deny("front", "legacy")
        await front.serve(site.service("legacy", API), rules=[before])
        client = await site.call()
        head = f"POST / HTTP/1.1\r\nHost: {API}\r\nContent-Length: 5\r\n\r\nab"
        await client.stream.send_all(head.encode())
        await eventually(lambda: front.live()[0].permit is not None)
        await front.decide(before, allow("web", "legacy"))
        assert len(front.live()) == 1
        await front.decide(after)
        assert await until_end(client.stream) == (b"", "reset")
        await front.node.ended("intention_revoked")

    @pytest.mark.parametrize("withdrawn", ["legacy", "standby"])
    async def test_of_several_targets_the_one_that_is_asked_counts(self, site, front, withdrawn):
        """A request is not ended for its stand-in, nor spared for it."""
        await site.start_plain("legacy")
        await site.start_plain("standby")
        failover = {"*": {"Service": "standby"}}
        site.entries = [entry("service-resolver", "legacy", Failover=failover)]
        rules = {name: allow("front", name) for name in ("legacy", "standby")}
        await front.serve(site.service("legacy", API), rules=list(rules.values()))
        client = await site.call()
        head = f"POST / HTTP/1.1\r\nHost: {API}\r\nContent-Length: 5\r\n\r\nab"
        await client.stream.send_all(head.encode())
        await eventually(lambda: front.live() and front.live()[0].endpoint is not None)
        rules[withdrawn] = deny("front", withdrawn)
        await front.decide(*rules.values())
        if withdrawn == "legacy":
            assert await until_end(client.stream) == (b"", "reset")
            await front.node.ended("intention_revoked")
        else:
            await client.stream.send_all(b"cde")
            assert (await client.answer()).body == b"legacy"


class TestTls:
    async def test_alpn_and_scheme(self, site, front):
        api = await site.start("api")
        await front.serve(site.service("api"), tls=ListenerTls())
        client = await site.call("api.ingress.consul")
        assert (await ask(client, "api.ingress.consul")).body == b"api"
        assert api.seen[0].headers["x-forwarded-proto"] == "https"

    async def test_the_host_decides_whatever_name_tls_asked_for(self, site, front):
        await site.start("api")
        await site.start("web")
        await front.serve(site.service("api"), site.service("web"), tls=ListenerTls())
        client = await site.call("api.ingress.consul")
        assert (await ask(client, "web.ingress.consul")).body == b"web"

    async def test_another_services_certificate_serves_no_other_host(self, site, front, tmp_path):
        public = Pki("public root")
        cert, key = write(tmp_path, "own", public.leaf(dns=["own.test"]))
        own = CertificateFiles(cert_file=str(cert), key_file=str(key))
        await site.start("api")
        await site.start("web")
        shape = (site.service("api", "own.test", files=own), site.service("web"))
        await front.serve(*shape, tls=ListenerTls())
        client = await site.call("own.test", public.pem)
        assert (await ask(client, "own.test")).body == b"api"
        assert (await ask(client, "web.ingress.consul")).status == 421
        other = await site.call("web.ingress.consul")
        assert (await ask(other, "web.ingress.consul")).body == b"web"
        assert (await ask(other, "own.test")).status == 421


async def test_after_an_upgrade_bytes_flow_both_ways(site, front, pki, tmp_path):
    async def upgrade(stream):
        await stream.receive_some()
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        async for chunk in stream:
            await stream.send_all(chunk.upper())

    context = server_context(tmp_path, pki.service("api"), roots=pki.pem)
    upstream = await start_upstream(front.nursery, upgrade, context)
    front.sets["connect:api"] = (upstream.endpoint,)
    await front.serve(site.service("api", API))
    stream = await front.call()
    head = f"GET / HTTP/1.1\r\nHost: {API}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    await stream.send_all(head.encode())
    with trio.fail_after(PATIENCE_SECONDS):
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        await stream.send_all(b"frames")
        assert await stream.receive_some() == b"FRAMES"
    assert front.live()[0].describe(0.0)["state"] == "relay"
