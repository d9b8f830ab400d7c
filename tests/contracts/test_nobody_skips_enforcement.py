"""Every kind of gateway, every kind of intention, every protocol: what is not allowed does not get through.

What is expected is written down here by hand, from what Consul says of intentions, and made by no code of the
product. A case says what a connection without requests gets (`whole`), and what each request gets. Where a
protocol is not served by request, a connection is all there is to decide about.
"""

import base64
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import trio

from cluster.process.clock import wall_clock
from tests.fakes.http import Client, Server, says
from tests.fakes.http2 import Answer as Http2Answer
from tests.fakes.http2 import Http2Server
from tests.fakes.http2_client import Http2Client
from tests.fakes.mesh import mesh, sidecar
from tests.fakes.rig import PATIENCE_SECONDS, eventually, start_upstream
from tests.worker.gateways.test_tokens import keys, token

SOURCE, HOST = "front", "billing.internal"
SECRET, OTHER = b"s" * 64, b"o" * 64
PATIENT_FOR_EXPIRY_SECONDS = 1.0


@dataclass(frozen=True)
class Ask:
    """A request, and whether it may pass."""

    passes: bool
    method: str = "GET"
    target: str = "/"
    headers: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """Sources of an intention, what holds without one, and what is to come of it."""

    name: str
    default: str
    sources: tuple
    whole: bool
    asks: tuple
    jwt: dict = field(default_factory=dict)


def from_source(name=SOURCE, **says):
    return {"Name": name, **says}


def by_request(action, name=SOURCE, **http):
    return from_source(name, Permissions=[{"Action": action, "HTTP": http}])


WITHOUT = (Ask(True), Ask(True, "POST", "/a"))
NOTHING = (Ask(False), Ask(False, "POST", "/a"))
OKTA = {"Providers": [{"Name": "okta"}]}

CASES = (
    Case("no intention, default deny", "deny", (), False, NOTHING),
    Case("no intention, default allow", "allow", (), True, WITHOUT),
    Case("of somebody else", "deny", (from_source("other", Action="allow"),), False, NOTHING),
    Case("L4 allow", "deny", (from_source(Action="allow"),), True, WITHOUT),
    Case("L4 deny", "allow", (from_source(Action="deny"),), False, NOTHING),
    Case(
        "L7 allow by path",
        "deny",
        (by_request("allow", PathPrefix="/public/"),),
        False,
        (
            Ask(True, target="/public/a"),
            Ask(True, target="/public/a?b=/private"),
            Ask(True, target="/x/../public/a"),
            Ask(False, target="/private"),
            Ask(False, target="/public/../private"),
            Ask(False, target="/public/%2e%2e/private"),
            Ask(False, target="/PUBLIC/a"),
        ),
    ),
    Case(
        "L7 allow by method",
        "deny",
        (by_request("allow", PathPrefix="/", Methods=["GET"]),),
        False,
        (Ask(True), Ask(False, "POST"), Ask(False, "DELETE")),
    ),
    Case(
        "L7 allow by header",
        "deny",
        (by_request("allow", PathPrefix="/", Header=[{"Name": "X-Team", "Exact": "ops"}]),),
        False,
        (
            Ask(True, headers={"X-Team": "ops"}),
            Ask(False, headers={"X-Team": "opsx"}),
            Ask(False, headers={"X-Other": "ops"}),
            Ask(False),
        ),
    ),
    Case(
        "L7 deny, then allow",
        "deny",
        (
            from_source(
                Permissions=[
                    {"Action": "deny", "HTTP": {"PathPrefix": "/admin"}},
                    {"Action": "allow", "HTTP": {"PathPrefix": "/"}},
                ]
            ),
        ),
        False,
        (Ask(True), Ask(False, target="/admin"), Ask(False, target="/./admin/x")),
    ),
    Case(
        "L7 deny, default allow",
        "allow",
        (by_request("deny", PathPrefix="/admin"),),
        False,
        (Ask(True), Ask(False, target="/admin"), Ask(False, target="//x/../../admin")),
    ),
    Case("wildcard source allow", "deny", (from_source("*", Action="allow"),), True, WITHOUT),
    Case("wildcard source deny", "allow", (from_source("*", Action="deny"),), False, NOTHING),
    Case(
        "exact deny before wildcard allow",
        "deny",
        (from_source(Action="deny"), from_source("*", Action="allow")),
        False,
        NOTHING,
    ),
    Case(
        "wildcard source, L7",
        "deny",
        (by_request("allow", "*", PathExact="/a"),),
        False,
        (Ask(True, target="/a"), Ask(False, target="/b")),
    ),
    Case("expired allow", "deny", (from_source(Action="allow", ExpiresAt="soon"),), False, NOTHING),
    Case("expired deny", "allow", (from_source(Action="deny", ExpiresAt="soon"),), True, WITHOUT),
    Case(
        "a token of the entry",
        "deny",
        (from_source(Permissions=[{"Action": "allow", "HTTP": {"PathPrefix": "/"}}]),),
        False,
        (
            Ask(True, headers={"Authorization": token(SECRET)}),
            Ask(False, headers={"Authorization": token(OTHER)}),
            Ask(False, headers={"Authorization": token(SECRET, exp=wall_clock() - 60)}),
            Ask(False, headers={"Authorization": "Bearer x"}),
            Ask(False),
        ),
        OKTA,
    ),
    Case(
        "a token of a permission",
        "deny",
        (
            from_source(
                Permissions=[
                    {
                        "Action": "allow",
                        "HTTP": {"PathPrefix": "/a"},
                        "JWT": {
                            "Providers": [
                                {
                                    "Name": "okta",
                                    "VerifyClaims": [{"Path": ["role"], "Value": "admin"}],
                                }
                            ]
                        },
                    }
                ]
            ),
        ),
        False,
        (
            Ask(True, target="/a", headers={"Authorization": token(SECRET)}),
            Ask(False, target="/a", headers={"Authorization": token(SECRET, role="guest")}),
            Ask(False, target="/b", headers={"Authorization": token(SECRET)}),
            Ask(False, target="/a"),
        ),
    ),
)


