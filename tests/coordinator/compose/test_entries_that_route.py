"""Entries whose meaning nothing serves yet are stored, and change no snapshot."""

import pytest

from coordinator.compose import compose
from coordinator.entries.entry import check_entry

COMPOSED = (
    "terminating-gateway",
    "service-intentions",
    "service-defaults",
    "proxy-defaults",
    "jwt-provider",
)
ENTRIES = (
    {"Kind": "service-splitter", "Name": "db", "Splits": [{"Weight": 100, "Service": "other"}]},
    {"Kind": "service-router", "Name": "db", "Routes": [{"Destination": {"Service": "other"}}]},
    {
        "Kind": "ingress-gateway",
        "Name": "front",
        "Listeners": [{"Port": 80, "Services": [{"Name": "db"}]}],
    },
    {"Kind": "mesh", "TLS": {"Incoming": {"TLSMinVersion": "TLSv1_3"}}},
    {
        "Kind": "exported-services",
        "Name": "default",
        "Services": [{"Name": "db", "Consumers": [{"Peer": "east"}]}],
    },
)


def _snapshot(state_of, trust, *entries):
    gateway = {"Kind": "terminating-gateway", "Name": "egress", "Services": [{"Name": "db"}]}
    checked = [check_entry(entry)[0] for entry in (gateway, *entries)]
    state = state_of(
        nodes={"n1": {"Node": "n1", "Address": "10.0.0.1"}},
        services={"n1/db": {"Service": "db", "Port": 5432}},
        entries={f"{entry.kind}/{entry.name}": entry.body for entry in checked},
    )
    composed = compose(state, default_allow=False, trust=trust)
    assert composed.problems == ()
    return composed.snapshot


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["Kind"])
def test_the_snapshot_is_the_same(state_of, trust, entry):
    assert entry["Kind"] not in COMPOSED
    assert _snapshot(state_of, trust, entry) == _snapshot(state_of, trust)
