"""A worker's serving parts in this process: real listeners, real control link, real handshakes.

The node's side of the link is the rig's. Metrics are read as the node would get them.
"""

import contextlib
import random
import socket
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import trio

from cluster.bus import connect, serve
from cluster.http import DEFAULT_NORMALISATION
from cluster.intentions import Action, Intention
from cluster.messages import (
    Ack,
    Answer,
    Hello,
    Keys,
    Metrics,
    Nack,
    Offer,
    WorkerStatus,
    pack,
    unpack,
)
from cluster.names import ServiceName, service_sni
from cluster.routes import (
    Endpoint,
    GatewayKind,
    Listener,
    MeshRoute,
    OriginationTls,
    TerminatingGateway,
    TerminatingRoute,
)
from cluster.sections import encode_snapshot
from cluster.snapshot import (
    EndpointSet,
    Policy,
    Snapshot,
    SnapshotId,
    Trust,
)
from tests.fakes.pki import TRUST_DOMAIN
from worker import connection
from worker.app import entrance_of, opener
from worker.control import Control
from worker.current import Current
from worker.descriptors import Slot
from worker.dial import Dialer, ResolveLimits, Resolver
from worker.gateways.inbound import World
from worker.listeners import Listeners
from worker.live import Live
from worker.net.sockets import listening_socket
from worker.relay.pure import PureEngine
from worker.settings import Limits, WorkerSettings
from worker.telemetry.metrics import Metrics as WorkerMetrics
from worker.view.compile import Workshop
from worker.view.contexts import ServerContexts
from worker.view.leads import KeptDirectories
from worker.view.view import View

PATIENCE_SECONDS = 30.0
#: For those who do not wait for a limit.
PATIENT = Limits(hello_timeout_seconds=60.0, handshake_timeout_seconds=60.0)


class WallClock:
    """The machine's, which a test sets ahead to see something expire."""

    def __init__(self):
        self.ahead_seconds = 0.0

    def __call__(self):
        return datetime.now(UTC).timestamp() + self.ahead_seconds


def make_world(limits=None, dialer=None, engine=None):
    """The world of a worker that serves nothing yet."""
    return World(
        settings=WorkerSettings(node="n1", runtime_dir="", index=0, limits=limits or PATIENT),
        current=Current(View()),
        live=Live(),
        engine=engine or PureEngine(),
        dialer=dialer or Dialer(resolver()),
        metrics=WorkerMetrics(),
        chance=random.Random(1),
        clock=trio.current_time,
        wall_clock=WallClock(),
    )


def resolver():
    """One that finds nothing and does not ask the machine's DNS."""
    folder = Path(tempfile.mkdtemp())
    hosts, resolv_conf = folder / "hosts", folder / "resolv.conf"
    hosts.write_text("127.0.0.1 localhost\n")
    resolv_conf.write_text("nameserver 127.0.0.1\n")
    return Resolver(
        hosts=str(hosts),
        resolv_conf=str(resolv_conf),
        port=1,
        limits=ResolveLimits(server_seconds=0.2, query_seconds=0.3),
    )


def workshop(world):
    directories = KeptDirectories(world.porter.draw_up if world.porter else None)
    return Workshop(
        node="n1",
        metrics=world.metrics,
        contexts=ServerContexts(),
        directories=directories,
    )


def sni(service):
    return service_sni(service, datacenter="dc1", trust_domain=TRUST_DOMAIN)


def allow(source, destination, action=Action.ALLOW):
    return Intention(
        source=ServiceName(name=source), destination=ServiceName(name=destination), action=action
    )


def deny(source, destination):
    return allow(source, destination, Action.DENY)


class Linked:
    """A linked service of the terminating gateway, and where its instances are."""

    def __init__(self, name, *endpoints, tls=None, timeout=30.0, http=None, protocol="http"):
        self.name = name
        self.http = http
        self.protocol = "tcp" if http is None else protocol
        self.endpoints = endpoints
        self.tls = tls
        self.timeout = timeout

    @property
    def route(self):
        return TerminatingRoute(
            service=ServiceName(name=self.name),
            datacenter="dc1",
            server_names=(sni(self.name),),
            endpoints=self.name,
            protocol=self.protocol,
            http=self.http,
            tls=self.tls,
            connect_timeout_seconds=self.timeout,
        )

    @property
    def mesh_route(self):
        return MeshRoute(
            server_name=sni(self.name),
            service=ServiceName(name=self.name),
            endpoints=self.name,
            connect_timeout_seconds=self.timeout,
        )


