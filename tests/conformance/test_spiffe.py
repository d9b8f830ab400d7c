"""SPIFFE ids: parsed, rendered, and who may sign whom."""

import pytest

from cluster.identity import (
    AgentId,
    IdentityError,
    MeshGatewayId,
    ServerId,
    ServiceId,
    SigningId,
    can_sign,
    parse,
)

KINDS = {
    "service": ServiceId,
    "agent": AgentId,
    "server": ServerId,
    "mesh-gateway": MeshGatewayId,
    "signing": SigningId,
}
FIELDS = {
    "Host": "trust_domain",
    "Partition": "partition",
    "Namespace": "namespace",
    "Datacenter": "datacenter",
    "Service": "service",
    "Agent": "node",
    "ClusterID": "cluster_id",
    "Domain": "domain",
}


def _identity(parts):
    named = {FIELDS[name]: value for name, value in parts.items() if name != "kind"}
    return KINDS[parts["kind"]](**named)


@pytest.mark.cases("spiffe", op="parse")
def test_parse(case):
    expected = case["expect"]
    if expected.get("error"):
        with pytest.raises(IdentityError) as caught:
            parse(case["input"])
        assert all(word in str(caught.value) for word in expected["error_keywords"])
    else:
        assert parse(case["input"]) == _identity(expected)


@pytest.mark.cases("spiffe", op="render")
def test_render(case):
    assert _identity(case["input"]).uri == case["expect"]


@pytest.mark.cases("spiffe", op="can_sign")
def test_can_sign(case):
    signer = SigningId(
        cluster_id=case["input"]["signer"]["ClusterID"], domain=case["input"]["signer"]["Domain"]
    )
    other = case["input"]["other"]
    assert can_sign(signer, _identity(other) if other else None) is case["expect"]
