"""The names of services behind an ingress gateway, and of the gateway's certificate."""

from cluster.ingress import leaf_dns_sans, service_addresses, service_domains


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
