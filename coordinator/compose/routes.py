"""What terminating and mesh gateways serve, and the endpoint sets that their routes refer to.

Belongs here: links and instances to routes. Never here: linking rules (`linking`), or choosing an endpoint.

A route exists with its first instance, whatever the health; an endpoint without address or port cannot be
dialled and is left out of its set.
Source: Consul, "Terminating gateways" and "Mesh gateways", routing by SNI.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

from cluster.catalog import Instance, endpoint
from cluster.chain.protocol import HTTP_LIKE
from cluster.errors import Problem
from cluster.names import ServiceName, service_sni
from cluster.protocols import resolved_protocol
from cluster.routes import Endpoint, MeshRoute, TerminatingGateway, TerminatingRoute
from cluster.snapshot import EndpointSet, Trust
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

from .catalog import Catalog
from .destinations import destination_routes, destination_sets, destinations
from .http_routes import connect_timeout_seconds, http_route
from .kept import KeptRoutes
from .linking import KIND, Link, gateways_by_service
from .subsets import Subsets

_PROXY_DEFAULTS = "proxy-defaults/global"


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """The route sections of a snapshot, each in order."""

    terminating: tuple[TerminatingGateway, ...]
    mesh: tuple[MeshRoute, ...]
    endpoints: tuple[EndpointSet, ...]
    problems: tuple[Problem, ...] = ()


def routes(
    state: State,
    catalog: Catalog,
    links: tuple[Link, ...],
    trust: Trust,
    kept: KeptRoutes | None = None,
) -> Routes:
    """All routes that these links and instances amount to. `links` are in order.

    Services whose names differ by case alone would have one SNI; the first by name has it. What is the same
    as in the round before is taken from `kept`.
    """
    kept = kept or KeptRoutes()
    kept.begin(trust)
    subsets = Subsets(state, trust.datacenter)
    gateways_of = gateways_by_service(links)
    in_mesh, mesh_problems = _with_own_sni(catalog.in_mesh(gateways_of))
    mesh = {name: catalog.connect(name, gateways_of.get(name, ())) for name in in_mesh}
    linked, link_problems = _with_own_sni(name for name in gateways_of if catalog.plain(name))
    plain = {name: catalog.plain(name) for name in linked}
    outside = destinations(state, gateways_of, frozenset(catalog.linkable))
    sets = (
        *_sets(kept, subsets, ("connect", mesh), ("service", plain)),
        *destination_sets(outside),
    )
    return Routes(
        terminating=_terminating(state, plain, outside, links, subsets, trust),
        mesh=tuple(_mesh(mesh, subsets, trust, kept)),
        endpoints=tuple(sorted(sets, key=lambda one: one.name)),
        problems=tuple(dict.fromkeys((*mesh_problems, *link_problems))),
    )


def _with_own_sni(services: Iterable[str]) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """Those that can be told apart by SNI, which has no case, and a problem for each that cannot."""
    owners: dict[str, str] = {}
    problems: list[Problem] = []
    for name in sorted(services):
        owner = owners.setdefault(name.lower(), name)
        if owner != name:
            message = (
                f"services {owner!r} and {name!r} would have one SNI; only {owner!r} is served"
            )
            problems.append(Problem(path="services", message=message))
    return tuple(owners.values()), tuple(problems)


def _terminating(
    state: State,
    plain: Mapping[str, Any],
    outside: Mapping[str, tuple[Endpoint, ...]],
    links: tuple[Link, ...],
    subsets: Subsets,
    trust: Trust,
) -> tuple[TerminatingGateway, ...]:
    by_gateway = {
        name: tuple(_without_taken(_linked(state, tuple(found), plain, outside, subsets, trust)))
        for name, found in groupby(links, key=lambda link: link.gateway)
    }
    named = (record.value["Name"] for record in state.under(ENTRIES, f"{KIND}/"))
    return tuple(
        TerminatingGateway(name=name, routes=by_gateway.get(name, ())) for name in sorted(named)
    )


def _linked(
    state: State,
    links: tuple[Link, ...],
    plain: Mapping[str, Any],
    outside: Mapping[str, tuple[Endpoint, ...]],
    subsets: Subsets,
    trust: Trust,
) -> Iterator[TerminatingRoute]:
    """The routes of one gateway: those of services first, as one may be called like a subset of another."""
    served = [link for link in links if link.service in plain]
    for link in served:
        yield _route(state, link, subsets, trust)
    for link in served:
        for subset in subsets.named(link.service):
            yield _route(state, link, subsets, trust, subset)
    for link in links:
        if link.service in outside:
            as_it_is = replace(link, rewrite_host=False)
            like = _route(state, as_it_is, subsets, trust)
            yield from destination_routes(like, outside[link.service], trust)


def _without_taken(found: Iterable[TerminatingRoute]) -> Iterator[TerminatingRoute]:
    """Of two that have one name the first."""
    taken: set[str] = set()
    for route in found:
        if not taken.intersection(route.server_names):
            taken.update(route.server_names)
            yield route


def _route(
    state: State, link: Link, subsets: Subsets, trust: Trust, subset: str = ""
) -> TerminatingRoute:
    protocol = _protocol(state, link.service)
    asked_for = subset or subsets.default(link.service)
    return TerminatingRoute(
        service=ServiceName(name=link.service),
        datacenter=trust.datacenter,
        server_names=(_server_name(link.service, trust, subset),),
        endpoints=set_name("service", link.service, asked_for),
        protocol=protocol,
        http=http_route(state, link) if protocol in HTTP_LIKE else None,
        tls=link.tls,
        connect_timeout_seconds=connect_timeout_seconds(state, link.service),
    )


def _mesh(
    services: Iterable[str], subsets: Subsets, trust: Trust, kept: KeptRoutes
) -> Iterable[MeshRoute]:
    """By name, in order. A service that is called like a subset of another one has the name."""
    services = tuple(services)
    wanted = [(name, "", subsets.default(name)) for name in services]
    wanted += [(name, one, one) for name in services for one in subsets.named(name)]
    found: dict[str, MeshRoute] = {}
    for service, subset, asked_for in wanted:
        key = f"{subset}:{asked_for}:{service}"
        route = kept.route(key, partial(_mesh_route, service, subset, asked_for, trust))
        found.setdefault(route.server_name, route)
    return (found[name] for name in sorted(found))


def _mesh_route(service: str, subset: str, asked_for: str, trust: Trust) -> MeshRoute:
    return MeshRoute(
        server_name=_server_name(service, trust, subset),
        service=ServiceName(name=service),
        endpoints=set_name("connect", service, asked_for),
    )


def set_name(kind: str, service: str, subset: str = "") -> str:
    """What the endpoints of a service, or of a subset of it, are called in a snapshot."""
    return f"{kind}-subset:{subset}:{service}" if subset else f"{kind}:{service}"


def _server_name(service: str, trust: Trust, subset: str = "") -> str:
    """Lower-case, as names are looked up."""
    domain = trust.bundle.trust_domain
    found = service_sni(service, datacenter=trust.datacenter, trust_domain=domain, subset=subset)
    return found.lower()


def _protocol(state: State, service: str) -> str:
    own = state.get(ENTRIES, f"service-defaults/{service}")
    every = state.get(ENTRIES, _PROXY_DEFAULTS)
    return resolved_protocol(own.value if own else None, every.value if every else None)


def _sets(
    kept: KeptRoutes, subsets: Subsets, *groups: tuple[str, Mapping[str, tuple[Instance, ...]]]
) -> tuple[EndpointSet, ...]:
    """One for each service of each group, and for its subsets. Each is made once, so all are different."""
    made = (
        kept.endpoints(
            set_name(kind, service, subset), subsets.select(service, subset, found), endpoint_set
        )
        for kind, by_service in groups
        for service, found in by_service.items()
        for subset in ("", *subsets.named(service))
    )
    return tuple(sorted(made, key=lambda one: one.name))


def endpoint_set(name: str, found: Iterable[Instance]) -> EndpointSet:
    """The set of these instances, in order."""
    return EndpointSet(name=name, endpoints=tuple(sorted(_endpoints(found))))


def _endpoints(found: Iterable[Instance]) -> Iterator[Any]:
    return (endpoint(instance) for instance in found if instance.host and instance.port)
