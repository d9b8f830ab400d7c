"""Intentions per request: which rule, which permission, which token."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.http import Request, RequestPolicy, authorize_request
from cluster.intentions import Action, Intention, evaluate
from cluster.names import ServiceName

API, WEB, CRON = (ServiceName(name=name) for name in ("api", "web", "cron"))
ANY = ServiceName(name="*")
ISSUERS = {"okta": "https://okta", "auth0": "https://auth0", "open": ""}


def rule(source=WEB, *permissions, action="deny", jwt=None):
    return Intention(
        source=source,
        destination=API,
        action=Action(action),
        permissions=permissions,
        jwt=jwt or {},
    )


def permission(action="allow", jwt=None, **http):
    return {"Action": action, "HTTP": http} | ({"JWT": jwt} if jwt else {})


def policy(*rules, default_allow=False):
    return RequestPolicy(API, rules, default_allow=default_allow, issuers=ISSUERS)


def token(*names, path=(), value=""):
    claims = [{"Path": list(path), "Value": value}] if path else []
    return {"Providers": [{"Name": name, "VerifyClaims": claims} for name in names]}


def asked(policy, path="/", caller=WEB, claims=None, **request):
    return authorize_request(policy, caller, Request(path=path, **request), claims or {})


OKTA = {"okta": {"iss": "https://okta", "role": "admin", "of": {"teams": ["a", "b"]}}}
ADMINS_ONLY = policy(
    rule(WEB, permission("deny", PathPrefix="/admin"), permission(PathPrefix="/")),
    rule(ANY, action="allow"),
)


def test_the_first_permission_that_is_met_decides():
    answer = asked(ADMINS_ONLY, "/admin/x")
    assert (answer.allowed, answer.permission, answer.by_default) == (False, 0, False)
    assert answer.reason == "denied by permission 1 of the intention web => api (precedence 9)"
    answer = asked(ADMINS_ONLY, "/x")
    assert (answer.allowed, answer.permission) == (True, 1)


def test_no_lower_rule_is_asked():
    only_get = policy(rule(WEB, permission(Methods=["GET"])), rule(ANY, action="allow"))
    answer = asked(only_get, method="PUT")
    assert (answer.allowed, answer.permission, answer.by_default) == (False, None, True)
    assert "meets no permission of the intention web => api" in answer.reason
    assert asked(only_get, method="PUT", caller=CRON).allowed


@pytest.mark.parametrize("default_allow", [False, True])
def test_the_default_policy(default_allow):
    nothing = policy(default_allow=default_allow)
    answer = asked(nothing)
    assert (answer.allowed, answer.rule, answer.by_default) == (default_allow, None, True)
    assert "by the default policy: no intention matches" in answer.reason
    unmet = policy(rule(WEB, permission(PathExact="/a")), default_allow=default_allow)
    assert asked(unmet, "/b").allowed is default_allow


def test_nobody_is_denied_whatever_the_default():
    answer = asked(policy(default_allow=True), caller=None)
    assert (answer.allowed, answer.by_default) == (False, False)
    assert "no service" in answer.reason


@given(
    st.lists(st.tuples(st.sampled_from([WEB, CRON, ANY]), st.sampled_from(Action)), max_size=4),
    st.booleans(),
    st.sampled_from([WEB, CRON, ServiceName(name="web", peer="p")]),
)
def test_without_permissions_a_request_is_answered_as_a_connection(sources, default_allow, caller):
    rules = tuple(rule(source, action=action) for source, action in sources)
    answer = asked(policy(*rules, default_allow=default_allow), caller=caller)
    wanted = evaluate(rules, caller, API, default_allow=default_allow)
    assert (answer.allowed, answer.rule) == (wanted.allowed, wanted.rule)


def test_a_local_wildcard_is_not_for_peers():
    peer = ServiceName(name="web", peer="p")
    assert not asked(policy(rule(ANY, action="allow")), caller=peer).allowed
    assert asked(policy(rule(ServiceName(name="*", peer="p"), action="allow")), caller=peer).allowed


@pytest.mark.parametrize(
    ("jwt", "claims", "met"),
    [
        (token("okta"), {}, False),
        (token("okta"), OKTA, True),
        (token("auth0", "okta"), OKTA, True),
        (token("auth0"), OKTA, False),
        (token("gone"), {"gone": {}}, False),
        (token("okta"), {"okta": {"iss": "https://evil"}}, False),
        (token("okta"), {"okta": {}}, False),
        (token("open"), {"open": {}}, True),
        (token("okta", path=("role",), value="admin"), OKTA, True),
        (token("okta", path=("role",), value="adm"), OKTA, False),
        (token("okta", path=("of", "teams"), value="b"), OKTA, True),
        (token("okta", path=("of", "teams"), value="c"), OKTA, False),
        (token("okta", path=("of", "nothing"), value=""), OKTA, False),
        (token("okta", path=("role", "x"), value="admin"), OKTA, False),
        (token("okta", path=("of",), value="teams"), OKTA, False),
    ],
)
def test_a_token_of_a_provider_with_its_claims(jwt, claims, met):
    by_permission = policy(rule(WEB, permission(jwt=jwt, PathPrefix="/")))
    by_entry = policy(rule(WEB, permission(PathPrefix="/"), jwt=jwt))
    for one in (by_permission, by_entry):
        answer = asked(one, claims=claims)
        assert (answer.allowed, answer.lacks_token, answer.by_default) == (met, not met, not met)
        assert ("no verified token" in answer.reason) is not met


def test_the_entry_and_the_permission_both_want_theirs():
    both = policy(rule(WEB, permission(jwt=token("auth0"), PathPrefix="/"), jwt=token("okta")))
    auth0 = {"auth0": {"iss": "https://auth0"}}
    assert both.providers == {"okta", "auth0"}
    assert not asked(both, claims=OKTA).allowed
    assert not asked(both, claims=auth0).allowed
    assert asked(both, claims=OKTA | auth0).allowed


def test_a_later_permission_does_not_rescue_a_request_without_its_token():
    rules = rule(WEB, permission(jwt=token("okta"), PathExact="/a"), permission(PathPrefix="/"))
    answer = asked(policy(rules), "/a")
    assert (answer.allowed, answer.permission) == (False, 0)
    assert asked(policy(rules), "/b").allowed


def test_leaving_out_a_token_does_not_lift_a_denial():
    """Even where the default policy allows."""
    rules = rule(WEB, permission("deny", PathPrefix="/admin"), jwt=token("okta"))
    denying = policy(rules, default_allow=True)
    assert not asked(denying, "/admin").allowed
    assert not asked(denying, "/admin", claims=OKTA).allowed
    assert asked(denying, "/").allowed


def test_a_denial_of_those_with_a_claim():
    rules = rule(WEB, permission("deny", token("okta", path=("role",), value="admin")))
    assert not asked(policy(rules, default_allow=True), claims=OKTA).allowed
    assert asked(policy(rules, default_allow=True)).allowed


@pytest.mark.parametrize(
    "http", [{"PathRegex": "("}, {"Header": [{"Name": "a", "Regex": "(", "Invert": True}]}]
)
def test_an_expression_that_is_none_fails_closed(http):
    allowing = rule(WEB, {"Action": "allow", "HTTP": http})
    denying = rule(WEB, {"Action": "deny", "HTTP": http}, permission(PathPrefix="/"))
    assert not asked(policy(allowing)).allowed
    assert not asked(policy(denying)).allowed
    assert asked(policy(denying)).permission == 0


def test_answers_are_made_beforehand():
    assert asked(ADMINS_ONLY, "/x") is asked(ADMINS_ONLY, "/y")
