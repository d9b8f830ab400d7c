"""What a sidecar knows, and the views it becomes.  ●

Belongs here: the answers of the coordinator turned into values, and those into a view of the inbound side
and one target per upstream. Never here: asking, or sockets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cluster.authorize import policy_for
from cluster.catalog import Health, Instance, Kind, endpoint, worst
from cluster.certs import Leaf, Root, TrustBundle
from cluster.http import normalisation_of
from cluster.http.providers import JwtProvider, provider_of
from cluster.http.tokens import providers_named
from cluster.identity import ServiceId
from cluster.intentions import NEVER, Action, Intention, with_token
from cluster.lookup import NameTable
from cluster.moments import parse_moment
from cluster.names import ServiceName, service_sni
from cluster.policies import RulesByDestination
from cluster.routes import DEFAULT_CONNECT_TIMEOUT_SECONDS, Endpoint, GatewayKind, Listener
from cluster.snapshot import Policy
from worker.sidecar.config import SidecarConfig
from worker.sidecar.own_side import OwnSide, own_side
from worker.telemetry.metrics import Metrics, ServiceMeters
from worker.view.contexts import ServerContexts, fingerprints
from worker.view.tokens import KeptTokens
from worker.view.view import HttpTarget, TerminatingTarget, TerminatingView, View
from worker.view.ways import Ways

KIND = "sidecar"
#: What says how a service is served, in the order that `own_side` takes it.
OWN_ENTRIES = ("service-defaults", "proxy-defaults", "mesh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the coordinator said last. Kept while it is away; `endpoints` are by upstream.

    `entries` are by kind: those that say how the service is served, None where nobody has written one.
    """

    datacenter: str = ""
    default_allow: bool = False
    bundle: TrustBundle | None = None
    leaf: Leaf | None = None
    rules: tuple[Intention, ...] | None = None
    entries: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    providers: tuple[JwtProvider, ...] | None = None
    endpoints: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)

    @property
    def own_side(self) -> OwnSide | None:
        """How the service itself is served; None as long as nobody has said so."""
        if not self.entries.keys() >= set(OWN_ENTRIES):
            return None
        return own_side(*(self.entries[kind] for kind in OWN_ENTRIES))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundTarget:
    """One upstream: where to dial, which name to ask for, and who must answer."""

    service: ServiceName
    server_name: str
    expected_uri: str
    endpoints: tuple[Endpoint, ...]
    connect_timeout_seconds: float = DEFAULT_CONNECT_TIMEOUT_SECONDS
    meters: ServiceMeters


def bundle_of(roots: Mapping[str, Any]) -> TrustBundle:
    """The answer of /v1/connect/ca/roots."""
    return TrustBundle(
        trust_domain=roots["TrustDomain"],
        roots=tuple(
            Root(id=root["ID"], pem=root["RootCert"].encode(), active=root["Active"])
            for root in roots["Roots"]
        ),
    )


def active_ids(bundle: TrustBundle) -> tuple[str, ...]:
    """Which root signs."""
    return tuple(root.id for root in bundle.roots if root.active)


def endpoints_of(entries: list[dict[str, Any]]) -> tuple[Endpoint, ...]:
    """The answer of /v1/health/connect/:service."""
    return tuple(endpoint(_instance(entry)) for entry in entries)


def _instance(entry: Mapping[str, Any]) -> Instance:
    node, service = entry["Node"], entry["Service"]
    weights = service.get("Weights") or {}
    return Instance(
        node=node["Node"],
        id=service["ID"],
        service=ServiceName(name=service["Service"]),
        node_address=node.get("Address", ""),
        kind=Kind(service.get("Kind") or ""),
        address=service.get("Address") or "",
        port=service.get("Port") or 0,
        weight_passing=weights.get("Passing", 1),
        weight_warning=weights.get("Warning", 1),
        health=worst(Health(check["Status"]) for check in entry.get("Checks") or ()),
    )


def rules_of(matched: Mapping[str, list[dict[str, Any]]]) -> tuple[Intention, ...]:
    """The answer of /v1/connect/intentions/match."""
    return tuple(_intention(found) for rules in matched.values() for found in rules or ())


def _intention(found: Mapping[str, Any]) -> Intention:
    rule = Intention(
        source=ServiceName(name=found["SourceName"], peer=found.get("SourcePeer") or ""),
        destination=ServiceName(name=found["DestinationName"]),
        action=Action(found.get("Action") or Action.DENY),
        permissions=tuple(found.get("Permissions") or ()),
        description=found.get("Description") or "",
        expires_at=parse_moment(found["ExpiresAt"]) if found.get("ExpiresAt") else NEVER,
    )
    return with_token(rule, found.get("JWT"))


def providers_of(entries: list[dict[str, Any]]) -> tuple[JwtProvider, ...]:
    """The answer of /v1/config/jwt-provider."""
    return tuple(provider_of(entry) for entry in entries)


