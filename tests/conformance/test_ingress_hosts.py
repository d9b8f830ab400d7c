"""Hosts of ingress gateways: patterns, which one matches, addresses, and the names in a certificate."""

import pytest

from cluster.ingress import Hosts, host_patterns, leaf_dns_sans, service_addresses


def _patterns(listener):
    return {
        service["Name"]: host_patterns(service["Name"], service.get("Hosts", ()), listener["Port"])
        for service in listener["Services"]
    }


@pytest.mark.cases("ingress_hosts", op="virtual_host_domains")
def test_patterns(case):
    found = {
        str(listener["Port"]): {name: set(hosts) for name, hosts in _patterns(listener).items()}
        for listener in case["input"]["listeners"]
    }
    expected = {
        port: {name: set(hosts) for name, hosts in services.items()}
        for port, services in case["expect"].items()
    }
    assert found == expected


@pytest.mark.cases("ingress_hosts", op="host_match")
def test_match(case):
    given = case["input"]
    (listener,) = (one for one in given["listeners"] if one["Port"] == given["port"])
    assert Hosts(_patterns(listener)).service(given["host_header"]) == case["expect"]


@pytest.mark.cases("ingress_hosts", op="gateway_service_addresses")
def test_addresses(case):
    given = case["input"]["gateway_service"]
    hosts, defaults = given.get("Hosts", ()), case["input"]["default_hosts"]
    assert service_addresses(given.get("Port", 0), hosts, defaults) == (case["expect"] or [])


@pytest.mark.cases("ingress_hosts", op="ingress_leaf_dns_sans")
def test_leaf_dns_sans(case):
    given = case["input"]
    domains = (given["domain"], given["alt_domain"])
    place = {"datacenter": given["datacenter"], "namespaces": given["namespaces"]}
    found = leaf_dns_sans(hosts=given["hosts"], domains=domains, **place)
    assert set(found if given["tls_enabled"] else ()) == set(case["expect"])
