"""The pairs that a change allows or denies are those that the data path would decide otherwise."""

import time

from hypothesis import given
from hypothesis import strategies as st

from cluster.intentions import Action, Intention, evaluate, in_order
from cluster.names import ServiceName
from cluster.snapshot import Policy
from coordinator.changes.pairs import Pair, pair_changes

NAMES = ("a", "b", "c")


def name(text):
    return ServiceName(name=text)


def rule(source, destination, action="allow", **more):
    return Intention(
        source=name(source), destination=name(destination), action=Action(action), **more
    )


def policy(*rules, default_allow=False):
    return Policy(default_allow=default_allow, intentions=in_order(rules))


RULES = st.dictionaries(
    st.tuples(st.sampled_from((*NAMES, "*")), st.sampled_from((*NAMES, "*"))),
    st.sampled_from(("allow", "deny")),
    max_size=6,
).map(lambda found: [rule(s, d, action) for (s, d), action in found.items()])


@given(RULES, RULES, st.booleans())
def test_it_is_what_asking_for_every_pair_gives(before, after, default_allow):
    old, new = (policy(*rules, default_allow=default_allow) for rules in (before, after))
    found = pair_changes(old, new, [name(one) for one in (*NAMES, "d")])

    def allowed(rules, source, destination):
        return evaluate(rules, name(source), name(destination), default_allow=default_allow).allowed

    changed = {
        (s, d): allowed(after, s, d)
        for s in (*NAMES, "d")
        for d in (*NAMES, "d")
        if allowed(before, s, d) != allowed(after, s, d)
    }
    assert {(p.source, p.destination) for p in found.newly_allowed} == {
        pair for pair, now in changed.items() if now
    }
    assert {(p.source, p.destination) for p in found.newly_denied} == {
        pair for pair, now in changed.items() if not now
    }
    assert found.allowed_total == len(found.newly_allowed)
    assert found.denied_total == len(found.newly_denied)


def test_permissions_without_a_request_are_a_denial():
    l7 = rule("web", "api", permissions=({"Action": "allow"},))
    found = pair_changes(policy(rule("web", "api")), policy(l7), [])
    assert found.newly_denied == (Pair(source="web", destination="api"),)


def test_five_thousand_services_and_a_change_for_all_of_them_are_bounded():
    known = [name(f"s{number}") for number in range(5_000)]
    rules = [rule(f"s{number}", f"s{number + 1}") for number in range(4_999)]
    began = time.process_time()
    found = pair_changes(policy(*rules), policy(*rules, rule("*", "*")), known, listed=100)
    took = time.process_time() - began
    assert found.allowed_total == 25_000_000 - 4_999
    assert len(found.newly_allowed) == 100
    assert took < 5.0
    began = time.process_time()
    one = pair_changes(policy(*rules), policy(*rules, rule("*", "s7")), known)
    assert one.allowed_total == 4_999
    assert time.process_time() - began < 1.0
