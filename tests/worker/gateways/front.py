"""An ingress gateway with what is behind it, and clients in front of it."""

import ssl

import trio

from cluster.ingress import IngressGateway, IngressListener, IngressService, IngressTarget
from cluster.messages import Ack
from cluster.names import ServiceName
from cluster.routes import GatewayKind
from tests.fakes.rig import (
    PATIENCE_SECONDS,
    Linked,
    allow,
    at,
    snapshot,
    sni,
    start_upstream,
    tls_client,
)

ALLOW = (allow("front", "*"),)
NAMES = ("*.ingress.consul", "*.ingress.dc1.consul", "db.example.com")


def target(service, **options):
    """Where the instances of a service are, by its name."""
    wanted = {
        "connect_timeout_seconds": 30.0,
        "id": f"{service}.default.default.dc1",
        "endpoints": f"connect:{service}",
        "server_name": sni(service),
    } | options
    return IngressTarget(service=ServiceName(name=service), datacenter="dc1", **wanted)


def served(service, *targets, hosts=(), files=None):
    return IngressService(
        service=ServiceName(name=service),
        targets=targets or (target(service),),
        hosts=hosts,
        files=files,
    )


class Front:
    """An ingress gateway `front`, and a terminating gateway `egress` that links `billing`."""

    def __init__(self, node, pki, nursery):
        self.node, self.pki, self.nursery = node, pki, nursery
        self.port = node.listen(server_may_speak_first=True)
        self.egress = node.listen()
        self.sets = {}
        self.shape = ()
        self.tls = None
        self.protocol = "tcp"
        self.linked = ()
        self.providers = ()
        self.streams = []

    async def behind(self, serve_stream=None):
        """Have `billing` behind the terminating gateway, with a real server behind that."""
        more = (serve_stream,) if serve_stream else ()
        upstream = await start_upstream(self.nursery, *more)
        self.linked = (Linked("billing", upstream.endpoint),)
        self.sets["connect:billing"] = (at(self.egress),)
        return upstream

    async def serve(self, *services, rules=ALLOW, tls=None, leaves=None):
        self.shape, self.tls = services or (served("billing"),), tls
        names = [service.name for service in self.linked]
        front = self.pki.service("front", dns=NAMES)
        await self.node.keys(*(leaves or (front, *map(self.pki.service, names))))
        await self.decide(*rules)

    async def decide(self, *rules, default_allow=False):
        listeners = [
            self.node.listener(self.port, GatewayKind.INGRESS, "front"),
            self.node.listener(self.egress),
        ]
        listener = IngressListener(
            port=self.port, protocol=self.protocol, services=self.shape, tls=self.tls
        )
        shot = snapshot(
            self.pki.bundle,
            listeners,
            *self.linked,
            rules=rules,
            default_allow=default_allow,
            ingress=[IngressGateway(name="front", listeners=(listener,), dns_sans=NAMES)],
            sets=self.sets,
            providers=self.providers,
        )
        assert isinstance(await self.node.offer(shot), Ack)

    async def call(self):
        """A client outside."""
        return self.closing(await trio.open_tcp_stream("127.0.0.1", self.port))

    async def call_in_tls(self, name, roots=None, **versions):
        """A browser: it knows our roots, and who it wants to talk to."""
        context = ssl.create_default_context(cadata=(roots or self.pki.pem).decode())
        for field, version in versions.items():
            setattr(context, field, version)
        return self.closing(await tls_client(self.port, context, name))

    def closing(self, stream):
        self.streams.append(stream)
        return stream

    def live(self):
        """The gateway's own connections."""
        return [entry for entry in self.node.world.live if entry.kind == "ingress"]

    def closed(self, end, service="billing"):
        return self.node.closed(end, service, gateway="front", kind="ingress")


async def until_end(stream):
    """What still comes, and how it ends: in order, cut (without close_notify), or with a reset."""
    got = b""
    try:
        with trio.fail_after(PATIENCE_SECONDS):
            while chunk := await stream.receive_some():
                got += chunk
    except trio.BrokenResourceError as broken:
        return got, "cut" if isinstance(broken.__cause__, ssl.SSLError) else "reset"
    return got, "in order"
