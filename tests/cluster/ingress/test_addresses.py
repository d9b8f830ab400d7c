"""The names of services behind an ingress gateway, and of the gateway's certificate."""

import pytest

from cluster.ingress import gateway_dns_sans, leaf_dns_sans, service_addresses, service_domains


def test_domains():
    assert service_domains("web", "dc1") == ["web.ingress.dc1.consul"]
    assert service_domains("web", "dc1", ("consul", "", "alt")) == [
        "web.ingress.dc1.consul",
        "web.ingress.dc1.alt",
    ]


def test_addresses():
    assert service_addresses(0, ["a.test"], []) == []
    assert service_addresses(80, [], ["b.test."]) == ["b.test:80"]
    assert service_addresses(80, ["a.test"], ["b.test."]) == ["a.test:80"]


def test_sans_are_wildcards_and_then_hosts_without_port_each_once():
    assert leaf_dns_sans(datacenter="dc1", hosts=["a.test:80", "a.test", "b.test", ":80"]) == (
        "*.ingress.consul",
        "*.ingress.dc1.consul",
        "a.test",
        "b.test",
    )


def test_sans_of_several_namespaces_and_domains():
    found = leaf_dns_sans(
        datacenter="dc1", hosts=(), domains=("consul.", ""), namespaces=("default", "shop")
    )
    assert found == (
        "*.ingress.consul",
        "*.ingress.dc1.consul",
        "*.ingress.shop.consul",
        "*.ingress.shop.dc1.consul",
    )


LISTENERS = [
    {"Port": 80, "Services": [{"Name": "web", "Hosts": ["a.test", "b.test:80"]}, {"Name": "api"}]},
    {"Port": 81, "Services": [{"Name": "db", "Hosts": ["a.test"]}]},
]
SANS = ("*.ingress.consul", "*.ingress.dc1.consul", "a.test", "b.test")


@pytest.mark.parametrize(
    ("gateway", "second", "sans"),
    [
        ({}, {}, ()),
        ({"TLS": {"Enabled": False}}, {"TLS": {}}, ()),
        ({"TLS": {"SDS": {"ClusterName": "c"}}}, {}, ()),
        ({"TLS": {"Enabled": True}}, {}, SANS),
        ({}, {"TLS": {"Enabled": True}}, SANS),
    ],
)
def test_sans_of_a_gateway_are_asked_for_with_tls_on_any_listener(gateway, second, sans):
    entry = gateway | {"Listeners": [LISTENERS[0], LISTENERS[1] | second]}
    assert gateway_dns_sans(entry, "dc1") == sans


def test_a_gateway_without_listeners_has_no_hosts():
    assert gateway_dns_sans({"TLS": {"Enabled": True}}, "dc1") == SANS[:2]
