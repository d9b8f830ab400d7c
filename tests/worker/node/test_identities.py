"""Which leaves a node needs for the gateways that it serves."""

import pytest

from cluster.certs import Root, TrustBundle
from cluster.ingress import IngressGateway
from cluster.names import ServiceName
from cluster.routes import GatewayKind, Listener, TerminatingGateway, TerminatingRoute
from cluster.snapshot import Snapshot, Trust
from worker.node.identities import wanted_leaves

TRUST = Trust(
    datacenter="dc1",
    bundle=TrustBundle(trust_domain="td", roots=(Root(id="r", pem=b"", active=True),)),
)


def uri(service):
    return f"spiffe://td/ns/default/dc/dc1/svc/{service}"


def listener(gateway, kind, node="n"):
    return Listener(node=node, gateway=gateway, kind=kind, address="", port=1)


def linked(service):
    return TerminatingRoute(
        service=ServiceName(name=service), datacenter="dc1", server_names=(), endpoints=""
    )


@pytest.mark.parametrize(
    ("listeners", "wanted"),
    [
        ([], {}),
        ([listener("mesh", GatewayKind.MESH)], {}),
        ([listener("egress", GatewayKind.TERMINATING)], {uri("db"): (), uri("front"): ()}),
        ([listener("front", GatewayKind.INGRESS)], {uri("front"): ("a.example",)}),
        (
            [listener("front", GatewayKind.INGRESS), listener("egress", GatewayKind.TERMINATING)],
            {uri("db"): (), uri("front"): ("a.example",)},
        ),
        ([listener("front", GatewayKind.INGRESS, node="other")], {}),
        ([listener("front", GatewayKind.TERMINATING)], {}),
    ],
)
def test_wanted_leaves(listeners, wanted):
    snapshot = Snapshot(
        trust=TRUST,
        listeners=tuple(listeners),
        terminating=(TerminatingGateway(name="egress", routes=(linked("db"), linked("front"))),),
        ingress=(IngressGateway(name="front", listeners=(), dns_sans=("a.example",)),),
    )
    assert wanted_leaves(snapshot, "n") == wanted
