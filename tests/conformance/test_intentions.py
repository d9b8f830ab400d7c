"""Intentions: precedence, order, coverage and decisions. Single pairs are validated elsewhere."""

import pytest

from cluster.intentions import (
    Action,
    Intention,
    covers,
    evaluate,
    in_order,
    matching_destination,
    matching_source,
    precedence,
)
from cluster.names import ServiceName
from coordinator.compose.policy import intentions_of


def _name(name, namespace="", partition="", peer=""):
    return ServiceName(
        name=name, namespace=namespace or "default", partition=partition or "default", peer=peer
    )


@pytest.mark.cases("intentions", op="precedence")
def test_precedence(case):
    given = case["input"]
    source = _name(given["source"], given["source_namespace"])
    destination = _name(given["destination"], given["destination_namespace"])
    assert precedence(source, destination) == case["expect"]


def _short(intention):
    """An intention of the sorting cases."""
    return Intention(
        source=_name(intention["SrcN"], intention["SrcNS"], peer=intention.get("SrcPeer", "")),
        destination=_name(intention["DstN"], intention["DstNS"]),
        sameness_group=intention.get("SrcSamenessGroup", ""),
    )


@pytest.mark.cases("intentions", op="sort_by_precedence")
def test_sort(case):
    expected = tuple(_short(intention) for intention in case["expect"])
    assert in_order(_short(intention) for intention in case["input"]) == expected


@pytest.mark.cases("intentions", op="match_target")
def test_match_target(case):
    given = case["input"]
    spelled = given["intention"]
    rule = Intention(
        source=_name(
            spelled.get("SourceName", "other"),
            spelled.get("SourceNS", ""),
            peer=spelled.get("SourcePeer", ""),
        ),
        destination=_name(spelled.get("DestinationName", "other")),
        action=Action(spelled.get("Action", "deny")),
    )
    target = _name(
        given["target"],
        given["target_namespace"],
        given["target_partition"],
        given["target_peer"],
    )
    side = {"source": rule.source, "destination": rule.destination}.get(given["match_by"])
    matched = side is not None and covers(side, target)
    assert matched is case["expect"]["match"]
    assert (matched and rule.allows) is case["expect"]["allowed"]


@pytest.mark.cases("intentions", op="match_list")
def test_match_list(case):
    given = case["input"]
    rules = [_pair(pair) for pair in given["intentions"]]
    matching = {"source": matching_source, "destination": matching_destination}[given["match_by"]]
    names = [*given["names"]]
    # Two cases ask for one name and expect the lists of two; the second is the one it tells of.
    names += [expected[0][given["match_by"]] for expected in case["expect"][len(names) :]]
    found = [matching(rules, _name(name)) for name in names]
    assert found == [tuple(_pair(pair) for pair in expected) for expected in case["expect"]]


def _pair(pair):
    return Intention(source=_name(pair["source"]), destination=_name(pair["destination"]))


@pytest.mark.cases("intentions", op="decision")
def test_decision(case):
    given, expected = case["input"], case["expect"]
    rules = [
        rule
        for entry in given["entries"]
        if entry["Kind"] == "service-intentions"
        for rule in intentions_of(entry)
    ]
    decision = evaluate(
        rules,
        _name(given["source"]),
        _name(given["destination"]),
        default_allow=given["default_allow"],
        permissions_allow=given["treat_l7_as_allow"],
    )
    assert decision.allowed is expected["Allowed"]
    has_permissions = decision.rule is not None and bool(decision.rule.permissions)
    assert has_permissions is expected["HasPermissions"]
