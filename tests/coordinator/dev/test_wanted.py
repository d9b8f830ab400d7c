"""What files ask for, as writes: registrations before entries, and a place for gateways without one."""

import itertools

from coordinator.dev.wanted import requests
from coordinator.entries.load import load_text


def writes(*texts):
    items = [item for text in texts for item in loaded(text)]
    numbers = itertools.count(5000)
    return requests(items, "here", lambda: next(numbers))


def loaded(text):
    found = load_text("x.hcl", text)
    assert not found.problems, found.problems
    return found.items


GATEWAY = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [{ Name = "db" }]'
OUTSIDE = 'Node = "out"\nAddress = "10.0.0.1"\nService { Service = "db" Port = 5432 }'


def test_registrations_come_before_entries_whatever_the_order_of_the_files():
    found = writes(GATEWAY, OUTSIDE)
    assert [one.path for one in found] == [
        "/v1/catalog/register",
        "/v1/catalog/register",
        "/v1/config",
    ]
    assert [one.what for one in found] == [
        "service db",
        "service egress",
        "terminating-gateway/egress",
    ]


def test_a_gateway_that_nobody_registers_gets_a_free_port_of_loopback():
    body = writes(GATEWAY)[0].body
    assert body["Node"] == "here"
    assert body["Service"] == {
        "ID": "egress",
        "Service": "egress",
        "Kind": "terminating-gateway",
        "Address": "127.0.0.1",
        "Port": 5000,
    }


def test_a_gateway_that_a_file_registers_stays_where_the_file_says():
    service = 'service { kind = "terminating-gateway" name = "egress" port = 8443 }'
    registered = [one for one in writes(GATEWAY, service) if one.path == "/v1/catalog/register"]
    assert [one.body["Service"]["Port"] for one in registered] == [8443]
    assert registered[0].body["Node"] == "here"


def test_other_entries_register_nothing():
    entry = (
        'Kind = "service-intentions"\nName = "db"\nSources = [{ Name = "web", Action = "allow" }]'
    )
    assert [one.what for one in writes(entry)] == ["service-intentions/db"]


def test_a_registration_keeps_its_node_and_one_without_a_service_is_called_by_it():
    (write,) = writes('Node = "out"\nAddress = "10.0.0.1"')
    assert write.body["Node"] == "out"
    assert write.what == "node out"


def test_a_service_with_a_sidecar_is_two_registrations():
    text = 'service { name = "api" port = 80 connect { sidecar_service { port = 21000 } } }'
    api, sidecar = writes(text)
    assert "Sidecar" not in api.body
    assert api.body["Service"]["Service"] == "api"
    assert sidecar.body["Service"]["Kind"] == "connect-proxy"
    assert {api.body["Node"], sidecar.body["Node"]} == {"here"}
    assert sidecar.body["Service"]["Port"] == 21000


def test_a_sidecar_without_a_port_gets_one():
    _, sidecar = writes('service { name = "api" port = 80 connect { sidecar_service {} } }')
    assert sidecar.body["Service"]["Port"] > 0


def test_nothing_asked_for_is_nothing_written():
    assert writes() == ()


def test_an_ingress_gateway_of_an_entry_gets_a_place_and_a_port_where_none_is_named():
    listeners = '{ Services = [{ Name = "db" }] }, { Port = 8080, Services = [{ Name = "web" }] }'
    gateway, entry = writes(f'Kind = "ingress-gateway"\nName = "front"\nListeners = [{listeners}]')
    assert gateway.body["Service"]["Kind"] == "ingress-gateway"
    assert gateway.body["Service"]["Address"] == "127.0.0.1"
    ports = [one["Port"] for one in entry.body["Listeners"]]
    assert ports[1] == 8080
    assert ports[0] in (5000, 5001)
    assert ports[0] != gateway.body["Service"]["Port"]


def test_entries_that_others_are_judged_by_come_first():
    found = writes(
        'Kind = "ingress-gateway"\nName = "front"',
        'Kind = "service-router"\nName = "web"',
        'Kind = "service-defaults"\nName = "web"\nProtocol = "http"',
    )
    kinds = [one.body["Kind"] for one in found if one.path == "/v1/config"]
    assert kinds == ["service-defaults", "service-router", "ingress-gateway"]
