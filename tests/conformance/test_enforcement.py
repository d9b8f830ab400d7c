"""Intentions towards one destination, asked on behalf of the client certificate of a TCP connection."""

import pytest

from cluster.authorize import Peer, Permit, authorize, policy_for
from cluster.intentions import Action, Intention
from cluster.names import ServiceName


def _rules(case):
    for spelled in case["intentions"]:
        yield Intention(
            source=ServiceName(name=spelled["SourceName"], peer=spelled.get("SourcePeer", "")),
            destination=ServiceName(name=spelled["DestinationName"]),
            action=Action(spelled.get("Action", "deny")),
            permissions=tuple(spelled.get("Permissions", ())),
        )


def _peers(case):
    return {
        bundle["TrustDomain"]: Peer(bundle["PeerName"], bundle["ExportedPartition"])
        for bundle in case.get("peer_trust_bundles", ())
    }


@pytest.mark.cases("intention_enforcement")
def test_tcp_probes(case):
    policy = policy_for(
        ServiceName(name=case["destination"]),
        list(_rules(case)),
        default_allow=case["default_policy"] == "allow",
    )
    probes = [probe for probe in case["probes"] if probe["listener_protocol"] == "tcp"]
    assert probes
    for probe in probes:
        uri = probe["caller"]["spiffe_id"]
        answer = authorize(policy, uri, case["trust_domain"], _peers(case))
        assert isinstance(answer, Permit) is (probe["expect"] == "allow"), probe
