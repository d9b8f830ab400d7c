"""Intentions grouped by destination, for connections and for requests."""

from cluster.http import Request, authorize_request
from cluster.http.providers import JwtProvider
from cluster.intentions import Action, Intention
from cluster.names import ServiceName
from cluster.policies import RulesByDestination
from cluster.snapshot import Policy

API, WEB, ANY = (ServiceName(name=name) for name in ("api", "web", "*"))


def test_for_requests_with_the_issuers_of_the_snapshot():
    jwt = {"Providers": [{"Name": "okta"}]}
    permission = {"Action": "allow", "HTTP": {"PathPrefix": "/"}, "JWT": jwt}
    rules = (
        Intention(source=WEB, destination=API, permissions=(permission,)),
        Intention(source=ANY, destination=ANY, action=Action.ALLOW),
    )
    provider = JwtProvider(name="okta", issuer="https://okta")
    policy = RulesByDestination(Policy(intentions=rules, providers=(provider,)))
    towards_api = policy.request_policy(API)
    assert towards_api.providers == {"okta"}
    for issuer, allowed in (("https://okta", True), ("https://evil", False)):
        claims = {"okta": {"iss": issuer}}
        assert authorize_request(towards_api, WEB, Request(), claims).allowed is allowed
    assert authorize_request(policy.request_policy(WEB), API, Request()).allowed
