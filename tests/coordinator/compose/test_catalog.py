"""Records as instances: defaults, health, and who is reached how."""

import pytest

from cluster.catalog import Health, Instance, Kind
from cluster.names import ServiceName
from coordinator.compose.catalog import Catalog, instances

NODES = {"n1": {"Node": "n1", "Address": "10.0.0.1"}}


def test_an_instance_with_nothing_but_a_name(state_of):
    (found,) = instances(state_of(nodes=NODES, services={"n1/db": {"Service": "db"}}))
    assert (found.node, found.id, found.service.name, found.host) == ("n1", "db", "db", "10.0.0.1")
    assert (found.port, found.weight_passing, found.weight_warning) == (0, 1, 1)
    assert (found.kind, found.native, found.health) == (Kind.TYPICAL, False, Health.PASSING)


def test_an_instance_with_everything(state_of):
    value = {
        "ID": "a/b",
        "Service": "db-proxy",
        "Kind": "connect-proxy",
        "Address": "db.example",
        "Port": 5432,
        "Meta": {"k": "v"},
        "Weights": {"Passing": 0, "Warning": 7},
        "Proxy": {"DestinationServiceName": "db"},
    }
    (found,) = instances(state_of(nodes=NODES, services={"n1/a/b": value}))
    assert (found.id, found.host, found.port, found.meta) == ("a/b", "db.example", 5432, {"k": "v"})
    assert (found.weight_passing, found.weight_warning) == (0, 7)
    assert (found.kind, found.proxied_service) == (Kind.CONNECT_PROXY, "db")


@pytest.mark.parametrize(
    ("node_check", "own_check", "others_check", "health"),
    [
        (None, None, "critical", Health.PASSING),
        ("passing", "passing", None, Health.PASSING),
        ("warning", "passing", None, Health.WARNING),
        ("critical", "passing", None, Health.CRITICAL),
        ("passing", "critical", None, Health.CRITICAL),
        (None, "unheard-of", None, Health.CRITICAL),
    ],
)
def test_health_is_the_nodes_and_its_own(state_of, node_check, own_check, others_check, health):
    checks = {
        "n1/node": {"Status": node_check, "ServiceID": ""},
        "n1/own": {"Status": own_check, "ServiceID": "db"},
        "n1/other": {"Status": others_check, "ServiceID": "cache"},
        "n2/db": {"Status": "critical", "ServiceID": "db"},
    }
    checks = {key: check for key, check in checks.items() if check["Status"]}
    services = {"n1/db": {"Service": "db"}, "n1/cache": {"Service": "cache"}}
    state = state_of(nodes=NODES, services=services, checks=checks)
    (found,) = (one for one in instances(state) if one.service.name == "db")
    assert found.health is health


def test_the_connect_view(state_of):
    services = {
        "n1/plain": {"Service": "db"},
        "n1/native": {"Service": "db", "Connect": {"Native": True}},
        "n1/proxy": {
            "Service": "p",
            "Kind": "connect-proxy",
            "Proxy": {"DestinationServiceName": "db"},
        },
        "n1/lost": {"Service": "p", "Kind": "connect-proxy"},
        "n1/gate": {"Service": "gate", "Kind": "terminating-gateway"},
        "n1/mesh": {"Service": "db", "Kind": "mesh-gateway"},
    }
    catalog = Catalog(instances(state_of(nodes=NODES, services=services)))
    assert [one.id for one in catalog.plain("db")] == ["plain"]
    assert [one.id for one in catalog.connect("db")] == ["native", "proxy"]
    assert [one.id for one in catalog.connect("db", ("gate",))] == ["native", "proxy", "gate"]
    assert catalog.connect("unknown", ("unknown",)) == ()
    assert catalog.linkable == ("db",)
    assert catalog.in_mesh({}) == ("db",)
    assert catalog.in_mesh({"mail": ("gate",), "sms": ("unregistered",)}) == ("db", "mail")


_PROXY = {"kind": Kind.CONNECT_PROXY, "service": ServiceName(name="web-proxy")}
_GATEWAY = {"kind": Kind.TERMINATING_GATEWAY, "service": ServiceName(name="egress")}


@pytest.mark.parametrize(
    ("fields", "linked", "expected"),
    [
        ({}, (), False),
        ({"native": True}, (), True),
        ({"native": True, "service": ServiceName(name="api")}, (), False),
        ({**_PROXY, "proxied_service": "web"}, (), True),
        ({**_PROXY, "proxied_service": "api"}, (), False),
        (_GATEWAY, ("egress",), True),
        (_GATEWAY, ("other",), False),
        ({"kind": Kind.MESH_GATEWAY}, ("web",), False),
        ({"kind": Kind.INGRESS_GATEWAY, "native": True}, (), False),
    ],
)
def test_who_is_reached_as_web(fields, linked, expected):
    instance = Instance(
        **{
            "node": "n1",
            "id": "web-1",
            "service": ServiceName(name="web"),
            "node_address": "10.0.0.1",
            "port": 80,
            **fields,
        }
    )
    seen = Catalog([instance]).connect("web", linked)
    assert bool(seen) is expected
    assert seen in ((), (instance,))
