"""From the name of a service and the entries to its chain.

Belongs here: the order of the steps, and what is left out at the end. Never here: how a splitter or a
resolver comes about.

The router of the service asked for is the only one consulted. Every route, and without a router the service
itself, goes on to a splitter, else to a resolver.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cluster.names import DEFAULT, ServiceName

from .assembly import Assembly
from .entries import GLOBAL, PROXY_DEFAULTS, ROUTER, SERVICE_DEFAULTS, Body, Entries
from .errors import ChainError
from .overrides import Overrides
from .place import Place
from .protocol import HTTP_LIKE
from .resolve import resolve
from .split import node_name, split_or_resolve
from .values import Chain, Node, Resolver, Route, Router, key, next_nodes, targets_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Whose chain, seen from which datacenter, out of which entries. Raises ValueError if one is empty."""

    service: str
    datacenter: str
    trust_domain: str
    entries: Entries
    overrides: Overrides = field(default_factory=Overrides)

    def __post_init__(self) -> None:
        for name in ("service", "datacenter", "trust_domain"):
            if not getattr(self, name):
                raise ValueError(f"a discovery chain needs a {name}")


def compile_chain(request: Request) -> Chain:
    """The chain of a service; one that nobody configured leads to the service itself.

    Raises ChainError, with one sentence, when the entries do not fit together.
    """
    assembly = Assembly(
        service=request.service,
        datacenter=request.datacenter,
        trust_domain=request.trust_domain,
        entries=request.entries,
        overrides=request.overrides,
    )
    start = _start(assembly)
    if assembly.needs_http and assembly.protocol not in HTTP_LIKE:
        raise ChainError(
            f"discovery chain {request.service} uses a protocol {assembly.protocol} that does not "
            "permit advanced routing or splitting behavior"
        )
    return _chain(assembly, start)


def _start(assembly: Assembly) -> Node:
    body = assembly.advanced(ROUTER, assembly.service)
    if body is None:
        return split_or_resolve(assembly, assembly.service)
    assembly.speak(assembly.service)
    router = Router(name=node_name(assembly.service), routes=tuple(_routes(assembly, body)))
    assembly.add(router)
    return router


def _routes(assembly: Assembly, body: Body) -> Iterator[Route]:
    for definition in body.get("Routes") or ():
        node = _destination(assembly, definition.get("Destination") or {})
        yield Route(definition=dict(definition), next_node=key(node))
    node = split_or_resolve(assembly, assembly.service)
    yield Route(definition=_catch_all(assembly.service), next_node=key(node))


def _destination(assembly: Assembly, destination: Body) -> Node:
    service = destination.get("Service") or assembly.service
    subset = destination.get("ServiceSubset", "")
    if not subset:
        return split_or_resolve(assembly, service)
    place = Place(service=service, subset=subset, datacenter=assembly.datacenter)
    return resolve(assembly, place)


def _catch_all(service: str) -> dict[str, Any]:
    """The route that Consul appends to every router."""
    destination = {"Service": service, "Namespace": DEFAULT, "Partition": DEFAULT}
    return {"Match": {"HTTP": {"PathPrefix": "/"}}, "Destination": destination}


def _chain(assembly: Assembly, start: Node) -> Chain:
    own = assembly.entry(SERVICE_DEFAULTS, assembly.service)
    every = assembly.entry(PROXY_DEFAULTS, GLOBAL)
    nodes = _reached(assembly, start)
    targets = (name for node in nodes.values() for name in targets_of(node))
    protocol = _protocol(assembly)
    return Chain(
        service=ServiceName(name=assembly.service),
        datacenter=assembly.datacenter,
        protocol=protocol,
        start_node=key(start),
        nodes=nodes,
        targets={name: assembly.targets[name] for name in targets},
        is_default=_is_default(assembly, start),
        customization_hash=assembly.overrides.digest(frozenset(assembly.effective)),
        service_meta=own.get("Meta") or {},
        extensions=tuple((every.get("EnvoyExtensions") or []) + (own.get("EnvoyExtensions") or [])),
    )


def _reached(assembly: Assembly, start: Node) -> dict[str, Node]:
    """The nodes that requests come by: splitters within splitters are not among them."""
    reached: dict[str, Node] = {}
    waiting = [key(start)]
    while waiting:
        name = waiting.pop(0)
        if name not in reached:
            reached[name] = assembly.nodes[name]
            waiting += next_nodes(reached[name])
    return reached


def _protocol(assembly: Assembly) -> str:
    wanted = assembly.overrides.protocol
    if wanted and wanted != assembly.protocol:
        assembly.effective.add("protocol")
    return wanted or assembly.protocol


def _is_default(assembly: Assembly, start: Node) -> bool:
    """Whether there is nothing but the service itself, and nobody said anything of it."""
    if not isinstance(start, Resolver) or not start.is_default:
        return False
    return assembly.targets[start.target].service.name == assembly.service
