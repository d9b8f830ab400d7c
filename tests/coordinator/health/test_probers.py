"""Which checks are a workload's, and which one host asks about each."""

from collections import Counter

import pytest

from coordinator.health.probers import on_loopback, workloads
from coordinator.store.records import Record
from coordinator.store.state import State

FAR = "10.1.1.1:80"


def state_of(services, nodes):
    tables = {
        "services": services,
        "nodes": {name: {"Node": name, "Address": address} for name, address in nodes.items()},
    }
    records = {
        table: {
            key: Record(table=table, key=key, value=value, create_index=1, modify_index=2)
            for key, value in rows.items()
        }
        for table, rows in tables.items()
    }
    return State(2, records, dict.fromkeys(records, 2))


def check(key="app/c", service="web", **fields):
    value = {"CheckID": "c", "Status": "critical", "ServiceID": service} | fields
    return Record(table="checks", key=key, value=value, create_index=1, modify_index=2)


def proxy(**named):
    destination = {f"Destination{name}": value for name, value in named.items()}
    return {"ID": "p", "Service": "p", "Kind": "connect-proxy", "Port": 1, "Proxy": destination}


def site(services=None, nodes=None, connected=("gw1", "gw2", "gw3")):
    every = {"gw1": "10.0.0.1", "gw2": "10.0.0.2", "gw3": "10.0.0.3", "app": "10.0.1.1"}
    return workloads(state_of(services or {}, every | (nodes or {})), connected)


WEB = {"ID": "web", "Service": "web", "Port": 80}
TWIN = {"ID": "web-2", "Service": "web", "Port": 81}


@pytest.mark.parametrize(
    ("services", "included"),
    [
        ({"app/web": WEB}, False),
        ({"app/web": WEB | {"Connect": {"Native": True}}}, True),
        ({"app/web": WEB | {"Kind": "connect-proxy", "Proxy": {}}}, True),
        ({"app/web": WEB, "app/p": proxy(ServiceName="web")}, True),
        ({"app/web": WEB, "app/p": proxy(ServiceName="web", ServiceID="web")}, True),
        ({"app/web": WEB, "app/p": proxy(ServiceName="web", ServiceID="web-2")}, False),
        ({"app/web": WEB, "other/p": proxy(ServiceName="web")}, False),
        ({"app/web": WEB, "app/p": proxy(ServiceName="shop")}, False),
    ],
)
def test_a_check_is_a_workloads_if_its_instance_is_in_the_mesh(services, included):
    assert site(services).includes(check()) is included


@pytest.mark.parametrize("kind", ["http", "tcp", "grpc"])
@pytest.mark.parametrize("service", ["web", ""])
def test_or_if_an_agent_was_given_it(kind, service):
    assert site().includes(check(service=service, Type=kind))


@pytest.mark.parametrize("kind", ["ttl", "alias", ""])
def test_others_are_not(kind):
    assert not site().includes(check(service="", Type=kind))


def test_the_host_of_its_own_node_is_asked_first():
    found = site(connected=("app", "gw1"))
    assert found.host_for(check(), FAR) == "app"
    assert found.host_for(check(), "localhost:80") == "app"


def test_then_a_host_that_dials_sidecars_and_then_any():
    door = {"ID": "door", "Service": "door", "Kind": "ingress-gateway"}
    exits = {"ID": "exit", "Service": "exit", "Kind": "terminating-gateway", "Port": 1}
    services = {"gw2/door": door, "gw3/exit": exits}
    keys = [f"app/{at}" for at in range(50)]
    assert {site(services).host_for(check(key), FAR) for key in keys} == {"gw2"}
    without = site(services, connected=("gw1", "gw3"))
    assert {without.host_for(check(key), FAR) for key in keys} == {"gw1", "gw3"}


def test_nobody_is_there_to_ask():
    assert site(connected=()).host_for(check(), FAR) is None


def test_hosts_share_the_checks_and_one_that_goes_moves_only_its_own():
    keys = [f"app/{at}" for at in range(600)]
    all_there = {key: site().host_for(check(key), FAR) for key in keys}
    shares = Counter(all_there.values())
    assert set(shares) == {"gw1", "gw2", "gw3"}
    assert min(shares.values()) > 140
    later = {key: site(connected=("gw1", "gw3")).host_for(check(key), FAR) for key in keys}
    assert "gw2" not in later.values()
    assert all(later[key] == host for key, host in all_there.items() if host != "gw2")


def test_loopback_is_the_nodes_own_or_that_of_one_machine():
    assert site().host_for(check(), "127.0.0.1:80") is None
    here = {"app": "127.0.0.1"}
    assert site(nodes=here).host_for(check(), "127.0.0.1:80") is None
    together = site(nodes=here | {"gw2": "127.0.0.1"})
    assert together.host_for(check(), "127.0.0.1:80") == "gw2"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("localhost:80", True),
        ("http://LocalHost:80/health", True),
        ("https://[::1]:443/", True),
        ("127.9.9.9:50051/my.Service", True),
        (":80", True),
        ("[::1]:80", True),
        ("10.1.1.1:80", False),
        ("https://shop.example/localhost", False),
        ("http://[broken", False),
    ],
)
def test_what_means_the_host_that_asks(target, told):
    assert on_loopback(target) is told
