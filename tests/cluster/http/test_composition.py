"""Intentions in order against the set of rules without order that Consul makes of them for its proxies.

The oracle is that composition, written down as it is told: sources minus those that come before, permissions
minus those that come before, what acts as the default dropped. Where it is known to let through what was
denied (leaving out the entry's token), it is put right, as Lockgate differs there on purpose.
Source: consul-gateways.md 5.7.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.http import Request, RequestPolicy, authorize_request
from cluster.intentions import Action, Intention, in_order, with_token
from cluster.names import ServiceName

API, WEB, CRON, ANY = (ServiceName(name=name) for name in ("api", "web", "cron", "*"))
TOKEN = {"Providers": [{"Name": "okta"}]}
PATHS = ("/", "/a", "/ab", "/b")


def composed(rules, default_allow, caller, path, has_token):
    """Whether the composed list (of what the default does not do) lets the request through."""
    wanted = Action.DENY if default_allow else Action.ALLOW
    seen = []
    for rule in in_order(rules):
        if rule.source in seen:
            continue
        # "* and not web": only wider sources lose something.
        subtracted = [one for one in seen if rule.source == ANY]
        seen.append(rule.source)
        if rule.source not in (caller, ANY) or caller in subtracted:
            continue
        token_is_there = has_token or not rule.jwt or wanted is Action.DENY
        if token_is_there and _matched(rule, wanted, path, has_token):
            return not default_allow
    return default_allow


def _matched(rule, wanted, path, has_token):
    if not rule.permissions:
        return rule.action is wanted
    before = []
    for permission in rule.permissions:
        prefix = permission.get("HTTP", {}).get("PathPrefix", "")
        met = path.startswith(prefix) and not any(path.startswith(one) for one in before)
        before.append(prefix)
        if met and permission["Action"] == wanted and (has_token or "JWT" not in permission):
            return True
    return False


def _rule(source, action, permissions, asks):
    made = [
        {"Action": does, "HTTP": {"PathPrefix": prefix}} | ({"JWT": TOKEN} if token else {})
        for does, prefix, token in permissions
    ]
    rule = Intention(
        source=source,
        destination=API,
        action=Action.DENY if made else Action(action),
        permissions=tuple(made),
    )
    return with_token(rule, TOKEN if asks else None)


ACTIONS = st.sampled_from(["allow", "deny"])
PERMISSIONS = st.lists(st.tuples(ACTIONS, st.sampled_from(PATHS), st.booleans()), max_size=4)
RULES = st.lists(
    st.builds(_rule, st.sampled_from([WEB, CRON, ANY]), ACTIONS, PERMISSIONS, st.booleans()),
    max_size=4,
)


@given(RULES, st.booleans(), st.sampled_from([WEB, CRON]), st.sampled_from(PATHS), st.booleans())
@settings(max_examples=300)
def test_the_order_says_what_the_composed_set_says(rules, default_allow, caller, path, has_token):
    policy = RequestPolicy(API, rules, default_allow=default_allow, issuers={"okta": ""})
    claims = {"okta": {}} if has_token else {}
    answer = authorize_request(policy, caller, Request(path=path), claims)
    assert answer.allowed is composed(rules, default_allow, caller, path, has_token)
