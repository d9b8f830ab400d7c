"""Subsets: which instances they select, under which names they are served, and when they change."""

import msgspec
import pytest

from coordinator.compose import compose
from coordinator.compose.compose import Composer
from coordinator.compose.subsets import Subsets

NODES = {
    f"n{number}": {"Node": f"n{number}", "Address": f"10.0.0.{number}", "Meta": {"zone": zone}}
    for number, zone in ((1, "a"), (2, "b"))
}
LINK = {"Kind": "terminating-gateway", "Name": "egress", "Services": [{"Name": "db"}]}


def instance(version, service="db", **more):
    return {
        "ID": service,
        "Service": service,
        "Port": 80,
        "Tags": [f"t{version}"],
        "Meta": {"version": version},
        **more,
    }


def resolver(**subsets):
    return {"Kind": "service-resolver", "Name": "db", "Subsets": subsets}


@pytest.fixture
def made(state_of, trust):
    def make(entry, checks=None, services=None, **more):
        state = state_of(
            nodes=NODES,
            services=services or {"n1/db": instance("1"), "n2/db": instance("2")},
            checks=checks or {},
            entries={
                "terminating-gateway/egress": LINK,
                "service-resolver/db": entry,
                **more,
            },
        )
        return compose(state, default_allow=False, trust=trust).snapshot

    return make


def addresses(snapshot, name):
    (found,) = [one.endpoints for one in snapshot.endpoints if one.name == name]
    return [(one.address, one.healthy) for one in found]


@pytest.mark.parametrize(
    ("expression", "chosen"),
    [
        ("Service.Meta.version == 1", ["10.0.0.1"]),
        ("Node.Meta.zone == b", ["10.0.0.2"]),
        ('"t2" in Service.Tags', ["10.0.0.2"]),
        ("Checks.Status == warning", ["10.0.0.2"]),
        ("Service.Meta.absent == 1", []),
        ("", ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_a_filter_sees_instance_node_and_checks(made, expression, chosen):
    checks = {"n2/c": {"CheckID": "c", "Status": "warning", "ServiceID": "db"}}
    snapshot = made(resolver(v={"Filter": expression}), checks)
    assert [host for host, _ in addresses(snapshot, "service-subset:v:db")] == chosen
    assert len(addresses(snapshot, "service:db")) == 2


def test_only_passing_ones_are_healthy(made):
    checks = {"n2/c": {"CheckID": "c", "Status": "warning", "ServiceID": "db"}}
    snapshot = made(resolver(v={"OnlyPassing": True}), checks)
    assert addresses(snapshot, "service-subset:v:db") == [("10.0.0.1", True), ("10.0.0.2", False)]
    assert addresses(snapshot, "service:db") == [("10.0.0.1", True), ("10.0.0.2", True)]


def test_each_subset_has_a_name_at_the_terminating_gateway(made):
    snapshot = made(resolver(v1={}, v2={}))
    routes = snapshot.terminating[0].routes
    assert [route.server_names[0].partition(".default")[0] for route in routes] == [
        "db",
        "v1.db",
        "v2.db",
    ]
    assert {route.service.name for route in routes} == {"db"}


def test_the_services_own_name_leads_to_the_default_subset(made):
    entry = resolver(v1={"Filter": "Service.Meta.version == 1"}) | {"DefaultSubset": "v1"}
    route, _ = made(entry).terminating[0].routes
    assert route.endpoints == "service-subset:v1:db"


def test_a_service_called_like_a_subset_keeps_its_name(made):
    services = {"n1/db": instance("1"), "n2/v1.db": instance("2", "v1.db")}
    wildcard = LINK | {"Services": [{"Name": "*"}]}
    snapshot = made(resolver(v1={}), None, services, **{"terminating-gateway/egress": wildcard})
    served = {route.server_names[0]: route.service.name for route in snapshot.terminating[0].routes}
    (other,) = [service for name, service in served.items() if name.startswith("v1.db.")]
    assert other == "v1.db"


def test_in_the_mesh_a_terminating_gateway_is_in_every_subset(made):
    proxy = instance("1", "db-proxy", Kind="connect-proxy", Proxy={"DestinationServiceName": "db"})
    services = {
        "n1/db-proxy": proxy,
        "n1/db": instance("1"),
        "n2/egress": {
            "ID": "egress",
            "Service": "egress",
            "Kind": "terminating-gateway",
            "Port": 9,
        },
    }
    snapshot = made(resolver(v2={"Filter": "Service.Meta.version == 2"}), None, services)
    assert addresses(snapshot, "connect-subset:v2:db") == [("10.0.0.2", True)]
    names = [route.server_name.partition(".default")[0] for route in snapshot.mesh]
    assert names == ["db", "v2.db"]


def test_a_subset_that_is_not_there_selects_nothing(state_of):
    assert Subsets(state_of(), "dc1").select("db", "v9", ()) == ()


def test_what_a_filter_sees_changes_the_snapshot(state_of, trust):
    """Also what nobody else looks at, such as a node's Meta."""
    entries = {
        "terminating-gateway/egress": LINK,
        "service-resolver/db": resolver(v={"Filter": "Node.Meta.zone == b"}),
    }
    tables = {"services": {"n1/db": instance("1")}, "entries": entries}
    composer = Composer(default_allow=False, clock=lambda: 0.0)
    before = state_of(nodes=NODES, **tables)
    assert addresses(composer(before, trust).snapshot, "service-subset:v:db") == []
    node = before.get("nodes", "n1")
    moved = msgspec.structs.replace(node, value=node.value | {"Meta": {"zone": "b"}})
    after = type(before)(
        3,
        {**{t: before.table(t) for t in ("services", "entries")}, "nodes": {"n1": moved}},
        {"services": 2, "entries": 2, "nodes": 3},
    )
    found = composer(after, trust).snapshot
    assert addresses(found, "service-subset:v:db") == [("10.0.0.1", True)]


def test_an_ingress_gateway_leads_to_subsets(made):
    proxies = {
        f"n{number}/db-proxy": instance(
            str(number),
            "db-proxy",
            Kind="connect-proxy",
            Proxy={"DestinationServiceName": "db"},
        )
        for number in (1, 2)
    }
    front = {"ID": "front", "Service": "front", "Kind": "ingress-gateway", "Port": 1}
    listener = {"Port": 80, "Protocol": "tcp", "Services": [{"Name": "db"}]}
    entry = resolver(v2={"Filter": "Service.Meta.version == 2"}) | {"DefaultSubset": "v2"}
    snapshot = made(
        entry,
        None,
        {**proxies, "n1/front": front},
        **{"ingress-gateway/front": {"Name": "front", "Listeners": [listener]}},
    )
    (target,) = snapshot.ingress[0].listeners[0].services[0].targets
    assert target.server_name.startswith("v2.db.")
    assert addresses(snapshot, target.endpoints) == [("10.0.0.2", True)]
