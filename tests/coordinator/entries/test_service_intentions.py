"""The kind service-intentions (consul-gateways.md 5.1 to 5.3)."""

import pytest

from coordinator.entries.entry import check_entry

HTTP = {"PathPrefix": "/"}


def check(*sources, name="api", legacy=False, **more):
    entry = {"Kind": "service-intentions", "Name": name, "Sources": [*sources]} | more
    return check_entry(entry, legacy=legacy)


def told(*sources, **more):
    checked, problems, _ = check(*sources, **more)
    assert checked is None
    return [str(problem) for problem in problems]


def permission(**http):
    return {"Name": "web", "Permissions": [{"Action": "allow", "HTTP": http}]}


@pytest.mark.parametrize(
    ("name", "precedences"),
    [("api", [("web", 9), ("db", 9), ("*", 8)]), ("*", [("web", 6), ("db", 6), ("*", 5)])],
)
def test_precedence_is_computed_and_sorts_stably(name, precedences):
    checked, _, _ = check(
        {"Name": "*", "Action": "deny", "Precedence": 77},
        {"Name": "web", "Action": "allow"},
        {"Name": "db", "Action": "deny"},
        name=name,
    )
    stored = checked.body["Sources"]
    assert [(source["Name"], source["Precedence"]) for source in stored] == precedences


def test_what_is_stored():
    jwt = {"Providers": [{"Name": "okta", "VerifyClaims": [{"Path": ["a", "b"], "Value": "c"}]}]}
    checked, problems, _ = check(
        {
            "Name": "web",
            "Peer": "east",
            "Partition": "",
            "Permissions": [
                {
                    "Action": "allow",
                    "HTTP": {"Methods": ["get", "Post"], "Header": {"Name": "x", "Present": True}},
                    "JWT": jwt,
                }
            ],
            "Description": "d",
            "LegacyID": "11111111-2222-3333-4444-555555555555",
            "LegacyCreateTime": "2020-01-01T00:00:00Z",
        },
        JWT=jwt,
    )
    assert problems == ()
    assert checked.body == {
        "Kind": "service-intentions",
        "Name": "api",
        "JWT": jwt,
        "Sources": [
            {
                "Name": "web",
                "Peer": "east",
                "Permissions": [
                    {
                        "Action": "allow",
                        "HTTP": {
                            "Methods": ["GET", "POST"],
                            "Header": [{"Name": "x", "Present": True}],
                        },
                        "JWT": jwt,
                    }
                ],
                "Precedence": 9,
                "Type": "consul",
                "Description": "d",
            }
        ],
    }


def test_the_old_api_keeps_its_fields():
    source = {"Name": "web", "Action": "allow", "LegacyID": "1", "LegacyMeta": {"a": "b"}}
    stored = check(source, legacy=True)[0].body["Sources"][0]
    assert (stored["LegacyID"], stored["LegacyMeta"]) == ("1", {"a": "b"})
    assert told(source) == ["Sources[0].LegacyMeta: LegacyMeta must be omitted"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"Action": "allow"}, "Sources[0].Name: Sources[0].Name is required"),
        ({"Name": "we*", "Action": "allow"}, "Sources[0].Name: the wildcard character *"),
        ({"Name": "web"}, "Sources[0].Action: Action must be allow or deny"),
        ({"Name": "web", "Action": "Allow"}, "Sources[0].Action: Action must be allow or deny"),
        (
            permission(**HTTP) | {"Action": "allow"},
            "Sources[0].Action: Action must be omitted if Permissions",
        ),
        (
            {"Name": "web", "Action": "allow", "Peer": "*"},
            "Sources[0].Peer: cannot use wildcard",
        ),
        (
            {"Name": "web", "Action": "allow", "SamenessGroup": "x"},
            "Sources[0].SamenessGroup: SamenessGroup requires Consul Enterprise",
        ),
        (
            {"Name": "web", "Action": "allow", "Namespace": "*"},
            "Sources[0].Namespace: namespace '*': namespaces are a Consul Enterprise feature",
        ),
        (
            {"Name": "web", "Action": "allow", "Type": "spiffe"},
            "Sources[0].Type: Type must be consul, found 'spiffe'",
        ),
        (
            {"Name": "web", "Action": "allow", "Description": "é" * 257},
            "Sources[0].Description: 514 bytes exceed",
        ),
        (
            {"Name": "web", "Permissions": [{"HTTP": HTTP}]},
            "Sources[0].Permissions[0].Action: Action must be allow or deny",
        ),
        (
            {"Name": "web", "Permissions": [{"Action": "deny", "JWT": {}}]},
            "Sources[0].Permissions[0].HTTP: HTTP is required",
        ),
        (permission(), "Permissions[0].HTTP: HTTP should not be empty"),
        (permission(PathExact="x"), "HTTP.PathExact: PathExact doesn't start with '/': 'x'"),
        (permission(PathPrefix="x"), "HTTP.PathPrefix: PathPrefix doesn't start with '/'"),
        (permission(PathExact="/", PathRegex="a"), "HTTP: at most one of PathExact, PathPrefix"),
        (permission(Methods=["YOINK"]), "HTTP.Methods[0]: contains an invalid method 'YOINK'"),
        (permission(Methods=["get", "GET"]), "HTTP.Methods: contains GET more than once"),
        (permission(Header=[{"Exact": "x"}]), "HTTP.Header[0].Name: missing required Name"),
        (permission(Header=[{"Name": "x"}]), "HTTP.Header[0]: must contain exactly one of"),
        (
            permission(Header=[{"Name": "x", "Exact": "a", "Regex": "b"}]),
            "found Exact and Regex",
        ),
        (
            permission(Header=[{"Name": "x", "Present": True, "IgnoreCase": True}]),
            "Header[0].IgnoreCase: IgnoreCase works only with",
        ),
        (
            {
                "Name": "web",
                "Permissions": [{"Action": "deny", "HTTP": HTTP, "JWT": {"Providers": [{}]}}],
            },
            "Sources[0].Permissions[0].JWT.Providers[0].Name: a JWT provider's Name is required",
        ),
    ],
)
def test_refused_sources(source, problem):
    [found] = told(source)
    assert problem in found


def test_refused_entries():
    assert told() == ["Sources: at least one source is required"]
    assert "partial values: 'a*'" in told({"Name": "web", "Action": "deny"}, name="a*")[0]
    assert told({"Name": "web", "Action": "deny"}, JWT={"Providers": [{}]}) == [
        "JWT.Providers[0].Name: a JWT provider's Name is required"
    ]
    assert told(permission(**HTTP), name="*") == [
        "Sources[0].Permissions: "
        "Permissions are not allowed on intentions with wildcarded destinations"
    ]


def test_a_source_only_once_but_peers_are_others():
    one, peers = {"Name": "web", "Action": "deny"}, {"Name": "web", "Action": "deny", "Peer": "p"}
    assert check(one, peers)[1] == ()
    assert told(one, peers, one, peers) == [
        "Sources[2]: defines web more than once, first as Sources[0]",
        "Sources[3]: defines peer p web more than once, first as Sources[1]",
    ]


def test_paths_are_those_of_the_text_and_not_of_the_sorted_list():
    [problem] = told({"Name": "*", "Action": "bad"}, {"Name": "web", "Action": "deny"})
    assert problem.startswith("Sources[0].Action")
