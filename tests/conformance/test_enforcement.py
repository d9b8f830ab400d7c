"""Intentions towards one destination, asked on behalf of the client certificate of a TCP connection, and
for each request of an HTTP one.

The intentions come by the entry that they would be written as, so that composing it is tried too. A caller
of a peer reaches an HTTP service through our own mesh gateway.
"""

import pytest

from cluster.authorize import Peer, Permit, authorize, policy_for
from cluster.http import Request, RequestPolicy, authorize_request, request_caller
from cluster.identity import parse
from cluster.intentions import matching_destination
from cluster.names import ServiceName
from coordinator.compose.policy import intentions_of

MESH_GATEWAY = "spiffe://{}/gateway/mesh/dc/dc1"


def _rules(case, *, with_tokens):
    for spelled in case["intentions"]:
        names = ("Action", "Permissions")
        source = {name: spelled[name] for name in names if name in spelled}
        source |= {"Name": spelled["SourceName"], "Peer": spelled.get("SourcePeer", "")}
        entry = {"Name": spelled["DestinationName"], "Sources": [source]}
        yield from intentions_of(entry | ({"JWT": spelled.get("JWT")} if with_tokens else {}))


def _peers(case):
    return {
        bundle["TrustDomain"]: Peer(bundle["PeerName"], bundle["ExportedPartition"])
        for bundle in case.get("peer_trust_bundles", ())
    }


def _probes(case, protocol):
    probes = [probe for probe in case["probes"] if probe["listener_protocol"] == protocol]
    assert probes
    return probes


@pytest.mark.cases("intention_enforcement")
def test_tcp_probes(case):
    policy = policy_for(
        ServiceName(name=case["destination"]),
        list(_rules(case, with_tokens=True)),
        default_allow=case["default_policy"] == "allow",
    )
    for probe in _probes(case, "tcp"):
        uri = probe["caller"]["spiffe_id"]
        answer = authorize(policy, uri, case["trust_domain"], _peers(case))
        assert isinstance(answer, Permit) is (probe["expect"] == "allow"), probe


@pytest.mark.cases("intention_enforcement")
def test_http_probes(case):
    destination = ServiceName(name=case["destination"])
    policy = RequestPolicy(
        destination,
        matching_destination(_rules(case, with_tokens=True), destination),
        default_allow=case["default_policy"] == "allow",
        issuers={one["Name"]: one["Issuer"] for one in case.get("jwt_providers", ())},
    )
    for probe in _probes(case, "http"):
        asked = probe["request"]
        claims = asked.get("verified_jwt_payloads", {})
        answer = authorize_request(policy, _caller(case, probe["caller"]), _request(asked), claims)
        assert answer.allowed is (probe["expect"] == "allow"), (probe, answer.reason)


def _caller(case, caller):
    domain, peers = case["trust_domain"], _peers(case)
    if caller["peer"] is None:
        return request_caller(parse(caller["spiffe_id"]), None, domain, peers)
    gateway = parse(MESH_GATEWAY.format(domain))
    return request_caller(gateway, f"Hash=0;URI={caller['spiffe_id']}", domain, peers)


def _request(asked):
    path, _, query = asked["path"].partition("?")
    headers = tuple(asked.get("headers", {}).items())
    return Request(method=asked["method"], path=path, query=query, headers=headers)