def own_id(config: SidecarConfig, known: Known) -> ServiceId:
    """Whom the sidecar stands for."""
    assert known.bundle is not None
    return ServiceId(
        trust_domain=known.bundle.trust_domain, service=config.service, datacenter=known.datacenter
    )


def inbound_view(
    config: SidecarConfig,
    known: Known,
    metrics: Metrics,
    contexts: ServerContexts,
    tokens: KeptTokens,
) -> View:
    """The mesh's way in: one service, its leaf, its intentions. Empty until all of it is known."""
    if known.bundle is None:
        return View()
    roots = fingerprints(known.bundle)
    own, rules = known.own_side, closed_rules(known)
    if known.leaf is None or own is None or rules is None:
        return View(roots=roots)
    if config.listen is None or config.service_address is None:
        return View(roots=roots)
    service = ServiceName(name=config.service)
    endpoints = (Endpoint(address=config.service_address.host, port=config.service_address.port),)
    target = TerminatingTarget(
        service=service,
        tls=contexts.get(known.leaf, known.bundle, own.protocol),
        origination=None,
        endpoints=endpoints,
        ways=Ways(endpoints),
        connect_timeout_seconds=own.connect_timeout_seconds,
        meters=metrics.service(config.service, KIND, config.service),
        http=_http(config, known, own, metrics),
    )
    contexts.keep(frozenset({(target.tls.leaf_digest, target.tls.bundle_digest)}))
    policy = policy_for(service, rules, default_allow=known.default_allow)
    place = (config.listen.host, config.listen.port)
    gateway = TerminatingView(
        listener=_listener(config),
        table=NameTable(((_server_name(config.service, known), target),)),
        unrouted=metrics.service(config.service, KIND, ""),
    )
    return View(
        trust_domain=known.bundle.trust_domain,
        roots=roots,
        gateways={place: gateway},
        policies={service: policy},
        rules=RulesByDestination(_policy(known, rules)),
        tokens=tokens.of(known.providers or ()),
        known_sources=frozenset(str(rule.source) for rule in rules),
        next_expiry=policy.next_expiry,
    )


def closed_rules(known: Known) -> tuple[Intention, ...] | None:
    """The intentions, those that ask for tokens of a provider we were not told of as plain denials.

    A token that cannot be looked at must not be what a request gets past a denial with, or past the default.
    None until intentions and providers are known.
    """
    if known.rules is None or known.providers is None:
        return None
    unknown = unknown_providers(known)
    return tuple(_denial(rule) if _asked_of(rule) & unknown else rule for rule in known.rules)


def unknown_providers(known: Known) -> frozenset[str]:
    """The providers that intentions name and that we were not told of; none until both are known."""
    if known.rules is None or known.providers is None:
        return frozenset()
    asked = frozenset(name for rule in known.rules for name in _asked_of(rule))
    return asked - {provider.name for provider in known.providers}


def _asked_of(rule: Intention) -> frozenset[str]:
    asked = (rule.jwt, *(permission.get("JWT") for permission in rule.permissions))
    return frozenset(name for jwt in asked for name in providers_named(jwt))


def _denial(rule: Intention) -> Intention:
    return msgspec.structs.replace(rule, action=Action.DENY, permissions=(), jwt={})


def _policy(known: Known, rules: tuple[Intention, ...]) -> Policy:
    return Policy(
        default_allow=known.default_allow,
        intentions=rules,
        providers=known.providers or (),
        normalisation=normalisation_of(known.entries.get("mesh") or {}),
    )


def _http(config: SidecarConfig, known: Known, own: OwnSide, metrics: Metrics) -> HttpTarget | None:
    if own.http is None:
        return None
    return HttpTarget(
        route=own.http,
        own_uri=own_id(config, known).uri,
        meters=metrics.http(config.service, config.service),
        http2=own.http2,
    )


def _listener(config: SidecarConfig) -> Listener:
    """What the shared gateway code wants to know of a listener."""
    assert config.listen is not None
    return Listener(
        node="",
        gateway=config.service,
        kind=GatewayKind.TERMINATING,
        address=config.listen.host,
        port=config.listen.port,
    )


def outbound_target(
    config: SidecarConfig, known: Known, destination: str, metrics: Metrics
) -> OutboundTarget | None:
    """How to reach one upstream now; None until the roots are known."""
    if known.bundle is None:
        return None
    expected = ServiceId(
        trust_domain=known.bundle.trust_domain, service=destination, datacenter=known.datacenter
    )
    return OutboundTarget(
        service=ServiceName(name=destination),
        server_name=_server_name(destination, known),
        expected_uri=expected.uri,
        endpoints=known.endpoints.get(destination, ()),
        meters=metrics.service(config.service, KIND, destination),
    )


def _server_name(service: str, known: Known) -> str:
    assert known.bundle is not None
    return service_sni(service, datacenter=known.datacenter, trust_domain=known.bundle.trust_domain)
