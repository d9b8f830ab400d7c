"""Intentions from entries: what counts without a request."""

from cluster.http.providers import JwtProvider
from coordinator.compose.policy import intentions_of, policy

JWT = {"Providers": [{"Name": "okta"}]}


def _allowed(**entry):
    (intention,) = intentions_of({"Kind": "service-intentions", "Name": "api"} | entry)
    return intention.allows


def test_an_action_decides():
    assert _allowed(Sources=[{"Name": "web", "Action": "allow"}])
    assert not _allowed(Sources=[{"Name": "web", "Action": "deny"}])


def test_a_token_that_every_request_must_hold_lets_nobody_in_without_one():
    assert not _allowed(Sources=[{"Name": "web", "Action": "allow"}], JWT=JWT)
    assert not _allowed(Sources=[{"Name": "web", "Action": "deny"}], JWT=JWT)


def test_permissions_let_nobody_in_without_a_request():
    permission = {"Action": "allow", "HTTP": {"PathPrefix": "/"}}
    assert not _allowed(Sources=[{"Name": "web", "Permissions": [permission]}])
    assert not _allowed(Sources=[{"Name": "web", "Permissions": [permission]}], JWT=JWT)


def test_the_token_of_the_entry_is_asked_for_on_top_of_permissions():
    permission = {"Action": "allow", "HTTP": {"PathPrefix": "/"}}
    source = {"Name": "web", "Permissions": [permission]}
    (intention,) = intentions_of({"Name": "api", "Sources": [source], "JWT": JWT})
    assert (intention.permissions, intention.jwt) == ((permission,), JWT)


def test_providers_are_carried_with_the_intentions(state_of):
    entry = {"Kind": "jwt-provider", "Name": "okta", "Issuer": "https://okta"}
    state = state_of(entries={"jwt-provider/okta": entry})
    assert policy(state, default_allow=False).providers == (
        JwtProvider(name="okta", issuer="https://okta"),
    )
