"""One sidecar process: builds the parts and the nursery tree.

Belongs here: wiring, and the order of beginning and ending. Never here: carrying a connection, or what the
coordinator's answers mean (`worker.sidecar.known`).
"""

import random
import signal
import socket
from datetime import UTC, datetime
from functools import partial

import structlog
import trio

from cluster.certs import Leaf
from cluster.reasons import End, RevocationCause
from worker import connection
from worker.acceptor import Acceptor
from worker.current import Current
from worker.dial import Dialer
from worker.gateways import terminating
from worker.gateways.inbound import Inbound, World
from worker.live import Live, expired, revoked
from worker.net.sockets import listening_socket
from worker.relay.probe import choose
from worker.settings import WorkerSettings
from worker.sidecar import outbound
from worker.sidecar.api import Api, ApiError
from worker.sidecar.config import Place, SidecarConfig, Upstream
from worker.sidecar.identity import Identity
from worker.sidecar.known import (
    KIND,
    Known,
    bundle_of,
    endpoints_of,
    inbound_view,
    outbound_target,
    own_id,
    rules_of,
)
from worker.sidecar.registration import deregister, register
from worker.telemetry.metrics import Metrics
from worker.view.contexts import ClientContext, Context, ServerContexts
from worker.view.view import TerminatingView, View

log = structlog.get_logger()

SWEEP_SECONDS = 1.0
GRACE_SECONDS = 5.0


def wall_clock() -> float:
    return datetime.now(UTC).timestamp()


