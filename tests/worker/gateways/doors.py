"""Every listener protocol that a caller can reach, with a program behind each: the doors of all corpora.

A door is named by who keeps it, its protocol, and `-tls` where an ingress gateway shows a certificate.
Callers of the mesh always prove who they are. HTTP/2 is spoken at each: agreed on in the handshake where
the protocol offers it, and else begun with its preface (prior knowledge), which no listener of HTTP refuses.
"""

import contextlib
import re
import ssl

import trio

from cluster.ingress import ListenerTls
from cluster.reasons import End
from cluster.routes import HttpRoute
from tests.fakes.consul_api import ConsulApi
from tests.fakes.engines import ENGINES
from tests.fakes.http import Client, Server, says
from tests.fakes.http2 import Answer, Http2Server
from tests.fakes.pki import client_context
from tests.fakes.rig import PATIENCE_SECONDS, eventually, rig, sni, start_upstream, tls_client
from tests.worker.gateways.front import Front, served, target
from tests.worker.gateways.test_ingress_requests import API, entry
from tests.worker.gateways.test_ingress_requests import Site as IngressSite
from tests.worker.gateways.test_requests import ALLOW
from tests.worker.gateways.test_requests import Site as TerminatingSite
from tests.worker.sidecar.running import inbound
from worker.settings import Limits

_PROTOCOLS = ("http", "http2", "grpc")
HTTP_DOORS = (
    *(f"ingress-{protocol}{tls}" for protocol in _PROTOCOLS for tls in ("", "-tls")),
    *(f"terminating-{protocol}" for protocol in _PROTOCOLS),
    *(f"sidecar-{protocol}" for protocol in _PROTOCOLS),
)
TCP_DOORS = ("ingress-tcp", "ingress-tcp-tls", "terminating-tcp", "sidecar-tcp")

ENGINE = ENGINES.get("native", ENGINES["pure"])
#: Long, as a flood may keep a busy machine busy.
LIMITS = Limits(hello_timeout_seconds=60.0, handshake_timeout_seconds=60.0)
HELLO = Answer(headers=(("content-length", "5"),), body=b"hello")
_ALL = {"HTTP": {"PathPrefix": "/"}}
OFFERED = ("h2", "http/1.1")
_ANSWER = re.compile(rb"(?is)HTTP/1.1 (\d+) .*?content-length: (\d+)\r\n(?:.*?\r\n)?\r\n(.*)")


def _hello(asked):
    return Answer(headers=HELLO.headers) if asked.method == "HEAD" else HELLO