def at(port, host="127.0.0.1", **options):
    return Endpoint(address=host, port=port, **options)


def files(ca="", cert="", key="", server_name=""):
    return OriginationTls(
        ca_file=str(ca), cert_file=str(cert), key_file=str(key), server_name=server_name
    )


def snapshot(
    bundle,
    listeners,
    *linked,
    rules=(),
    mesh=(),
    default_allow=False,
    ingress=(),
    sets=(),
    providers=(),
    normalisation=DEFAULT_NORMALISATION,
):
    """What a coordinator would compose."""
    return Snapshot(
        trust=Trust(datacenter="dc1", bundle=bundle),
        listeners=tuple(listeners),
        terminating=(
            TerminatingGateway(name="egress", routes=tuple(service.route for service in linked)),
        ),
        mesh=tuple(service.mesh_route for service in mesh),
        ingress=tuple(ingress),
        endpoints=(
            *(
                EndpointSet(name=service.name, endpoints=service.endpoints)
                for service in (*linked, *mesh)
            ),
            *(EndpointSet(name=name, endpoints=found) for name, found in dict(sets).items()),
        ),
        policy=Policy(
            default_allow=default_allow,
            intentions=tuple(rules),
            providers=tuple(providers),
            normalisation=normalisation,
        ),
    )


def offer(shot, generation=1, epoch="e"):
    encoded = encode_snapshot(shot)
    return Offer(
        id=SnapshotId(epoch=epoch, generation=generation, digest=encoded.digest),
        manifest=encoded.manifest,
        sections=encoded.sections,
    )


class Rig:
    """The parts, and the node's side of the link."""

    def __init__(self, world, listeners, control, bus):
        self.world = world
        self.listeners = listeners
        self.control = control
        self.bus = bus
        self.peer = None
        self.generation = 0
        self.drained = []
        self.slots = {}

    def listen(self, port=0, server_may_speak_first=False):
        """Hand the worker a listening socket; its port.

        With an engine that needs no task for what is common, hellos come with the accept, as in a node.
        """
        early = self.world.launcher is not None and not server_may_speak_first
        defer = 1 if early else 0
        sock = listening_socket("127.0.0.1", port, defer_accept_seconds=defer)
        port = sock.getsockname()[1]
        slot = Slot(address="127.0.0.1", port=port, index=0)
        self.listeners.assign({**dict.fromkeys(self.slots), slot: sock})
        self.slots[slot] = port
        return port

    def listener(self, port, kind=GatewayKind.TERMINATING, gateway="egress"):
        return Listener(node="n1", gateway=gateway, kind=kind, address="127.0.0.1", port=port)

    async def hear(self, *kinds, where=lambda message: True):
        """The next message of these kinds."""
        with trio.fail_after(PATIENCE_SECONDS):
            async for incoming in self.bus.incoming:
                message = unpack(incoming.body)
                if isinstance(message, Hello):
                    self.peer = incoming.peer
                if isinstance(message, kinds) and where(message):
                    return message
        raise AssertionError("the bus has ended")

    async def say(self, message):
        await self.bus.send(self.peer, pack(message))

    async def keys(self, *leaves):
        await self.say(Keys(leaves=leaves))

    async def offer(self, shot):
        """Offer it as the next generation; the answer."""
        self.generation += 1
        sent = offer(shot, self.generation)
        await self.say(sent)
        answer = await self.hear(Ack, Nack, where=lambda message: message.id == sent.id)
        return answer

    async def ask(self, query):
        await self.say(query)
        return await self.hear(Answer)

    async def status(self, where):
        return await self.hear(WorkerStatus, where=where)

    async def pushed_metrics(self):
        return await self.hear(Metrics)

    def value(self, name, **labels):
        """One sample, 0 if it is not there."""
        found = self.world.metrics.registry.get_sample_value(name, labels)
        return found or 0.0

    def closed(self, end, service="", gateway="egress", kind="terminating"):
        return self.value(
            "lockgate_connections_closed_total",
            gateway=gateway,
            kind=kind,
            service=service,
            end=end,
        )

    def endings(self):
        """How many connections ended how, whatever the service."""
        found = {}
        for metric in self.world.metrics.registry.collect():
            if metric.name == "lockgate_connections_closed":
                for sample in metric.samples:
                    if sample.name.endswith("_total") and sample.value:
                        end = sample.labels["end"]
                        found[end] = found.get(end, 0) + int(sample.value)
        return found

    async def ended(self, end, count=1):
        """Wait until so many connections have ended this way, and exactly so many."""
        await eventually(lambda: self.endings().get(end, 0) >= count, self.endings)
        assert self.endings()[end] == count

    async def alone(self):
        """Wait until no connection is left."""
        await eventually(lambda: len(self.world.live) == 0, lambda: len(self.world.live))


