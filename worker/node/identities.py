"""Which identities a node's gateways need a leaf of, and the DNS names in each.  ●

Belongs here: reading that out of a snapshot. Never here: getting the leaves (`worker.node.keys`).

A terminating gateway presents the services it is linked to, an ingress gateway itself; a mesh gateway
presents nobody.
"""

from collections.abc import Iterator, Mapping

from cluster.identity import ServiceId
from cluster.names import ServiceName
from cluster.routes import GatewayKind
from cluster.snapshot import Snapshot, linked_services


def wanted_leaves(snapshot: Snapshot, node: str) -> Mapping[str, tuple[str, ...]]:
    """DNS names, often none, by SPIFFE URI."""
    wanted: dict[str, tuple[str, ...]] = {}
    for name, dns_names in _wanted(snapshot, node):
        uri = _uri(snapshot, name)
        wanted[uri] = wanted.get(uri) or dns_names
    return wanted


def _wanted(snapshot: Snapshot, node: str) -> Iterator[tuple[ServiceName, tuple[str, ...]]]:
    for name in linked_services(snapshot, _gateways(snapshot, node, GatewayKind.TERMINATING)):
        yield name, ()
    own = _gateways(snapshot, node, GatewayKind.INGRESS)
    for gateway in snapshot.ingress:
        if gateway.name in own:
            yield ServiceName(name=gateway.name), gateway.dns_sans


def _gateways(snapshot: Snapshot, node: str, kind: GatewayKind) -> frozenset[str]:
    return frozenset(
        listener.gateway
        for listener in snapshot.listeners
        if listener.node == node and listener.kind is kind
    )


def _uri(snapshot: Snapshot, name: ServiceName) -> str:
    return ServiceId(
        trust_domain=snapshot.trust.bundle.trust_domain,
        service=name.name,
        datacenter=snapshot.trust.datacenter,
        namespace=name.namespace,
        partition=name.partition,
    ).uri
