from datetime import timedelta

import pytest

from cluster.certs import Root, TrustBundle
from cluster.errors import SnapshotRejected
from cluster.names import ServiceName
from cluster.routes import GatewayKind, Listener
from cluster.snapshot import SnapshotId
from tests.fakes.pki import TRUST_DOMAIN, Pki
from tests.fakes.rig import Linked, allow, at, deny, files, snapshot, sni
from worker.telemetry.metrics import Metrics
from worker.view.compile import Workshop, compile_view
from worker.view.contexts import ServerContexts

ID = SnapshotId(epoch="e", generation=3, digest="d")
BILLING = ServiceName(name="billing")


@pytest.fixture(scope="module")
def pki():
    return Pki()


@pytest.fixture
def shop():
    return Workshop(node="n1", metrics=Metrics(), contexts=ServerContexts())


def listener(port=8443, kind=GatewayKind.TERMINATING, node="n1", gateway="egress"):
    return Listener(node=node, gateway=gateway, kind=kind, address="", port=port)


def compiled(shop, shot, *leaves):
    return compile_view(shop, ID, shot, {leaf.uri: leaf for leaf in leaves})


def test_only_this_nodes_listeners_are_served(shop, pki):
    shot = snapshot(pki.bundle, [listener(8443), listener(8444, node="n2")])
    view = compiled(shop, shot)
    assert list(view.gateways) == [("", 8443)]
    assert (view.generation, view.trust_domain) == (3, TRUST_DOMAIN)


def test_a_linked_service_with_its_leaf_is_served(shop, pki):
    linked = Linked("billing", at(5432), tls=files(server_name="db"), timeout=1.5)
    view = compiled(shop, snapshot(pki.bundle, [listener()], linked), pki.service("billing"))
    target = view.gateways["", 8443].table.find(sni("billing"))
    assert target.service == BILLING
    assert target.endpoints == linked.endpoints
    assert target.connect_timeout_seconds == 1.5
    assert target.origination.tls.server_name == "db"
    assert view.missing_leaves == frozenset()


def test_without_its_leaf_it_is_not_but_its_policy_is_there(shop, pki):
    shot = snapshot(
        pki.bundle, [listener()], Linked("billing", at(1)), rules=[allow("web", "billing")]
    )
    view = compiled(shop, shot)
    assert view.gateways["", 8443].table.find(sni("billing")) is None
    assert view.missing_leaves == {BILLING}
    assert view.policy_of(BILLING).decide(ServiceName(name="web")).allowed


@pytest.mark.parametrize("defect", [{"chain_pem": b"junk"}, {"key_pem": b"junk"}, "foreign key"])
def test_a_leaf_of_no_use_costs_its_service_and_nothing_else(shop, pki, defect):
    good, bad = pki.service("billing"), pki.service("orders")
    broken = {"key_pem": good.key_pem} if defect == "foreign key" else defect
    bad = type(bad)(**{name: getattr(bad, name) for name in bad.__struct_fields__} | broken)
    shot = snapshot(pki.bundle, [listener()], Linked("billing", at(1)), Linked("orders", at(2)))
    view = compiled(shop, shot, good, bad)
    table = view.gateways["", 8443].table
    assert table.find(sni("billing")) is not None
    assert table.find(sni("orders")) is None
    assert view.missing_leaves == {ServiceName(name="orders")}
    assert [problem.path for problem in view.problems] == [bad.uri]


def test_roots_that_cannot_be_read_are_the_snapshots_fault(shop, pki):
    bundle = TrustBundle(
        trust_domain=TRUST_DOMAIN, roots=(Root(id="r", pem=b"not a PEM", active=True),)
    )
    with pytest.raises(SnapshotRejected, match="trust"):
        compiled(shop, snapshot(bundle, [listener()], Linked("billing", at(1))))


def test_a_gateway_that_links_nothing_serves_nothing(shop, pki):
    shot = snapshot(pki.bundle, [listener(gateway="unheard-of")])
    assert len(compiled(shop, shot).gateways["", 8443].table) == 0


def test_a_mesh_gateway_carries_every_mesh_route(shop, pki):
    shot = snapshot(
        pki.bundle, [listener(kind=GatewayKind.MESH, gateway="mgw")], mesh=[Linked("api", at(7))]
    )
    target = compiled(shop, shot).gateways["", 8443].table.find(sni("api"))
    assert (target.service, target.endpoints) == (ServiceName(name="api"), (at(7),))


def test_what_did_not_change_is_taken_over(shop, pki):
    leaf, tls = pki.service("billing"), files(server_name="db")
    views = [
        compiled(shop, snapshot(pki.bundle, [listener()], Linked("billing", *ends, tls=tls)), leaf)
        for ends in ((at(1),), (at(2),))
    ]
    first, second = (view.gateways["", 8443].table.find(sni("billing")) for view in views)
    assert first.endpoints != second.endpoints
    assert first.tls is second.tls
    assert first.origination is second.origination
    assert first.meters is second.meters


def test_another_leaf_or_other_roots_make_another_context(shop, pki):
    shot = snapshot(pki.bundle, [listener()], Linked("billing", at(1)))

    def context(shot, leaf):
        view = compiled(shop, shot, leaf)
        return view.gateways["", 8443].table.find(sni("billing")).tls.context

    old = pki.service("billing")
    first = context(shot, old)
    assert context(shot, old) is first
    assert context(shot, pki.service("billing", life=timedelta(hours=1))) is not first
    other = Pki("another root")
    bundle = TrustBundle(trust_domain=TRUST_DOMAIN, roots=(*pki.bundle.roots, *other.bundle.roots))
    assert context(snapshot(bundle, [listener()], Linked("billing", at(1))), old) is not first


def test_policies_follow_precedence_and_the_default(shop, pki):
    shot = snapshot(
        pki.bundle,
        [listener()],
        Linked("billing", at(1)),
        rules=[deny("web", "billing"), allow("*", "billing"), allow("web", "*")],
    )
    policy = compiled(shop, shot, pki.service("billing")).policies[BILLING]
    assert not policy.decide(ServiceName(name="web")).allowed
    assert policy.decide(ServiceName(name="other")).allowed


def test_labels_of_sources_are_names_that_policy_or_catalog_know(shop, pki):
    shot = snapshot(
        pki.bundle,
        [listener()],
        Linked("billing", at(1)),
        rules=[allow("web", "billing")],
        mesh=[Linked("api", at(2))],
    )
    view = compiled(shop, shot)
    labels = [view.source_label(ServiceName(name=name)) for name in ("web", "api", "evil")]
    assert labels == ["web", "api", "other"]
    assert view.source_label(None) == "other"
