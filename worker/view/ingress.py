"""The ingress section of a snapshot, compiled for the listeners of this node.

Belongs here: one listener's view. Never here: carrying a connection (`worker.gateways.ingress`), or how TLS
contexts are kept (`outside_tls`, `contexts`).

A gateway whose own leaf is missing serves nothing yet: it has no way into the mesh. What cannot be served for
another reason costs its own service, and is told.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cluster.certs import Leaf
from cluster.chain.protocol import HTTP2_LIKE
from cluster.errors import Problem
from cluster.http.affinity import Affinities
from cluster.http.routing import ServiceRoutes, Way
from cluster.identity import ServiceId
from cluster.ingress import (
    Hosts,
    IngressGateway,
    IngressHttp,
    IngressListener,
    IngressService,
    IngressTarget,
    host_patterns,
)
from cluster.names import ServiceName
from cluster.routes import Endpoint, Listener
from cluster.snapshot import Trust
from worker.telemetry.metrics import Metrics
from worker.tls.contexts import UnusableMaterial
from worker.view import view
from worker.view.contexts import ALPN, HTTP2_ALPN, ClientContexts, Context
from worker.view.outside_tls import OutsideContexts, OutsideTls
from worker.view.pickers import KeptPickers
from worker.view.rooms import KeptRooms
from worker.view.standings import KeptStandings


@dataclass(slots=True)
class IngressContexts:
    """What the views of ingress gateways keep from one to the next; lives as long as the worker."""

    inside: ClientContexts = field(default_factory=ClientContexts)
    outside: OutsideContexts = field(default_factory=OutsideContexts)
    standings: KeptStandings = field(default_factory=KeptStandings)
    rooms: KeptRooms = field(default_factory=KeptRooms)
    pickers: KeptPickers = field(default_factory=KeptPickers)

    def forget_others(self) -> None:
        """Forget all that the last compilation did not ask for."""
        self.inside.forget_others()
        self.outside.forget_others()
        self.standings.forget_others()
        self.rooms.forget_others()
        self.pickers.forget_others()


@dataclass(slots=True, kw_only=True)
class IngressViews:
    """One compilation. `missing` and `problems` are added to, `decided` are services to enforce ourselves."""

    trust: Trust
    gateways: Mapping[str, IngressGateway]
    leaves: Mapping[str, Leaf]
    endpoints: Mapping[str, tuple[Endpoint, ...]]
    metrics: Metrics
    contexts: IngressContexts
    missing: set[ServiceName]
    problems: list[Problem]
    decided: set[ServiceName] = field(default_factory=set)

    def of(self, listener: Listener) -> view.IngressView:
        """The view of one listener; it may serve nothing."""
        uri = self._uri(ServiceName(name=listener.gateway), self.trust.datacenter)
        served = self._served(listener)
        routes = dict(self._routes(listener, served, uri)) if served is not None else {}
        shared = (route.tls for route in routes.values() if route.files is None)
        return view.IngressView(
            listener=listener,
            own_uri=uri,
            is_tls=served is not None and served.tls is not None,
            is_http=served is not None and served.protocol != "tcp",
            tls=next(shared, None),
            only=_only(served, routes),
            hosts=Hosts(_patterns(served, routes)),
            routes=routes,
            unrouted=self.metrics.service(listener.gateway, listener.kind.label, ""),
        )

    def _served(self, listener: Listener) -> IngressListener | None:
        gateway = self.gateways.get(listener.gateway)
        listeners = gateway.listeners if gateway is not None else ()
        return next((one for one in listeners if one.port == listener.port), None)

    def _routes(
        self, listener: Listener, served: IngressListener, uri: str
    ) -> Iterator[tuple[str, view.IngressRoute]]:
        leaf = self.leaves.get(uri)
        alpn = HTTP2_ALPN if served.protocol in HTTP2_LIKE else ()
        context = None if leaf is None else self._inside(leaf, alpn)
        if leaf is None or context is None:
            self.missing.add(ServiceName(name=listener.gateway))
            return
        for service in served.services:
            try:
                tls = self._tls(leaf, served, service)
            except UnusableMaterial as error:
                message = f"service {service.service} on port {served.port}: {error}"
                self.problems.append(Problem(path=f"ingress.{listener.gateway}", message=message))
                continue
            yield (
                str(service.service),
                self._route(listener, service, context, tls),
            )

    def _route(
        self,
        listener: Listener,
        service: IngressService,
        context: Context,
        tls: OutsideTls | None,
    ) -> view.IngressRoute:
        name = str(service.service)
        targets = tuple(self._target(listener, service, one) for one in service.targets)
        by_id = {one.id: made for one, made in zip(service.targets, targets, strict=True)}
        http = service.http
        return view.IngressRoute(
            service=service.service,
            targets=targets,
            context=context,
            tls=tls,
            files=service.files,
            meters=self.metrics.service(listener.gateway, listener.kind.label, name),
            http=None if http is None else self._http(listener, name, http, by_id),
        )

    def _http(
        self,
        listener: Listener,
        service: str,
        http: IngressHttp,
        targets: Mapping[str, view.IngressTarget],
    ) -> view.IngressHttp:
        routes = ServiceRoutes(http.chain, http.exposed)
        self.problems += (
            Problem(path=f"ingress.{listener.gateway}", message=one) for one in routes.problems
        )
        return view.IngressHttp(
            routes=routes,
            ways={id(way): _way(way, targets, self.contexts.pickers) for way in routes.ways()},
            meters=self.metrics.http(listener.gateway, service),
            http2=http.chain.protocol in HTTP2_LIKE,
        )

    def _inside(self, leaf: Leaf, alpn: tuple[bytes, ...]) -> Context | None:
        try:
            return self.contexts.inside.get(leaf, self.trust.bundle, alpn)
        except UnusableMaterial as error:
            self.problems.append(Problem(path=leaf.uri, message=f"its leaf is of no use: {error}"))
            return None

    def _tls(
        self, leaf: Leaf, served: IngressListener, service: IngressService
    ) -> OutsideTls | None:
        """Raises `UnusableMaterial`."""
        if served.tls is None:
            return None
        files, alpn = service.files or served.tls.files, ALPN[served.protocol]
        if files is not None:
            return self.contexts.outside.of_files(files, served.tls, alpn)
        return self.contexts.outside.of_leaf(leaf, served.tls, alpn)

    def _target(
        self, listener: Listener, service: IngressService, target: IngressTarget
    ) -> view.IngressTarget:
        plain = self.endpoints[target.plaintext] if target.plaintext else ()
        if plain:
            self.decided.add(target.service)
        endpoints = (*self.endpoints[target.endpoints], *plain)
        key = (listener.gateway, str(listener.port), str(service.service), target.server_name)
        ejections = self.metrics.ejections.labels(listener.gateway, str(target.service))
        return view.IngressTarget(
            service=target.service,
            server_name=target.server_name,
            expected_uri=self._uri(target.service, target.datacenter),
            endpoints=endpoints,
            plaintext=frozenset(plain),
            connect_timeout_seconds=target.connect_timeout_seconds,
            limits=service.limits,
            standings=self.contexts.standings.of(key, endpoints, service.health, ejections),
            room=self.contexts.rooms.of(key),
            key=key,
        )

    def _uri(self, service: ServiceName, datacenter: str) -> str:
        return ServiceId(
            trust_domain=self.trust.bundle.trust_domain,
            service=service.name,
            namespace=service.namespace,
            partition=service.partition,
            datacenter=datacenter,
        ).uri


def _way(
    way: Way, targets: Mapping[str, view.IngressTarget], pickers: KeptPickers
) -> view.IngressWay:
    named = (targets[target.id] for target in way.targets)
    return view.IngressWay(
        way=way,
        up=tuple(
            (target, pickers.of(target.key, way.balancer, target.endpoints, target.room.active))
            for target in named
            if target.has_healthy
        ),
        affinities=Affinities(way.hash_policies),
    )


def _only(
    served: IngressListener | None, routes: Mapping[str, view.IngressRoute]
) -> view.IngressRoute | None:
    """The one route of a listener that need not ask for a name."""
    if (
        served is None
        or served.protocol != "tcp"
        or len(served.services) != 1
        or served.services[0].hosts
    ):
        return None
    return next(iter(routes.values()), None)


def _patterns(
    served: IngressListener | None, routes: Mapping[str, object]
) -> dict[str, Iterable[str]]:
    services = served.services if served is not None else ()
    return {
        name: host_patterns(one.service.name, one.hosts, served.port)
        for one in services
        if served is not None and (name := str(one.service)) in routes
    }