class Sidecar:
    """The parts of one sidecar process."""

    def __init__(self, config: SidecarConfig, api: Api) -> None:
        self.config = config
        self.api = api
        self.known = Known()
        self.metrics = Metrics()
        self.world = World(
            settings=WorkerSettings(node=f"sidecar:{config.service}", runtime_dir="", index=0),
            current=Current(View()),
            live=Live(),
            engine=choose(),
            dialer=Dialer(),
            metrics=self.metrics,
            chance=random.Random(),
            clock=trio.current_time,
            wall_clock=wall_clock,
        )
        self._contexts = ServerContexts()
        self._client = ClientContext()
        self._client_context: Context = None
        self._identity = Identity(api, self.world.chance, wall_clock)
        self._ready = trio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then let connections finish for a few seconds."""
        listeners = self._bind()
        async with trio.open_nursery() as around:
            async with trio.open_nursery() as serving:
                with trio.CancelScope() as accepting:
                    around.start_soon(_watch_signals, accepting)
                    around.start_soon(self._follow)
                    around.start_soon(self._sweep)
                    await self._accept(listeners, serving)
                for sock, _ in listeners:
                    sock.close()
                serving.cancel_scope.deadline = trio.current_time() + GRACE_SECONDS
                await self._leave()
            around.cancel_scope.cancel()

    def _bind(self) -> list[tuple[socket.socket, connection.Entrance]]:
        """All sockets at once, before anything else: a port in use is an error at start."""
        unrouted = self.metrics.service(self.config.service, KIND, "")
        entrance = partial(
            connection.Entrance, gateway=self.config.service, kind=KIND, unrouted=unrouted
        )
        bound = []
        for upstream in self.config.upstreams:
            serve = partial(outbound.serve, way=partial(self._way, upstream.service))
            bound.append((_listen(upstream.listen), entrance(serve=serve)))
        if self.config.listen is not None:
            bound.append((_listen(self.config.listen), entrance(serve=self._serve_inbound)))
        return bound

    async def _accept(
        self, listeners: list[tuple[socket.socket, connection.Entrance]], serving: trio.Nursery
    ) -> None:
        async with trio.open_nursery() as loops:
            for sock, entrance in listeners:
                admit = partial(_admit, serving, entrance, self.world)
                loops.start_soon(Acceptor(sock, admit, lambda: None).run)

    async def _serve_inbound(self, inbound: Inbound) -> End:
        assert self.config.listen is not None
        place = (self.config.listen.host, self.config.listen.port)
        view = self.world.current.view.gateways.get(place)
        if not isinstance(view, TerminatingView):
            return End.NO_ROUTE
        return await terminating.serve(inbound, view)

    def _way(self, destination: str) -> outbound.Way | None:
        target = outbound_target(self.config, self.known, destination, self.metrics)
        if target is None or self._client_context is None:
            return None
        return outbound.Way(target=target, context=self._client_context)

    async def _follow(self) -> None:
        """Learn what there is to know, and go on learning."""
        await self._introduce()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow_roots)
            for upstream in self.config.upstreams:
                nursery.start_soon(self._follow_endpoints, upstream)
            if self.config.listen is not None:
                nursery.start_soon(self._follow_intentions)
            await self._wait_for_roots()
            nursery.start_soon(self._identity.keep, own_id(self.config, self.known), self._use_leaf)

    async def _introduce(self) -> None:
        """Which datacenter this is; and the registration of the inbound side."""
        async for answer in self.api.watch("/v1/agent/self"):
            settings = answer["Config"]
            self.known.datacenter = settings["Datacenter"]
            self.known.default_allow = settings.get("DefaultIntentionPolicy") == "allow"
            break
        while self.config.listen is not None:
            try:
                await register(self.api, self.config)
                break
            except ApiError as error:
                log.warning("not registered", error=str(error))
                await trio.sleep(1.0)

    async def _wait_for_roots(self) -> None:
        await self._ready.wait()

    async def _follow_roots(self) -> None:
        async for answer in self.api.watch("/v1/connect/ca/roots"):
            before, self.known.bundle = self.known.bundle, bundle_of(answer)
            active = [root.id for root in self.known.bundle.roots if root.active]
            if before is not None and [r.id for r in before.roots if r.active] != active:
                self._identity.root_changed()
            self._ready.set()
            self._swap()

    async def _follow_endpoints(self, upstream: Upstream) -> None:
        name = upstream.service
        path = f"/v1/health/connect/{name}"
        if self.config.mesh_gateway:
            path = f"/v1/health/service/{self.config.mesh_gateway}"
        async for answer in self.api.watch(path):
            self.known.endpoints[name] = endpoints_of(answer)
            log.info("upstream", service=name, endpoints=len(self.known.endpoints[name]))

    async def _follow_intentions(self) -> None:
        path = "/v1/connect/intentions/match"
        async for answer in self.api.watch(path, by="destination", name=self.config.service):
            self.known.rules = rules_of(answer)
            self._swap()

    def _use_leaf(self, leaf: Leaf) -> None:
        self.known.leaf = leaf
        self._swap()

    def _swap(self) -> None:
        """New view, then out with whom it no longer permits."""
        known = self.known
        self._client_context = self._client.get(known.leaf, known.bundle)
        view = inbound_view(self.config, known, self.metrics, self._contexts)
        self.world.current.swap(view)
        for entry in revoked(self.world.live, view.policies):
            entry.end(End.INTENTION_REVOKED)
            self.metrics.revoked[RevocationCause.INTENTION].inc()

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(SWEEP_SECONDS)
            for entry in self.world.live:
                entry.count_bytes()
            for entry in expired(self.world.live, wall_clock()):
                entry.end(End.CERTIFICATE_EXPIRED)

    async def _leave(self) -> None:
        """Take the registration back, so that nobody is sent to a port that is closed."""
        if self.config.listen is None:
            return
        with trio.move_on_after(2.0, shield=True):
            try:
                await deregister(self.api, self.config)
            except ApiError as error:
                log.warning("still registered", error=str(error))


def _listen(place: Place) -> socket.socket:
    return listening_socket(place.host, place.port, reuse_port=False)


def _admit(
    serving: trio.Nursery, entrance: connection.Entrance, world: World, sock: socket.socket
) -> bool:
    sock.setblocking(False)
    serving.start_soon(connection.run, sock, entrance, world)
    return True


async def _watch_signals(accepting: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            accepting.cancel()
