"""The view's shape: what a connection walks through.

Belongs here: the frozen values that gateways read. Never here: how they are compiled.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cluster.authorize import DestinationPolicy
from cluster.balance import Picker
from cluster.balance.limits import UpstreamLimits
from cluster.errors import Problem
from cluster.http import RequestPolicy
from cluster.http.affinity import Affinities
from cluster.http.routing import ServiceRoutes, Way
from cluster.ingress import CertificateFiles, Hosts
from cluster.lookup import NameTable
from cluster.names import ServiceName
from cluster.policies import RulesByDestination
from cluster.routes import Endpoint, HttpRoute, Listener
from cluster.snapshot import Policy, SnapshotId
from worker.http.room import Room
from worker.relay.porter import Directory
from worker.telemetry.metrics import HttpMeters, ServiceMeters
from worker.view.contexts import Context, Origination, ServerTls
from worker.view.outside_tls import OutsideTls
from worker.view.standings import Standings
from worker.view.tokens import Tokens
from worker.view.ways import Ways


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshTarget:
    """Where a mesh gateway carries one SNI to."""

    service: ServiceName
    endpoints: tuple[Endpoint, ...]
    ways: Ways
    connect_timeout_seconds: float
    meters: ServiceMeters


@dataclass(frozen=True, slots=True, kw_only=True)
class Balanced:
    """How a service-resolver wants requests to be spread, and who belongs to which endpoint."""

    picker: Picker
    affinities: Affinities
    room: Room


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTarget:
    """How a service's requests are carried. `own_uri` is whom the gateway is to its callers; with `http2`
    instances are spoken to in HTTP/2. Without `balanced` endpoints are drawn by weight.
    """

    route: HttpRoute
    own_uri: str
    meters: HttpMeters
    http2: bool = False
    balanced: Balanced | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminatingTarget:
    """A linked service that can be served: its leaf is known. Without `http` it is carried as tcp."""

    service: ServiceName
    tls: ServerTls
    origination: Origination | None
    endpoints: tuple[Endpoint, ...]
    ways: Ways
    connect_timeout_seconds: float
    meters: ServiceMeters
    http: HttpTarget | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshView:
    """What a mesh gateway serves."""

    listener: Listener
    table: NameTable[MeshTarget]
    unrouted: ServiceMeters
    #: The same for an engine that accepts by itself, but for wildcards.
    directory: Directory | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminatingView:
    """What a terminating gateway serves."""

    listener: Listener
    table: NameTable[TerminatingTarget]
    unrouted: ServiceMeters


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressTarget:
    """Instances of one service, and who has to answer there; those in `plaintext` prove nothing.

    `standings` and `room` are those of the target in every view, and `key` is its name in them.
    """

    service: ServiceName
    server_name: str
    expected_uri: str
    endpoints: tuple[Endpoint, ...]
    plaintext: frozenset[Endpoint]
    connect_timeout_seconds: float
    limits: UpstreamLimits
    standings: Standings
    room: Room
    key: tuple[str, ...]

    @property
    def has_healthy(self) -> bool:
        return any(endpoint.healthy for endpoint in self.endpoints)

    def in_place(self, now: float) -> tuple[Endpoint, ...]:
        """The healthy endpoints that are not out for their failures."""
        out = self.standings.out(now)
        return tuple(one for one in self.endpoints if one.healthy and one not in out)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressWay:
    """One way that requests take: its targets that have a healthy instance, each with its picker."""

    way: Way
    up: tuple[tuple[IngressTarget, Picker], ...]
    affinities: Affinities


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressHttp:
    """The requests of one service; `ways` are by the identity of those that `routes` give. With `http2`
    instances are spoken to in HTTP/2.
    """

    routes: ServiceRoutes
    ways: Mapping[int, IngressWay]
    meters: HttpMeters
    http2: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressRoute:
    """One service of an ingress listener: the first target with a healthy instance is taken, but where `http`
    says otherwise.

    `context` is of our own leg into the mesh, `tls` of the client's (None: it is plain), `files` the
    service's own certificate.
    """

    service: ServiceName
    targets: tuple[IngressTarget, ...]
    context: Context
    tls: OutsideTls | None
    files: CertificateFiles | None
    meters: ServiceMeters
    http: IngressHttp | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressView:
    """What an ingress gateway serves on one port. `own_uri` is its identity in the mesh.

    `only` takes every connection, if there is one; without, `hosts` and a client's server name say which of
    `routes` does. With `is_http` the host of each request does, and who asks for a name that has no
    certificate of its own is met with `tls`, if there is one.
    """

    listener: Listener
    own_uri: str
    is_tls: bool
    is_http: bool
    tls: OutsideTls | None
    only: IngressRoute | None
    hosts: Hosts
    routes: Mapping[str, IngressRoute]
    unrouted: ServiceMeters

    @property
    def source(self) -> ServiceName:
        """Who the gateway is, to intentions."""
        return ServiceName(name=self.listener.gateway)

    def route(self, server_name: str) -> IngressRoute | None:
        """Where a client goes that asks for this name (lower case; empty for none)."""
        if self.only is not None:
            return self.only
        service = self.hosts.service(server_name)
        if service is None and server_name:
            service = self.hosts.service(f"{server_name}:{self.listener.port}")
        return self.routes.get(service) if service is not None else None


GatewayView = MeshView | TerminatingView | IngressView


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything a worker serves at one moment.

    `roots` are the CA's by their fingerprints. `gateways` is by the address and port listened on; `policies`
    are of every linked service, served yet or not, and `rules` make those of any other; `tokens` verifies
    the tokens that they ask for; `missing_leaves` are the linked services that wait for their certificate,
    and `problems` say which of them have one that is of no use. At `next_expiry` (seconds since 1970) some
    rule ends: then `at` is the view that holds.
    """

    id: SnapshotId | None = None
    trust_domain: str = ""
    roots: frozenset[str] = frozenset()
    gateways: Mapping[tuple[str, int], GatewayView] = field(default_factory=dict)
    policies: Mapping[ServiceName, DestinationPolicy] = field(default_factory=dict)
    rules: RulesByDestination = field(default_factory=lambda: RulesByDestination(Policy()))
    tokens: Tokens = field(default_factory=Tokens)
    known_sources: frozenset[str] = frozenset()
    missing_leaves: frozenset[ServiceName] = frozenset()
    problems: tuple[Problem, ...] = ()
    next_expiry: float = math.inf
    _requests: dict[ServiceName, RequestPolicy] = field(init=False, default_factory=dict)

    def at(self, now: float) -> "View":
        """The view without the rules that have ended by `now`."""
        policies = {name: policy.at(now) for name, policy in self.policies.items()}
        rules = self.rules.at(now)
        ends = min((policy.next_expiry for policy in policies.values()), default=math.inf)
        ends = min(ends, rules.next_expiry)
        return replace(self, policies=policies, rules=rules, next_expiry=ends)

    @property
    def generation(self) -> int:
        return self.id.generation if self.id else 0

    def policy_of(self, destination: ServiceName) -> DestinationPolicy:
        """What holds for a destination, also for one that is not linked any more."""
        return self.policies.get(destination) or self.rules.policy(destination)

    def requests_of(self, destination: ServiceName) -> RequestPolicy:
        """What holds for each request to a destination; compiled when it is first asked for."""
        found = self._requests.get(destination)
        if found is None:
            found = self._requests[destination] = self.rules.request_policy(destination)
        return found

    def source_label(self, source: ServiceName | None) -> str:
        """A caller's name as a metric label: only names that policy or catalog know."""
        name = str(source) if source else ""
        return name if name in self.known_sources else "other"