# --- how a protocol is spoken, and what a refusal looks like in it


class Tcp:
    """Bytes, and nobody to answer a request: a connection passes or it ends."""

    alpn = ()

    def __init__(self):
        self.seen = 0

    async def program(self, nursery):
        async def echo(stream):
            async for chunk in stream:
                self.seen += 1
                await stream.send_all(chunk)

        return (await start_upstream(nursery, echo)).port

    async def ask(self, stream, case):
        yield "a connection", case.whole, await self._passes(stream)

    async def _passes(self, stream):
        try:
            await stream.send_all(b"ping")
            return await stream.receive_some() == b"ping"
        except trio.BrokenResourceError:
            return False


class Http:
    """HTTP/1.1 by h11 on both sides: 403 on a connection that stays."""

    alpn = ("http/1.1",)

    def __init__(self):
        self.server = Server(says())

    @property
    def seen(self):
        return len(self.server.seen)

    async def program(self, nursery):
        return (await self.server.start(nursery)).endpoint.port

    async def ask(self, stream, case):
        client = Client(stream)
        for ask in case.asks:
            answer = await client.ask(ask.method, ask.target, Host=HOST, **ask.headers)
            denied = (answer.status, answer.body) == (403, b"RBAC: access denied")
            assert denied or answer.status == 200, answer
            yield ask, ask.passes, not denied


class Http2:
    """HTTP/2 by the library of others on both sides: 403 on a stream of a connection that stays."""

    alpn = ("h2",)
    fields = ()
    answer = Http2Answer(body=b"hello")

    def __init__(self):
        self.server = Http2Server(lambda asked: self.answer)

    @property
    def seen(self):
        return len(self.server.seen)

    async def program(self, nursery):
        return (await self.server.start(nursery)).endpoint.port

    async def ask(self, stream, case):
        client = await Http2Client(stream, HOST).start()
        for ask in case.asks:
            given = [(name.lower().encode(), v.encode()) for name, v in ask.headers.items()]
            answer = await client.ask(ask.method, ask.target, fields=(*self.fields, *given))
            assert answer.is_whole
            passed = self.has_passed(answer)
            assert passed or self.is_denied(answer), answer
            yield ask, ask.passes, passed

    def has_passed(self, answer):
        return (answer.status, answer.body) == (200, b"hello")

    def is_denied(self, answer):
        return (answer.status, answer.body) == (403, b"RBAC: access denied")


