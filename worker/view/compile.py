"""Snapshot and leaves in, view out.

Belongs here: building the dictionaries that a connection walks through. Never here: swapping the view in, or
deciding about a connection. What did not change is taken over: TLS contexts by digest, metric handles by
label, routes, endpoints and rules by identity, a shard at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from cluster.authorize import DestinationPolicy
from cluster.balance import balancer_of, hash_policies_of
from cluster.certs import Leaf
from cluster.chain.protocol import HTTP2_LIKE
from cluster.errors import Problem, SnapshotRejected
from cluster.http.affinity import Affinities
from cluster.identity import ServiceId
from cluster.lookup import NameTable
from cluster.names import ServiceName
from cluster.process.clock import wall_clock
from cluster.routes import (
    GatewayKind,
    HttpRoute,
    Listener,
    OriginationTls,
    TerminatingGateway,
    TerminatingRoute,
)
from cluster.snapshot import Snapshot, SnapshotId
from worker.telemetry.metrics import Metrics, ServiceMeters
from worker.tls.contexts import UnusableMaterial
from worker.view.contexts import (
    HTTP2_ALPN,
    Origination,
    Originations,
    ServerContexts,
    ServerTls,
    fingerprints,
)
from worker.view.ingress import IngressContexts, IngressViews
from worker.view.leads import KeptDirectories
from worker.view.mesh import KeptTables, Served
from worker.view.pickers import KeptPickers
from worker.view.rooms import KeptRooms
from worker.view.rules import KeptRules, KnownSources
from worker.view.tokens import KeptTokens
from worker.view.view import (
    Balanced,
    GatewayView,
    HttpTarget,
    MeshTarget,
    MeshView,
    TerminatingTarget,
    TerminatingView,
    View,
)
from worker.view.ways import KeptWays


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What views are made with; lives as long as the worker."""

    node: str
    metrics: Metrics
    contexts: ServerContexts
    originations: Originations = field(default_factory=Originations)
    wall_clock: Callable[[], float] = wall_clock
    ways: KeptWays = field(default_factory=KeptWays)
    directories: KeptDirectories = field(default_factory=KeptDirectories)
    ingress: IngressContexts = field(default_factory=IngressContexts)
    tokens: KeptTokens = field(default_factory=KeptTokens)
    pickers: KeptPickers = field(default_factory=KeptPickers)
    rooms: KeptRooms = field(default_factory=KeptRooms)
    rules: KeptRules = field(default_factory=KeptRules)
    sources: KnownSources = field(default_factory=KnownSources)
    tables: KeptTables = field(default_factory=KeptTables)


def compile_view(
    shop: Workshop, snapshot_id: SnapshotId, snapshot: Snapshot, leaves: Mapping[str, Leaf]
) -> View:
    """The view of a node's listeners. `leaves` are by SPIFFE URI.

    A linked service whose leaf is missing or of no use is left out, and listed. Raises `SnapshotRejected`
    when the CA's roots cannot be read.
    """
    own = tuple(listener for listener in snapshot.listeners if listener.node == shop.node)
    _require_roots(shop, snapshot)
    compiler = _Compiler(shop, snapshot, leaves)
    gateways = {(listener.address, listener.port): compiler.gateway(listener) for listener in own}
    compiler.decide_for_ingress()
    shop.ingress.forget_others()
    shop.pickers.forget_others()
    shop.rooms.forget_others()
    shop.contexts.keep(frozenset(compiler.used))
    shop.originations.keep(frozenset(compiler.originations))
    shop.tables.keep(frozenset(compiler.tables))
    return View(
        id=snapshot_id,
        trust_domain=snapshot.trust.bundle.trust_domain,
        roots=fingerprints(snapshot.trust.bundle),
        gateways=gateways,
        policies=compiler.policies,
        rules=compiler.rules,
        tokens=shop.tokens.of(snapshot.policy.providers),
        next_expiry=compiler.rules.next_expiry,
        known_sources=shop.sources.of(snapshot, compiler.rules),
        missing_leaves=frozenset(compiler.missing),
        problems=tuple(compiler.problems),
    )


def _require_roots(shop: Workshop, snapshot: Snapshot) -> None:
    try:
        shop.contexts.require(snapshot.trust.bundle)
    except UnusableMaterial as error:
        raise SnapshotRejected((Problem(path="trust", message=str(error)),)) from error


