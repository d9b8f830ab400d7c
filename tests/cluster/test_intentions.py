"""Intentions: precedence, order, coverage, and which rule decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def _name(text: str) -> ServiceName:
    namespace, _, name = text.rpartition("/")
    return ServiceName(name=name, namespace=namespace or "default")


def _rule(source: str, destination: str, action: str = "allow", **more) -> Intention:
    return Intention(
        source=_name(source), destination=_name(destination), action=Action(action), **more
    )


@pytest.mark.parametrize(
    ("source", "destination", "expected"),
    [
        ("web", "db", 9),
        ("*", "db", 8),
        ("*/*", "db", 7),
        ("web", "*", 6),
        ("*", "*", 5),
        ("*/*", "*", 4),
        ("web", "*/*", 3),
        ("*", "*/*", 2),
        ("*/*", "*/*", 1),
    ],
)
def test_precedence(source, destination, expected):
    assert precedence(_name(source), _name(destination)) == expected
    assert _rule(source, destination).precedence == expected


PAIRS = [
    (ServiceName(name="web"), ServiceName(name="web"), True),
    (ServiceName(name="*"), ServiceName(name="web"), True),
    (ServiceName(name="web"), ServiceName(name="api"), False),
    (ServiceName(name="web"), ServiceName(name="*"), False),
    (ServiceName(name="*"), ServiceName(name="*"), True),
    (ServiceName(name="*"), ServiceName(name="web", namespace="eng"), False),
    (ServiceName(name="*", namespace="*"), ServiceName(name="web", namespace="eng"), True),
    (ServiceName(name="*", namespace="eng"), ServiceName(name="*", namespace="*"), False),
    (ServiceName(name="*", namespace="*"), ServiceName(name="web", peer="east"), False),
    (ServiceName(name="*", peer="east"), ServiceName(name="web"), False),
    (ServiceName(name="*", peer="east"), ServiceName(name="web", peer="east"), True),
    (ServiceName(name="*", partition="p1"), ServiceName(name="web"), False),
    (ServiceName(name="*", partition="p1"), ServiceName(name="web", partition="p1"), True),
]


@pytest.mark.parametrize(("pattern", "service", "expected"), PAIRS)
def test_covers(pattern, service, expected):
    assert covers(pattern, service) is expected


def test_order_is_by_precedence_then_by_name():
    rules = [_rule("*", "*"), _rule("web", "db"), _rule("api", "db"), _rule("*", "db")]
    pairs = [(str(rule.source), str(rule.destination)) for rule in in_order(rules)]
    assert pairs == [("api", "db"), ("web", "db"), ("*", "db"), ("*", "*")]


@given(st.permutations([_rule(s, d) for s in ("a", "b", "*") for d in ("a", "b", "*")]))
def test_order_does_not_depend_on_the_order_given(rules):
    assert in_order(rules) == in_order(sorted(rules, key=repr))


def test_matching_by_destination_and_by_source():
    rules = [_rule("web", "db"), _rule("web", "api"), _rule("*", "*"), _rule("cron", "db")]
    by_destination = matching_destination(rules, _name("db"))
    assert [str(rule.source) for rule in by_destination] == ["cron", "web", "*"]
    by_source = matching_source(rules, _name("web"))
    assert [str(rule.destination) for rule in by_source] == ["api", "db", "*"]
    assert matching_source(rules, _name("*")) == (_rule("*", "*"),)


def _allowed(rules, source, destination, **options) -> bool:
    options = {"default_allow": False, **options}
    return evaluate(rules, _name(source), _name(destination), **options).allowed


def test_the_default_policy_decides_where_no_rule_matches():
    for default in (True, False):
        decision = evaluate([], _name("web"), _name("db"), default_allow=default)
        assert decision.allowed is default
        assert decision.by_default


def test_the_destination_weighs_more_than_the_source():
    rules = [_rule("*", "db", "deny"), _rule("web", "*", "allow")]
    assert not _allowed(rules, "web", "db", default_allow=True)
    assert _allowed(rules, "web", "api")


def test_an_exact_rule_beats_the_wildcard():
    rules = [_rule("*", "db", "deny"), _rule("web", "db", "allow")]
    assert _allowed(rules, "web", "db")
    assert not _allowed(rules, "cron", "db", default_allow=True)
    assert evaluate(rules, _name("web"), _name("db"), default_allow=False).rule == rules[1]


def test_permissions_count_as_deny_without_a_request():
    permissions = ({"Action": "allow", "HTTP": {"PathPrefix": "/"}},)
    rules = [_rule("web", "db", permissions=permissions), _rule("*", "db")]
    assert not _allowed(rules, "web", "db", default_allow=True)
    assert _allowed(rules, "web", "db", permissions_allow=True)
    assert _allowed(rules, "cron", "db")
