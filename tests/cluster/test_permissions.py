"""Which permission a request meets: every line of Consul's rules of matching."""

import pytest

from cluster.permissions import Request, deciding_permission, matches


def http(**criteria):
    return {"Action": "allow", "HTTP": criteria}


def header(**criteria):
    return http(Header=[{"Name": "X-Team"} | criteria])


def request(path="/", method="GET", **headers):
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Request(method=method, path=path, headers=named)


@pytest.mark.parametrize(
    ("permission", "asked", "met"),
    [
        (http(PathExact="/a"), request("/a"), True),
        (http(PathExact="/a"), request("/A"), False),
        (http(PathExact="/a"), request("/a?x=1"), True),
        (http(PathExact="/a"), request("/a#x"), True),
        (http(PathPrefix="/adm"), request("/admin"), True),
        (http(PathPrefix="/adm"), request("/x/adm"), False),
        (http(PathRegex="/v[0-9]+"), request("/v12"), True),
        (http(PathRegex="/v[0-9]+"), request("/v12/x"), False),
        (http(PathRegex="/v[0-9"), request("/v1"), False),
        (http(Methods=["GET", "PUT"]), request(method="PUT"), True),
        (http(Methods=["GET"]), request(method="POST"), False),
        (http(PathPrefix="/a", Methods=["GET"]), request("/a", "POST"), False),
        (header(Present=True), request(x_team="a"), True),
        (header(Present=True), request(), False),
        (header(Present=True, Invert=True), request(), True),
        (header(Exact="a"), request(x_team="a"), True),
        (header(Exact="a"), request(x_team="A"), False),
        (header(Exact="a", IgnoreCase=True), request(X_TEAM="A"), True),
        (header(Exact="a", Invert=True), request(), True),
        (header(Exact="a", Invert=True), request(x_team="a"), False),
        (header(Prefix="ab"), request(x_team="abc"), True),
        (header(Suffix="bc"), request(x_team="abc"), True),
        (header(Contains="b"), request(x_team="abc"), True),
        (header(Contains="B", IgnoreCase=True), request(x_team="abc"), True),
        (header(Regex="a+"), request(x_team="aa"), True),
        (header(Regex="a+"), request(x_team="aab"), False),
        (header(Exact="a,b"), Request(headers=(("x-team", "a"), ("X-Team", "b"))), True),
    ],
)
def test_a_criterion(permission, asked, met):
    assert matches(permission, asked) is met


def test_the_first_that_is_met_decides_and_none_is_none():
    permissions = [http(PathPrefix="/admin"), http(PathPrefix="/"), http(PathPrefix="/")]
    assert deciding_permission(permissions, request("/x")) == 1
    assert deciding_permission(permissions[:1], request("/x")) is None


TOKEN = {"Providers": [{"Name": "okta", "VerifyClaims": [{"Path": ["a", "b"], "Value": "x"}]}]}


@pytest.mark.parametrize(
    ("tokens", "met"),
    [
        ({}, False),
        ({"other": {"a": {"b": "x"}}}, False),
        ({"okta": {"a": {"b": "y"}}}, False),
        ({"okta": {"a": "x"}}, False),
        ({"okta": {"a": {"b": "x"}}}, True),
        ({"okta": {"a": {"b": ["w", "x"]}}}, True),
    ],
)
def test_a_token_of_a_provider_with_its_claims(tokens, met):
    assert matches(http(PathPrefix="/") | {"JWT": TOKEN}, Request(tokens=tokens)) is met