class _Compiler:
    """One compilation; collects what the view needs beside the gateways."""

    def __init__(self, shop: Workshop, snapshot: Snapshot, leaves: Mapping[str, Leaf]) -> None:
        self.shop = shop
        self.snapshot = snapshot
        self.leaves = leaves
        self.endpoints = {made.name: made.endpoints for made in snapshot.endpoints}
        self.ways = shop.ways.of(snapshot.endpoints)
        self.served = Served(mesh=snapshot.mesh, endpoints=self.endpoints, ways=self.ways)
        self.rules = shop.rules.of(snapshot.policy).at(shop.wall_clock())
        self.terminating = {gateway.name: gateway for gateway in snapshot.terminating}
        self.policies: dict[ServiceName, DestinationPolicy] = {}
        self.used: set[tuple[str, str]] = set()
        self.tables: set[str] = set()
        self.originations: set[OriginationTls] = set()
        self.missing: set[ServiceName] = set()
        self.problems: list[Problem] = []
        self.ingress = IngressViews(
            trust=snapshot.trust,
            gateways={gateway.name: gateway for gateway in snapshot.ingress},
            leaves=leaves,
            endpoints=self.endpoints,
            metrics=shop.metrics,
            contexts=shop.ingress,
            missing=self.missing,
            problems=self.problems,
        )

    def decide_for_ingress(self) -> None:
        """Prepare the policies that ingress gateways ask themselves."""
        for service in self.ingress.decided:
            self.policies.setdefault(service, self.rules.policy(service))

    def gateway(self, listener: Listener) -> GatewayView:
        unrouted = self.shop.metrics.service(listener.gateway, listener.kind.label, "")
        if listener.kind is GatewayKind.MESH:
            return self._mesh_view(listener, unrouted)
        if listener.kind is GatewayKind.INGRESS:
            return self.ingress.of(listener)
        gateway = self.terminating.get(listener.gateway)
        table = self._terminating(listener, gateway) if gateway else NameTable(())
        return TerminatingView(listener=listener, table=table, unrouted=unrouted)

    def _mesh_view(self, listener: Listener, unrouted: ServiceMeters) -> MeshView:
        table = self._mesh(listener)
        directory = self.shop.directories.of(listener.gateway, table)
        return MeshView(listener=listener, table=table, unrouted=unrouted, directory=directory)

    def _mesh(self, listener: Listener) -> NameTable[MeshTarget]:
        self.tables.add(listener.gateway)
        meters = partial(self.shop.metrics.service, listener.gateway, listener.kind.label)
        return self.shop.tables.of(listener.gateway, self.served, meters)

    def _terminating(
        self, listener: Listener, gateway: TerminatingGateway
    ) -> NameTable[TerminatingTarget]:
        entries: list[tuple[str, TerminatingTarget]] = []
        for route in gateway.routes:
            self.policies[route.service] = self.rules.policy(route.service)
            target = self._target(listener, route)
            if target is None:
                self.missing.add(route.service)
            else:
                entries += [(name, target) for name in route.server_names]
        return NameTable(entries)

    def _target(self, listener: Listener, route: TerminatingRoute) -> TerminatingTarget | None:
        tls = self._server_tls(route)
        if tls is None:
            return None
        return TerminatingTarget(
            service=route.service,
            tls=tls,
            origination=self._origination(route.tls, route) if route.tls else None,
            endpoints=self.endpoints[route.endpoints],
            ways=self.ways[route.endpoints],
            connect_timeout_seconds=route.connect_timeout_seconds,
            meters=self.shop.metrics.service(
                listener.gateway, listener.kind.label, str(route.service)
            ),
            http=self._http(listener, route, route.http) if route.http else None,
        )

    def _http(self, listener: Listener, route: TerminatingRoute, http: HttpRoute) -> HttpTarget:
        own = identity_of(route, self.snapshot.trust.bundle.trust_domain)
        return HttpTarget(
            route=http,
            own_uri=own.uri,
            meters=self.shop.metrics.http(listener.gateway, str(route.service)),
            http2=_speaks_http2(route),
            balanced=self._balanced(listener, route, http),
        )

    def _balanced(
        self, listener: Listener, route: TerminatingRoute, http: HttpRoute
    ) -> Balanced | None:
        if not http.load_balancer:
            return None
        key = (listener.gateway, str(listener.port), *route.server_names)
        room, endpoints = self.shop.rooms.of(key), self.endpoints[route.endpoints]
        balancer = balancer_of(http.load_balancer)
        return Balanced(
            picker=self.shop.pickers.of(key, balancer, endpoints, room.active),
            affinities=Affinities(hash_policies_of(http.load_balancer)),
            room=room,
        )

    def _server_tls(self, route: TerminatingRoute) -> ServerTls | None:
        bundle = self.snapshot.trust.bundle
        leaf = self.leaves.get(identity_of(route, bundle.trust_domain).uri)
        if leaf is None:
            return None
        try:
            tls = self.shop.contexts.get(leaf, bundle, route.protocol if route.http else "tcp")
        except UnusableMaterial as error:
            self.problems.append(Problem(path=leaf.uri, message=f"its leaf is of no use: {error}"))
            return None
        self.used.add((tls.leaf_digest, tls.bundle_digest))
        return tls

    def _origination(self, tls: OriginationTls, route: TerminatingRoute) -> Origination:
        self.originations.add(tls)
        return self.shop.originations.get(tls, HTTP2_ALPN if _speaks_http2(route) else ())


def _speaks_http2(route: TerminatingRoute) -> bool:
    """Whether requests go to instances in HTTP/2."""
    return route.http is not None and route.protocol in HTTP2_LIKE


def identity_of(route: TerminatingRoute, trust_domain: str) -> ServiceId:
    """Whom a terminating gateway presents itself as for this route: the linked service."""
    return ServiceId(
        trust_domain=trust_domain,
        service=route.service.name,
        namespace=route.service.namespace,
        partition=route.service.partition,
        datacenter=route.datacenter,
    )