class Grpc(Http2):
    """The same with gRPC's heads: refusals are its status 7, PERMISSION_DENIED."""

    fields = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))
    answer = Http2Answer(
        headers=(("content-type", "application/grpc"),),
        body=b"\0\0\0\0\x02hi",
        trailers=(("grpc-status", "0"),),
    )

    def has_passed(self, answer):
        return answer.body == self.answer.body and answer.trailers == {"grpc-status": "0"}

    def is_denied(self, answer):
        said = answer.headers.get("grpc-status"), answer.headers.get("grpc-message")
        return (answer.status, answer.body, *said) == (200, b"", "7", "RBAC: access denied")


class Http1ToHttp2(Http):
    """Whoever asks in HTTP/1.1, of a program that speaks HTTP/2."""

    def __init__(self):
        self.server = Http2Server(lambda asked: Http2Answer(body=b"hello"))


class Http2ToHttp1(Http2):
    """The other way round, without having agreed on it."""

    alpn = ()

    def __init__(self):
        self.server = Server(says())


#: By what is written about the service.
PROTOCOLS = {
    "tcp": ("tcp", Tcp),
    "http": ("http", Http),
    "http2": ("http2", Http2),
    "grpc": ("grpc", Grpc),
    "http2, asked in HTTP/1.1": ("http2", Http1ToHttp2),
    "http, asked in HTTP/2": ("http", Http2ToHttp1),
}


# --- the doors


class Doors:
    """One program behind every kind of gateway. `kinds` open a connection of SOURCE by each."""

    def __init__(self, made, spoken, port):
        self.mesh, self.spoken, self.program = made, spoken, port
        self.ports = {}
        self.write = made.entry
        self.kinds = {
            "terminating gateway": self._at("egress", "outside"),
            "ingress gateway, instances in plain": self._outside("plain"),
            "ingress gateway, into the mesh": self._outside("web"),
            "sidecar": self._at("sidecar", "web"),
            "mesh gateway": self._at("mgw", "web"),
        }

    def _at(self, gateway, service):
        alpn = self.spoken.alpn
        return lambda: self.mesh.call(self.ports[gateway], service, SOURCE, alpn)

    def _outside(self, service):
        return lambda: self.mesh.call_from_outside(self.ports[service])

    async def register(self, protocol):
        made, ports = self.mesh, self.ports
        #: The API takes no permissions for a service of tcp; it may have become one since.
        self.write = made.force if protocol == "tcp" else made.entry
        hears = protocol == "tcp"
        ports["egress"], ports["mgw"] = made.node.listen(), made.node.listen()
        for service in ("plain", "web"):
            ports[service] = made.node.listen(server_may_speak_first=hears)
        await made.service("egress", ports["egress"], Kind="terminating-gateway")
        await made.service("mgw", ports["mgw"], Kind="mesh-gateway")
        await made.service("front", ports["plain"], Kind="ingress-gateway")
        await made.service("outside", self.program, node="elsewhere")
        in_plain = {"lockgate-plaintext": "true"}
        await made.service("plain", self.program, node="elsewhere", Meta=in_plain)
        for service in ("outside", "plain", "web"):
            await made.entry("service-defaults", service, Protocol=protocol)
        await made.entry("terminating-gateway", "egress", Services=[{"Name": "outside"}])
        hosts = {} if hears else {"Hosts": [HOST]}
        listeners = [
            {
                "Port": ports[service],
                "Protocol": protocol,
                "Services": [{"Name": service, **hosts}],
            }
            for service in ("plain", "web")
        ]
        await made.entry("ingress-gateway", "front", Listeners=listeners)
        jwks = {"Local": {"JWKS": base64.b64encode(keys(SECRET).encode()).decode()}}
        await made.entry("jwt-provider", "okta", Issuer="okta", JSONWebKeySet=jwks)
        await made.node.keys(await made.leaf("outside"), await made.leaf("front"))

    async def decide(self, case):
        """Have everybody know the intentions of a case, and wait for what is to end by itself."""
        ends = wall_clock() + PATIENT_FOR_EXPIRY_SECONDS
        sources = [self._source(case, source, ends) for source in case.sources]
        for service in ("outside", "plain", "web"):
            if sources:
                jwt = {"JWT": case.jwt} if case.jwt else {}
                await self.write("service-intentions", service, Sources=sources, **jwt)
            else:
                await self.mesh.withdraw("service-intentions", service)
        await self.mesh.offer()
        expires = any("ExpiresAt" in source for source in sources)
        wanted = {case.name} if sources else set()
        sidecar = self.mesh.sidecar

        def has_heard():
            found = {rule.description for rule in sidecar.known.rules}
            is_over = expires and wall_clock() >= ends  # nobody is told of it then
            return found == wanted or (is_over and not found)

        await eventually(has_heard)
        if expires:
            for world in self.mesh.worlds():
                await eventually(lambda: world.current.view.next_expiry > ends + 1)  # noqa: B023

    def _source(self, case, source, ends):
        said = source | {"Description": case.name}
        if "ExpiresAt" in said:
            said["ExpiresAt"] = datetime.fromtimestamp(ends, UTC).isoformat()
        return said


