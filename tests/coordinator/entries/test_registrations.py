"""Catalog registrations (consul-gateways.md 7.3)."""

import pytest

from coordinator.entries.registrations import check_registration

NODE = {"Node": "ext", "Address": "10.0.0.1"}


def test_normalised():
    registration, problems = check_registration(
        {
            "node": "ext",
            "address": "db.example.com",
            "id": "5e1a4c0e-0000-4000-8000-00000000abcd",
            "Datacenter": "dc1",
            "NodeMeta": {"external-node": "true"},
            "TaggedAddresses": {"lan": "10.0.0.1"},
            "Service": {"Service": "billing", "Port": 5432, "Weights": {"Warning": 0}},
            "Check": {"Name": "up", "Status": "passing", "Definition": {"TCP": "x:1"}},
            "Checks": [{"CheckID": "c2", "Node": "ext", "ServiceID": "billing"}],
        },
        strict=True,
    )
    assert problems == ()
    assert registration == {
        "Node": "ext",
        "Address": "db.example.com",
        "ID": "5e1a4c0e-0000-4000-8000-00000000abcd",
        "Datacenter": "dc1",
        "TaggedAddresses": {"lan": "10.0.0.1"},
        "NodeMeta": {"external-node": "true"},
        "Service": {
            "ID": "billing",
            "Service": "billing",
            "Port": 5432,
            "Weights": {"Passing": 1, "Warning": 0},
        },
        "Checks": [
            {
                "CheckID": "up",
                "Node": "ext",
                "Name": "up",
                "Status": "passing",
                "Definition": {"TCP": "x:1"},
            },
            {"CheckID": "c2", "Node": "ext", "ServiceID": "billing", "Status": "critical"},
        ],
    }


def test_a_node_alone():
    assert check_registration(NODE) == (NODE, ())


def test_skip_node_update_needs_no_address():
    registration, problems = check_registration({"Node": "ext", "SkipNodeUpdate": True})
    assert problems == ()
    assert registration == {"Node": "ext", "SkipNodeUpdate": True}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"Node": ""}, "Node"),
        ({"Address": ""}, "Address"),
        ({"ID": "seven"}, "ID"),
        ({"NodeMeta": {"consul-x": ""}}, "NodeMeta.consul-x"),
        ({"Service": {}}, "Service.Service"),
        ({"Service": {"Service": "g", "Kind": "mesh-gateway"}}, "Service.Port"),
        ({"Service": {"Service": "a", "Address": "0.0.0.0"}}, "Service.Address"),
        ({"Service": {"Service": "a", "Port": "x"}}, "Service.Port"),
        ({"Check": {}}, "Check.CheckID"),
        ({"Checks": [{"Name": "x", "Node": "other"}]}, "Checks[0].Node"),
        ({"Checks": [{"Name": "x", "Status": "ok"}]}, "Checks[0].Status"),
        ({"Partition": "east"}, "Partition"),
        ({"Service": {"Service": "a", "Namespace": "eng"}}, "Service.Namespace"),
    ],
)
def test_refused(change, path):
    registration, problems = check_registration(NODE | change)
    assert registration is None
    assert [problem.path for problem in problems] == [path]


def test_strictness():
    body = NODE | {"Service": {"Service": "a", "Prot": 1}, "Junk": 1, "CreateIndex": 1}
    assert check_registration(body)[1] == ()
    _, problems = check_registration(body, strict=True)
    assert [problem.path for problem in problems] == ["Service.Prot", "Junk"]


def test_what_is_no_registration():
    assert check_registration([1, 2])[0] is None
    assert check_registration({"Node": "\ud800"})[0] is None
