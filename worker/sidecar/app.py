"""One sidecar process: builds the parts and the nursery tree.

Belongs here: wiring, and the order of beginning and ending. Never here: carrying a connection, or what the
coordinator's answers mean (`worker.sidecar.known`).
"""

import random
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack, aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
import trio
from starlette.applications import Starlette

from cluster.certs import Leaf
from cluster.process.clock import wall_clock
from cluster.reasons import End
from worker import connection
from worker.acceptor import Acceptor
from worker.current import Current
from worker.dial import Dialer
from worker.gateways import terminating
from worker.gateways.inbound import Inbound, World
from worker.live import Live
from worker.net.sockets import listening_socket
from worker.node import http
from worker.node.metrics import render
from worker.relay.probe import announce, choose
from worker.revocation import lapse, revoke
from worker.settings import WorkerSettings
from worker.sidecar import outbound
from worker.sidecar.api import Api, ApiError
from worker.sidecar.config import Place, SidecarConfig
from worker.sidecar.identity import Identity
from worker.sidecar.known import (
    KIND,
    OWN_ENTRIES,
    Known,
    active_ids,
    bundle_of,
    endpoints_of,
    inbound_view,
    outbound_target,
    own_id,
    providers_of,
    rules_of,
    unknown_providers,
)
from worker.sidecar.registration import deregister, register
from worker.sweeper import sweep
from worker.telemetry.metrics import (
    HELLO_BUCKETS,
    LIFE_BUCKETS,
    SETUP_BUCKETS,
    Metrics,
    families,
)
from worker.view.contexts import ClientContext, Context, ServerContexts
from worker.view.tokens import KeptTokens
from worker.view.view import TerminatingView, View

log = structlog.get_logger()

GRACE_SECONDS = 5.0
_REGISTER_AGAIN_SECONDS = 1.0


