"""A compiled chain as values: nodes that lead to nodes, and at the end the targets.

Belongs here: what is known when all entries are taken together. Never here: how it is found out.

A node is named by its key: `router:web.default.default`, `splitter:…`, `resolver:<target id>`. What a route
matches and changes, a split's headers and a load balancer stay as their entries spell them; who routes by
them compiles them once.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from cluster.names import ServiceName

DEFAULT_CONNECT_TIMEOUT_SECONDS = 5.0


class Subset(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which instances of a service: those that a filter selects, and perhaps only passing ones."""

    filter: str = ""
    only_passing: bool = False


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A set of instances that may be dialled.

    `name` is the SNI that the service has by itself, `sni` the one to send. Of a service of a peer neither
    is known here, nor its datacenter.
    """

    id: str
    service: ServiceName
    subset: str = ""
    datacenter: str = ""
    instances: Subset = Subset()
    sni: str = ""
    name: str = ""
    external: bool = False
    mesh_gateway: str = ""
    dialed_directly: bool = False
    connect_timeout_seconds: float = DEFAULT_CONNECT_TIMEOUT_SECONDS


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One route of a router: what it matches and changes, and the node it leads to."""

    definition: dict[str, Any]
    next_node: str


class Router(msgspec.Struct, frozen=True, kw_only=True, tag="router"):
    """The first route that matches is taken; the last one always matches."""

    name: str
    routes: tuple[Route, ...]


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A share of the requests, in per cent; `next_node` is a resolver."""

    definition: dict[str, Any]
    weight: float
    next_node: str


class Splitter(msgspec.Struct, frozen=True, kw_only=True, tag="splitter", omit_defaults=True):
    """Requests by weight. Rounding leaves the sum of weights within a hair of 100."""

    name: str
    splits: tuple[Split, ...]
    load_balancer: dict[str, Any] = {}


class Resolver(msgspec.Struct, frozen=True, kw_only=True, tag="resolver", omit_defaults=True):
    """A target, and those that stand in for it, in order, when it has no healthy instance.

    `request_timeout_seconds` 0 is the proxy's own default; it holds only where the chain starts here.
    """

    name: str
    target: str
    connect_timeout_seconds: float
    is_default: bool = False
    request_timeout_seconds: float = 0.0
    failover: tuple[str, ...] = ()
    failover_policy: dict[str, Any] = {}
    load_balancer: dict[str, Any] = {}


Node: TypeAlias = Router | Splitter | Resolver


class Chain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes of requests for one service. `start_node` and every `next_node` are keys of `nodes`."""

    service: ServiceName
    datacenter: str
    protocol: str
    start_node: str
    nodes: dict[str, Node]
    targets: dict[str, Target]
    is_default: bool = False
    customization_hash: str = ""
    service_meta: dict[str, str] = {}
    extensions: tuple[dict[str, Any], ...] = ()

    @property
    def start(self) -> Node:
        """Where a request enters."""
        return self.nodes[self.start_node]


def key(node: Node) -> str:
    """What other nodes call this one."""
    return f"{type(node).__name__.lower()}:{node.name}"


def next_nodes(node: Node) -> Iterator[str]:
    """The keys of the nodes that this one leads to."""
    match node:
        case Router():
            yield from (route.next_node for route in node.routes)
        case Splitter():
            yield from (split.next_node for split in node.splits)


def targets_of(node: Node) -> tuple[str, ...]:
    """The targets that a resolver names, the first choice first; other nodes name none."""
    return (node.target, *node.failover) if isinstance(node, Resolver) else ()
