"""Every SNI string that Consul renders, and the names of federated servers."""

import pytest

from cluster.names import (
    gateway_sni,
    peered_sni,
    peering_server_sni,
    query_sni,
    service_sni,
    split_wan_node_name,
    wan_server_sni,
)


def _upstream(parts):
    """What a caller sends for an upstream: its own datacenter unless the upstream names one."""
    datacenter = parts["upstream_datacenter"] or parts["local_datacenter"]
    place = {"datacenter": datacenter, "trust_domain": parts["trust_domain"]}
    if parts["destination_type"] == "prepared_query":
        return query_sni(parts["destination_name"], **place)
    return service_sni(
        parts["destination_name"],
        subset=parts["subset"],
        namespace=parts["destination_namespace"],
        **place,
    )


RENDERED = {
    "upstream": _upstream,
    "service": lambda parts: service_sni(**parts),
    "gateway": lambda parts: gateway_sni(**parts),
    "peered": lambda parts: peered_sni(**parts),
    "query": lambda parts: query_sni(**parts),
    "peering_server": lambda parts: peering_server_sni(**parts),
    "wan_server": lambda parts: wan_server_sni(**parts),
}


@pytest.mark.cases("sni")
def test_sni(case):
    assert RENDERED[case["function"]](case["input"]) == case["expect"]


@pytest.mark.cases("misc", op="split_wan_node_name")
def test_split_wan_node_name(case):
    try:
        node, datacenter = split_wan_node_name(case["input"])
    except ValueError:
        assert case["expect"] == {"error": True}
    else:
        assert case["expect"] == {"node": node, "datacenter": datacenter}