class Sidecar:
    """The parts of one sidecar process."""

    def __init__(self, config: SidecarConfig, api: Api) -> None:
        self.config = config
        self.api = api
        self.known = Known()
        self.metrics = Metrics()
        engine, self._why_not_native = choose(SETUP_BUCKETS, LIFE_BUCKETS, HELLO_BUCKETS)
        self.world = World(
            settings=WorkerSettings(node=f"sidecar:{config.service}", runtime_dir="", index=0),
            current=Current(View()),
            live=Live(),
            engine=engine,
            dialer=Dialer(),
            metrics=self.metrics,
            chance=random.Random(),
            clock=trio.current_time,
            wall_clock=wall_clock,
        )
        self._contexts = ServerContexts()
        self._tokens = KeptTokens()
        self._client = ClientContext()
        self._client_context: Context = None
        self._identity = Identity(api, self.world.chance, wall_clock)
        self._ready = trio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then let connections finish for a few seconds.

        Raises `ListenError`.
        """
        listeners = self._bind()
        metrics_sock = _listen(self.config.metrics) if self.config.metrics else None
        async with trio.open_nursery() as around:
            if metrics_sock is not None:
                around.start_soon(http.run, self._pages(), metrics_sock)
            await around.start(self.world.engine.attend)
            announce(self.world.engine, self._why_not_native)
            around.start_soon(self.world.timers.attend)
            around.start_soon(self.world.channels.attend)
            if self.world.express is not None:
                around.start_soon(self.world.express.attend)
            async with trio.open_nursery() as serving:
                try:
                    with trio.CancelScope() as accepting:
                        around.start_soon(_watch_signals, accepting, serving.cancel_scope)
                        around.start_soon(self._follow)
                        around.start_soon(sweep, self.world)
                        await self._accept(listeners, serving)
                finally:
                    for sock, _ in listeners:
                        sock.close()
                serving.cancel_scope.deadline = trio.current_time() + GRACE_SECONDS
                self.world.live.leave()
                await self._leave()
            self.world.pools.close()
            self.world.channels.close()
            around.cancel_scope.cancel()

    def _pages(self) -> Starlette:
        return http.application(
            lambda: render((), families(self.metrics.registry)), self._what_is_missing
        )

    def _what_is_missing(self) -> str:
        known = self.known
        if known.bundle is None:
            return "the coordinator has not answered yet"
        if known.leaf is None:
            return "there is no certificate yet"
        for upstream in self.config.upstreams:
            if upstream.service not in known.endpoints:
                return f"where to find {upstream.service} is not known yet"
        if self.config.listen is None or self.world.current.view.gateways:
            return ""
        if known.rules is None or known.providers is None:
            return "the intentions are not known yet"
        return "the protocol of the service is not known yet"

    def _bind(self) -> list[tuple[socket.socket, connection.Entrance]]:
        """All sockets at once, before anything else: a port in use is an error at start."""
        unrouted = self.metrics.service(self.config.service, KIND, "")
        entrance = partial(
            connection.Entrance, gateway=self.config.service, kind=KIND, unrouted=unrouted
        )
        with ExitStack() as undo:
            bound = []
            for upstream in self.config.upstreams:
                serve = partial(outbound.serve, way=partial(self._way, upstream.service))
                sock = undo.enter_context(_listen(upstream.listen))
                bound.append((sock, entrance(serve=serve)))
            if self.config.listen is not None:
                sock = undo.enter_context(_listen(self.config.listen))
                bound.append((sock, entrance(serve=self._serve_inbound)))
            undo.pop_all()
        return bound

    async def _accept(
        self, listeners: list[tuple[socket.socket, connection.Entrance]], serving: trio.Nursery
    ) -> None:
        async with trio.open_nursery() as loops:
            for sock, entrance in listeners:
                frame = connection.Frame(serving, entrance, self.world)
                loops.start_soon(Acceptor(sock, frame.admit, frame.shed).run)

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
        await self._learn_settings()
        await self._register()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._learn, self._use_roots, "/v1/connect/ca/roots")
            for upstream in self.config.upstreams:
                use = partial(self._use_endpoints, upstream.service)
                name = self.config.mesh_gateway
                path = f"service/{name}" if name else f"connect/{upstream.service}"
                nursery.start_soon(self._learn, use, f"/v1/health/{path}")
            if self.config.listen is not None:
                nursery.start_soon(self._follow_intentions)
                self._follow_entries(nursery)
            await self._ready.wait()
            nursery.start_soon(self._identity.keep, own_id(self.config, self.known), self._use_leaf)

    async def _learn_settings(self) -> None:
        """Which datacenter this is, and what holds where no intention matches."""
        path = "/v1/agent/self"
        async with aclosing(self.api.watch(path)) as answers:
            async for answer in answers:
                if _attempt(self._use_settings, answer, path):
                    return

    async def _register(self) -> None:
        """Tell the catalog where the mesh comes in."""
        while self.config.listen is not None:
            try:
                return await register(self.api, self.config)
            except ApiError as error:
                log.warning("not registered", error=str(error))
                await trio.sleep(_REGISTER_AGAIN_SECONDS)

    async def _learn(
        self, use: Callable[[Any], None], path: str, *, optional: bool = False
    ) -> None:
        """Use every answer; one that cannot be read changes nothing."""
        async with aclosing(self.api.watch(path, optional=optional)) as answers:
            async for answer in answers:
                _attempt(use, answer, path)

    def _follow_entries(self, nursery: trio.Nursery) -> None:
        """How the service is served, and whose tokens count."""
        names = {"service-defaults": self.config.service, "proxy-defaults": "global"}
        for kind in OWN_ENTRIES:
            path = f"/v1/config/{kind}/{names.get(kind, kind)}"
            learn = partial(self._learn, partial(self._use_entry, kind), path, optional=True)
            nursery.start_soon(learn)
        nursery.start_soon(self._learn, self._use_providers, "/v1/config/jwt-provider")

    async def _follow_intentions(self) -> None:
        """The default policy is configuration: it changes with a restart, and that ends the query."""
        path = "/v1/connect/intentions/match"
        matching = self.api.watch(path, by="destination", name=self.config.service)
        async with aclosing(matching) as answers:
            async for answer in answers:
                await self._learn_settings()
                _attempt(self._use_rules, answer, path)

    def _use_settings(self, answer: Any) -> None:
        settings = answer["Config"]
        self.known = replace(
            self.known,
            datacenter=settings["Datacenter"],
            default_allow=settings.get("DefaultIntentionPolicy") == "allow",
        )

    def _use_roots(self, answer: Any) -> None:
        before, bundle = self.known.bundle, bundle_of(answer)
        self._become(replace(self.known, bundle=bundle))
        if before is not None and active_ids(before) != active_ids(bundle):
            self._identity.root_changed()
        self._ready.set()

    def _use_endpoints(self, service: str, answer: Any) -> None:
        endpoints = endpoints_of(answer)
        self.known = replace(self.known, endpoints={**self.known.endpoints, service: endpoints})
        tell = log.info if endpoints else log.warning
        tell("upstream", service=service, endpoints=len(endpoints))

    def _use_rules(self, answer: Any) -> None:
        self._become(replace(self.known, rules=rules_of(answer)))

    def _use_entry(self, kind: str, answer: Any) -> None:
        if answer is not None and not isinstance(answer, dict):
            raise TypeError(f"a {kind} entry is an object")
        self._become(replace(self.known, entries={**self.known.entries, kind: answer}))

    def _use_providers(self, answer: Any) -> None:
        self._become(replace(self.known, providers=providers_of(answer)))

    def _use_leaf(self, leaf: Leaf) -> None:
        self._become(replace(self.known, leaf=leaf))

    def _become(self, known: Known) -> None:
        """Serve by this from now on, and out with whom it no longer permits.

        Raises ValueError, and then nothing has changed.
        """
        context = self._client.get(known.leaf, known.bundle)
        view = inbound_view(self.config, known, self.metrics, self._contexts, self._tokens)
        if (unknown := unknown_providers(known)) - unknown_providers(self.known):
            log.warning(
                "intentions ask for tokens of a jwt-provider that is not there, or that our token "
                "may not read: they deny",
                providers=sorted(unknown),
            )
        self.known, self._client_context = known, context
        self.world.current.swap(view)
        lapse(self.world)
        revoke(self.world)

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


def _attempt(use: Callable[[Any], None], answer: Any, path: str) -> bool:
    """Whether `answer` was of use. What a coordinator says must not end this process."""
    try:
        use(answer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.error("an answer is of no use", path=path, error=f"{type(error).__name__}: {error}")
        return False
    return True


async def _watch_signals(accepting: trio.CancelScope, serving: trio.CancelScope) -> None:
    """The first asks to leave, the second to leave at once."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            if accepting.cancel_called:
                serving.cancel()
            accepting.cancel()