async def eventually(condition, describe=lambda: ""):
    """Wait for something to become true; real I/O sets no event for a test to wait for."""
    deadline = trio.current_time() + PATIENCE_SECONDS
    while not condition():
        assert trio.current_time() < deadline, f"it never came: {describe()}"
        await trio.sleep(0.005)


@contextlib.asynccontextmanager
async def rig(limits=None, dialer=None, engine=None, gates=True):
    """A worker's parts, introduced to the node's side. Without `gates` no engine accepts by itself."""
    world = make_world(limits, dialer, engine)
    with tempfile.TemporaryDirectory() as folder:
        endpoint = f"ipc://{folder}/w"
        async with (
            serve(endpoint) as bus,
            connect(endpoint) as link,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(world.engine.attend)
            nursery.start_soon(world.handshakes.attend)
            nursery.start_soon(world.timers.attend)
            nursery.start_soon(world.channels.attend)
            if world.express is not None:
                nursery.start_soon(world.express.attend)

            def door(gateway):
                entrance = entrance_of(gateway, express=world.launcher is not None)
                return connection.Frame(nursery, entrance, world)

            listeners = Listeners(nursery, door, world.flush, opener(world) if gates else None)
            drained = []
            control = Control(
                world,
                workshop(world),
                listeners,
                pid=1,
                incarnation="i1",
                drain=drained.append,
            )
            made = Rig(world, listeners, control, bus)
            made.drained = drained
            nursery.start_soon(control.run, link)
            await made.hear(Hello)
            yield made
            listeners.stop_accepting()
            nursery.cancel_scope.cancel()


class Upstream:
    """A server of the outside: counts who came, echoes (or does what `serve` does)."""

    def __init__(self, port):
        self.port = port
        self.accepted = 0
        self.open = 0

    @property
    def endpoint(self):
        return at(self.port)


async def echo(stream):
    async for chunk in stream:
        await stream.send_all(chunk)


async def start_upstream(nursery, serve_stream=echo, ssl_context=None):
    """A server on loopback that lives as long as the nursery."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    upstream = Upstream(listener.socket.getsockname()[1])

    async def handle(stream):
        upstream.accepted += 1
        upstream.open += 1
        try:
            if ssl_context is not None:
                stream = trio.SSLStream(stream, ssl_context, server_side=True)
            with contextlib.suppress(trio.BrokenResourceError):
                await serve_stream(stream)
            with trio.move_on_after(1), contextlib.suppress(trio.BrokenResourceError):
                await stream.aclose()
        finally:
            upstream.open -= 1

    nursery.start_soon(trio.serve_listeners, handle, [listener])
    return upstream


async def tls_client(port, context, server_name):
    """A handshaken client. Raises trio.BrokenResourceError from ssl.SSLError, with the alert."""
    stream = trio.SSLStream(
        await trio.open_tcp_stream("127.0.0.1", port), context, server_hostname=server_name
    )
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def exchange(stream, data=b"ping"):
    """Send and get the same back."""
    await stream.send_all(data)
    got = b""
    while len(got) < len(data):
        chunk = await stream.receive_some()
        assert chunk, "ended early"
        got += chunk
    assert got == data


@contextlib.contextmanager
def black_hole():
    """The port of a socket that answers no SYN: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]
