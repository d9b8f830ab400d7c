"""A rule that is boxed in time: from its end on it is as if it had never been there."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.authorize import policy_for
from cluster.intentions import Action, Intention, evaluate, in_force, next_expiry
from cluster.names import ServiceName
from cluster.policies import RulesByDestination
from cluster.snapshot import Policy

NAMES = ("web", "api", "*")
DB = ServiceName(name="db")

RULES = st.lists(
    st.builds(
        Intention,
        source=st.builds(ServiceName, name=st.sampled_from(NAMES)),
        destination=st.builds(ServiceName, name=st.sampled_from(("db", "*"))),
        action=st.sampled_from(Action),
        expires_at=st.sampled_from((0.0, 10.0, 20.0)),
    ),
    max_size=6,
    unique_by=lambda rule: (rule.source, rule.destination),
)


@given(RULES, st.sampled_from((5.0, 10.0, 15.0, 20.0)), st.sampled_from(("web", "api", "x")))
def test_a_compiled_policy_at_a_time_is_what_the_rules_in_force_say(rules, now, source):
    caller = ServiceName(name=source)
    left = in_force(rules, now)
    assert all(not rule.expires_at or rule.expires_at > now for rule in left)
    wanted = evaluate(left, caller, DB, default_allow=False)
    one = policy_for(DB, rules, default_allow=False).at(now)
    every = RulesByDestination(Policy(intentions=tuple(rules))).at(now)
    assert one.decide(caller) == wanted
    assert every.policy(DB).decide(caller) == wanted
    assert every.next_expiry == next_expiry(left) > now
    assert one.next_expiry > now


def test_without_an_end_nothing_is_made_anew():
    rules = (Intention(source=ServiceName(name="web"), destination=DB),)
    policy, every = policy_for(DB, rules, default_allow=False), RulesByDestination(Policy())
    assert policy.at(1e12) is policy
    assert every.at(1e12) is every
