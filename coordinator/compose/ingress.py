"""What each registered ingress gateway serves: its listeners, their TLS, and where their services lead.

Belongs here: the configuration entry, compiled chains and instances to the snapshot's ingress section. Never
here: which services a listener exposes (`ingress_links`), addresses (`listeners`), or TLS (`ingress_tls`).

What cannot be served is left out and told, a listener or a service at a time. A gateway without an entry
listens on nothing; an entry of which no gateway is registered is nobody's.
Source: Consul, "Ingress gateways" and "Ingress gateway configuration entry".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.catalog import Instance
from cluster.chain import Chain, ChainError, Entries, Request, Resolver, Target, compile_chain
from cluster.errors import Problem
from cluster.ingress import (
    IngressGateway,
    IngressHttp,
    IngressListener,
    IngressService,
    IngressTarget,
    gateway_dns_sans,
)
from cluster.names import ServiceName
from cluster.routes import GatewayKind
from cluster.snapshot import EndpointSet, Trust
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES, SERVICES

from .catalog import Catalog
from .chains import stored_entries
from .ingress_limits import passive_health, upstream_limits
from .ingress_links import Covered, exposed
from .ingress_tls import NotServed, files_of, listener_tls
from .routes import endpoint_set, set_name
from .subsets import Subsets

KIND = GatewayKind.INGRESS.value
_Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    """The ingress section, the endpoint sets that only it refers to, and what is left out."""

    gateways: tuple[IngressGateway, ...] = ()
    endpoints: tuple[EndpointSet, ...] = ()
    problems: tuple[Problem, ...] = ()


def ingress(
    state: State,
    catalog: Catalog,
    gateways_of: Mapping[str, Iterable[str]],
    known_sets: Iterable[EndpointSet],
    trust: Trust,
) -> Ingress:
    """`gateways_of` are the terminating gateways that each service is linked to."""
    maker = _Maker(
        trust=trust,
        entries=stored_entries(state),
        catalog=catalog,
        gateways_of=gateways_of,
        sets={one.name: None for one in known_sets},
        covered=Covered(state).services,
        subsets=Subsets(state, trust.datacenter),
    )
    registered = _registered(state)
    records = sorted(state.under(ENTRIES, f"{KIND}/"), key=lambda record: record.key)
    gateways = tuple(
        maker.gateway(record.value) for record in records if record.value["Name"] in registered
    )
    made = (one for one in maker.sets.values() if one is not None)
    return Ingress(
        gateways=gateways,
        endpoints=tuple(sorted(made, key=lambda one: one.name)),
        problems=tuple(dict.fromkeys(maker.problems)),
    )


def _registered(state: State) -> frozenset[str]:
    values = (record.value for record in state.table(SERVICES).values())
    return frozenset(str(value["Service"]) for value in values if value.get("Kind") == KIND)


def _http(chain: Chain, element: _Body) -> IngressHttp:
    modifiers = ("RequestHeaders", "ResponseHeaders")
    return IngressHttp(
        chain=chain, exposed={name: element[name] for name in modifiers if element.get(name)}
    )


@dataclass(slots=True, kw_only=True)
class _Maker:
    """One composition. `sets` are by name; None for what is in the snapshot anyway."""

    trust: Trust
    entries: Entries
    catalog: Catalog
    gateways_of: Mapping[str, Iterable[str]]
    sets: dict[str, EndpointSet | None]
    covered: Callable[[str], Iterable[str]]
    subsets: Subsets
    problems: list[Problem] = field(default_factory=list)

    def gateway(self, entry: _Body) -> IngressGateway:
        listeners = (self._listener(entry, one) for one in entry.get("Listeners") or ())
        return IngressGateway(
            name=entry["Name"],
            listeners=tuple(one for one in listeners if one is not None),
            dns_sans=gateway_dns_sans(entry, self.trust.datacenter),
        )

    def _listener(self, entry: _Body, listener: _Body) -> IngressListener | None:
        where = f"listener on port {listener.get('Port', 0)}"
        protocol = listener.get("Protocol") or "tcp"
        try:
            tls = listener_tls(entry, listener)
        except NotServed as error:
            self._say(entry, f"{where}: {error}")
            return None
        services = tuple(self._services(entry, listener, where))
        if not services and protocol == "tcp":
            return None
        return IngressListener(
            port=listener.get("Port", 0), protocol=protocol, services=services, tls=tls
        )

    def _services(self, entry: _Body, listener: _Body, where: str) -> Iterator[IngressService]:
        is_http = listener.get("Protocol", "tcp") != "tcp"
        for name, element, _ in exposed(listener, self.covered):
            try:
                chain = self._chain(name)
                if is_http and chain.protocol != listener["Protocol"]:
                    raise NotServed(f"its protocol is {chain.protocol}, not {listener['Protocol']}")
                yield IngressService(
                    service=ServiceName(name=name),
                    targets=tuple(self._all_of(chain) if is_http else self._in_order(chain)),
                    hosts=tuple(element.get("Hosts") or ()),
                    files=files_of(entry, listener, element),
                    http=_http(chain, element) if is_http else None,
                    health=passive_health(entry, element),
                    limits=upstream_limits(entry, element),
                )
            except NotServed as error:
                self._say(entry, f"{where}: service {name!r}: {error}")

    def _chain(self, service: str) -> Chain:
        """Raises `NotServed` for entries that do not fit together."""
        request = Request(
            service=service,
            datacenter=self.trust.datacenter,
            trust_domain=self.trust.bundle.trust_domain,
            entries=self.entries,
        )
        try:
            return compile_chain(request)
        except ChainError as error:
            raise NotServed(str(error)) from error

    def _in_order(self, chain: Chain) -> Iterator[IngressTarget]:
        """The first choice and its stand-ins. Raises `NotServed` for what bytes alone cannot be led by."""
        start = chain.start
        if not isinstance(start, Resolver):
            raise NotServed("its chain routes or splits requests, which takes HTTP")
        for name in (start.target, *start.failover):
            yield self._target(chain.targets[name])

    def _all_of(self, chain: Chain) -> Iterator[IngressTarget]:
        return (self._target(target) for target in chain.targets.values())

    def _target(self, target: Target) -> IngressTarget:
        if target.service.peer or target.datacenter != self.trust.datacenter:
            place = target.service.peer or target.datacenter
            raise NotServed(f"not served yet: instances in {place!r}")
        name, subset = target.service.name, target.subset
        linked = self.gateways_of.get(name, ())
        mesh = self.subsets.select(name, subset, self.catalog.connect(name, linked))
        plain = self.subsets.select(name, subset, self.catalog.plaintext(name))
        return IngressTarget(
            service=target.service,
            datacenter=target.datacenter,
            server_name=target.sni,
            id=target.id,
            endpoints=self._keep(set_name("connect", name, subset), mesh),
            plaintext=self._keep(set_name("plaintext", name, subset), plain) if plain else "",
            connect_timeout_seconds=target.connect_timeout_seconds,
        )

    def _keep(self, name: str, found: Iterable[Instance]) -> str:
        if name not in self.sets:
            self.sets[name] = endpoint_set(name, found)
        return name

    def _say(self, entry: _Body, message: str) -> None:
        self.problems.append(Problem(path=f"{KIND}/{entry['Name']}", message=message))