class Door:
    """A listener, and `behind` it what the gateway passes on to."""

    def __init__(self, name, world, pki, folder, nursery):
        self.name, self.world, self.pki, self.folder = name, world, pki, folder
        self.nursery = nursery
        self.kind, self.protocol, *tls = name.split("-")
        self.is_tls = self.kind != "ingress" or bool(tls)
        self.is_http = self.protocol != "tcp"
        self.has_http2 = self.protocol in ("http2", "grpc")
        self.serves_all = not self.is_tls
        #: Whether a request is another one's next: with upstreams of HTTP/1.1 that needs no task.
        self.ways = (False, True) if self.protocol == "http" else (False,)
        self.behind = None
        self.port = 0
        self.streams = []
        self._contexts = {}

    async def start_program(self, serve=None):
        """Where requests end; `serve` is what else serves a connection's stream, or a server of HTTP/2."""
        if isinstance(serve, Http2Server):
            self.behind = await serve.start(self.nursery)
        elif serve is not None or not self.is_http:
            more = (serve,) if serve else ()
            self.behind = await start_upstream(self.nursery, *more)
        elif self.has_http2:
            self.behind = await Http2Server(_hello).start(self.nursery)
        else:
            self.behind = await Server(says(b"hello")).start(self.nursery)
        return self.behind.endpoint

    async def open(self, *offered):
        """A caller's connection, on which these protocols were offered."""
        if not self.is_tls:
            stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        else:
            stream = await tls_client(self.port, self._context(offered), self._server_name())
            agreed = "h2" if self.has_http2 and "h2" in offered else "http/1.1"
            if offered and self.is_http:
                assert stream.selected_alpn_protocol() == agreed
        self.streams.append(stream)
        return stream

    def _server_name(self):
        names = {"ingress": "api.ingress.consul", "terminating": sni("billing")}
        return names.get(self.kind, sni("web"))

    def _context(self, offered):
        if offered not in self._contexts:
            self._contexts[offered] = self._new_context(offered)
        return self._contexts[offered]

    def _new_context(self, offered):
        if self.kind == "ingress":
            context = ssl.create_default_context(cadata=self.pki.pem.decode())
        else:
            source = "web" if self.kind == "terminating" else "api"
            context = client_context(self.folder, self.pki.service(source), self.pki.pem)
        if offered:
            context.set_alpn_protocols(list(offered))
        return context

    async def close(self, stream):
        self.streams.remove(stream)
        await trio.aclose_forcefully(stream)

    @contextlib.asynccontextmanager
    async def beside(self):
        """A caller who asks properly, with a function that does so; it has been served once before."""
        client = Client(await self.open())

        async def ask():
            answer = await client.ask(Host="a")
            assert (answer.status, answer.body) == (200, b"hello")

        await ask()
        yield ask
        await ask()
        await self.close(client.stream)
        await self.alone()

    async def alone(self, others=0):
        """Wait until only so many connections are left."""
        await eventually(lambda: len(self.world.live) == others, lambda: len(self.world.live))

    def samples(self, name, **labels):
        """What the metrics say, over all services."""
        return sum(
            sample.value
            for metric in self.world.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def ended(self, end):
        """How many connections ended so."""
        return int(self.samples("lockgate_connections_closed_total", end=end))

    def endings(self):
        """All that any connection ended with."""
        return {end.value for end in End if self.ended(end.value)}

    def answered(self, code):
        """How many requests were answered so."""
        return int(self.samples("lockgate_http_requests_total", code=str(code)))


@contextlib.asynccontextmanager
async def opened(name, pki, folder, *, limits=LIMITS, serve=None, seconds=None):
    """A door; `serve` is another program behind it, `seconds` are for an answer, if not what is usual."""
    async with trio.open_nursery() as nursery:
        keeper = _sidecar if name.startswith("sidecar") else _gateway
        async with keeper(name, pki, folder, nursery, limits, serve, seconds) as door:
            try:
                yield door
            finally:
                for stream in door.streams:
                    await trio.aclose_forcefully(stream)
                door.world.pools.close()
                door.world.channels.close()
                nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def _gateway(name, pki, folder, nursery, limits, serve, seconds):
    async with rig(limits, engine=ENGINE()) as node:
        door = Door(name, node.world, pki, folder, nursery)
        keep = _ingress if door.kind == "ingress" else _terminating
        endpoint = await door.start_program(serve)
        await keep(door, node, endpoint, seconds)
        yield door


async def _ingress(door, node, endpoint, seconds):
    front = Front(node, door.pki, door.nursery)
    front.sets |= {"connect:api": (), "plaintext:api": (endpoint,)}
    front.protocol = door.protocol
    if door.is_http:
        site = IngressSite(front, door.pki, door.folder)
        front.protocol = site.protocol = door.protocol
        site.plaintext["api"] = "plaintext:api"
        if seconds is not None:
            route = {"Match": _ALL, "Destination": {"RequestTimeout": f"{seconds}s"}}
            site.entries = [entry("service-router", "api", Routes=[route])]
        service = site.service("api", *(("a", API) if door.is_tls else ("*",)))
    else:
        service = served("api", target("api", plaintext="plaintext:api"))
    await front.serve(service, tls=ListenerTls() if door.is_tls else None)
    door.port = front.port


async def _terminating(door, node, endpoint, seconds):
    site = TerminatingSite(node, door.pki, None, door.nursery)
    http = HttpRoute(request_timeout_seconds=seconds or 60.0) if door.is_http else None
    await site.link(endpoint, rules=ALLOW, http=http, protocol=door.protocol)
    door.port = site.port


@contextlib.asynccontextmanager
async def _sidecar(name, pki, folder, nursery, *more):
    _, serve, seconds = more
    consul = ConsulApi(pki)
    async with consul.running():
        door = Door(name, None, pki, folder, nursery)
        endpoint = await door.start_program(serve)
        own = {"Protocol": door.protocol, "LocalRequestTimeoutMs": int((seconds or 60.0) * 1000)}
        consul.entry("service-defaults", "web", **own)
        async with inbound(consul, endpoint, ("api", "allow")) as (made, port):
            door.world, door.port = made.world, port
            yield door


async def until_end(stream):
    """All that comes until the connection ends, and whether that was in order."""
    got, is_in_order = bytearray(), True
    with trio.fail_after(3 * PATIENCE_SECONDS):
        try:
            while chunk := await stream.receive_some(65536):
                got += chunk
        except trio.BrokenResourceError:
            is_in_order = False
    return bytes(got), is_in_order


async def answer_to(stream, data):
    """The status and the body of the one answer to a request; the connection stays."""
    await stream.send_all(data)
    got = b""
    with trio.fail_after(PATIENCE_SECONDS):
        while (found := _ANSWER.fullmatch(got)) is None or len(found[3]) < int(found[2]):
            chunk = await stream.receive_some()
            assert chunk, got
            got += chunk
    return int(found[1]), found[3]


async def hears_itself(stream, data):
    """Send all of it to an echo, and get the same back."""
    got = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, data)
        with trio.fail_after(PATIENCE_SECONDS):
            while len(got) < len(data) and (chunk := await stream.receive_some(65536)):
                got += chunk
    assert got == data
