"""Rules between entries, and the protocols they ask for."""

import pytest

from cluster.protocols import resolved_protocol
from coordinator.entries.cross import cross_problems
from coordinator.entries.entry import check_entry


def entry(kind, name, **fields):
    checked, problems, _ = check_entry({"Kind": kind, "Name": name} | fields)
    assert problems == ()
    return checked


L7 = entry(
    "service-intentions",
    "api",
    Sources=[
        {"Name": "a", "Action": "allow"},
        {"Name": "b", "Permissions": [{"Action": "allow", "HTTP": {"PathPrefix": "/"}}]},
    ],
)
L4 = entry("service-intentions", "api", Sources=[{"Name": "a", "Action": "allow"}])
HTTP_PROXIES = entry("proxy-defaults", "global", Config={"protocol": "HTTP"})


def defaults(protocol, name="api"):
    return entry("service-defaults", name, Protocol=protocol)


@pytest.mark.parametrize(
    ("entries", "protocol"),
    [
        ([L7], "tcp"),
        ([L7, defaults("tcp")], "tcp"),
        ([L7, defaults("http", "other")], "tcp"),
        ([L7, defaults(""), HTTP_PROXIES], "tcp"),
        ([L7, entry("proxy-defaults", "global", Config={"protocol": 7})], "tcp"),
        ([L7, defaults("http")], None),
        ([L7, defaults("grpc")], None),
        ([L7, HTTP_PROXIES], None),
        ([L4], None),
        ([], None),
    ],
)
def test_permissions_need_an_http_like_protocol(entries, protocol):
    found = [str(problem) for problem in cross_problems(entries)]
    message = (
        "service-intentions/api: Sources[1].Permissions: service api has protocol tcp, "
        "which is incompatible with L7 permissions"
    )
    assert found == ([message] if protocol else [])


def test_jwt_providers_must_exist():
    jwt = {"Providers": [{"Name": "okta"}]}
    permission = {"Action": "allow", "HTTP": {"PathPrefix": "/"}, "JWT": jwt}
    both = entry(
        "service-intentions", "api", JWT=jwt, Sources=[{"Name": "a", "Permissions": [permission]}]
    )
    assert [problem.path for problem in cross_problems([both, defaults("http")])] == [
        "service-intentions/api: JWT.Providers[0].Name",
        "service-intentions/api: Sources[0].Permissions[0].JWT.Providers[0].Name",
    ]


@pytest.mark.parametrize(
    ("own", "every", "resolved"),
    [
        (None, None, "tcp"),
        (None, {"Config": {"protocol": "Http"}}, "http"),
        ({"Protocol": "grpc"}, {"Config": {"protocol": "http"}}, "grpc"),
        ({}, {"Config": {"protocol": "http"}}, "http"),
        ({}, {}, "tcp"),
    ],
)
def test_protocols(own, every, resolved):
    assert resolved_protocol(own, every) == resolved