@contextlib.asynccontextmanager
async def doors(name, default):
    protocol, speak = PROTOCOLS[name]
    spoken = speak()
    async with (
        mesh(default_allow=default == "allow") as made,
        trio.open_nursery() as nursery,
    ):
        found = Doors(made, spoken, await spoken.program(nursery))
        await found.register(protocol)
        async with sidecar(made, "web", found.program) as port:
            found.ports["sidecar"] = port
            yield found
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("default", ["deny", "allow"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_is_not_allowed_does_not_get_through(protocol, default):
    async with doors(protocol, default) as found:
        for case in CASES:
            if case.default == default:
                await found.decide(case)
                for kind, opened in found.kinds.items():
                    await check(found.spoken, f"{protocol}, {kind}, {case.name}", opened, case)


async def check(spoken, cell, opened, case):
    """Everything that a case asks of one door; the program hears of what passes, and of nothing else."""
    with trio.fail_after(PATIENCE_SECONDS):
        stream = await opened()
        try:
            before = spoken.seen
            async for what, expected, passed in spoken.ask(stream, case):
                assert passed is expected, f"{cell}: {what} {'passed' if passed else 'was denied'}"
                assert spoken.seen - before == passed, f"{cell}: {what}"
                before = spoken.seen
        finally:
            await trio.aclose_forcefully(stream)


#: What differs in spelling only, where the mesh says so, and a way through if it did not.
ODD = Case(
    "paths as the mesh wants them",
    "allow",
    (by_request("deny", PathPrefix="/admin"),),
    False,
    (
        Ask(True, target="/a//b"),
        Ask(False, target="//admin"),
        Ask(False, target="/.//admin/x"),
        Ask(False, target="/%2Fadmin"),
        Ask(False, target="/x%2f..%2fadmin"),
        Ask(False, target="/%5cadmin"),
    ),
)


async def test_a_path_is_read_in_one_way_by_all():
    async with doors("http", "allow") as found:
        said = {"MergeSlashes": True, "PathWithEscapedSlashesAction": "UNESCAPE_AND_FORWARD"}
        incoming = {"Incoming": {"RequestNormalization": said}}
        await found.mesh.entry("mesh", "mesh", HTTP=incoming)
        await found.decide(ODD)
        sidecar = found.mesh.sidecar
        await eventually(lambda: sidecar.world.current.view.rules.normalisation.merge_slashes)
        for kind, opened in found.kinds.items():
            await check(found.spoken, f"{kind}, {ODD.name}", opened, ODD)


def test_every_kind_of_answer_is_among_the_cases():
    """The table itself: both defaults, and cases that let something pass and hold something back."""
    assert {case.default for case in CASES} == {"allow", "deny"}
    assert any(case.whole for case in CASES)
    assert sum({ask.passes for ask in case.asks} == {True, False} for case in CASES) >= 8
