"""Service definitions, read as Consul's agents read them."""

import pytest

from coordinator.entries.services import check_service


def told(definition, **options):
    service, problems = check_service(definition, **options)
    assert service is None
    return [str(problem) for problem in problems]


def test_the_catalogs_form():
    definition = {
        "name": "web",
        "id": "web-1",
        "port": "8080",
        "tags": ["a"],
        "meta": {"Version_1": "x"},
        "tagged_addresses": {"lan": {"address": "10.0.0.1", "port": 80}},
        "weights": {"passing": 5},
        "enable_tag_override": True,
        "token": "secret",
        "connect": {"native": True},
        "proxy": {"config": {"Some_Key": 1}},
    }
    assert check_service(definition, strict=True) == (
        {
            "Service": {
                "ID": "web-1",
                "Service": "web",
                "Tags": ["a"],
                "Port": 8080,
                "Meta": {"Version_1": "x"},
                "TaggedAddresses": {"lan": {"Address": "10.0.0.1", "Port": 80}},
                "Weights": {"Passing": 5, "Warning": 1},
                "EnableTagOverride": True,
                "Proxy": {"Config": {"Some_Key": 1}},
                "Connect": {"Native": True},
            }
        },
        (),
    )


def test_checks():
    service, problems = check_service(
        {
            "Name": "web",
            "Check": {"TTL": "30s", "Status": "passing"},
            "Checks": [
                {"id": "mine", "name": "Mine", "tcp": "127.0.0.1:1", "interval": "90s"},
                {"args": ["/bin/true"], "interval": 10_000_000_000},
                {"alias_service": "db", "alias_node": "n"},
            ],
        }
    )
    assert problems == ()
    named = {"ServiceID": "web", "ServiceName": "web"}
    assert service["Checks"] == [
        {
            "CheckID": "service:web:1",
            "Name": "Service 'web' check",
            "Status": "passing",
            "Type": "ttl",
            "Definition": {"TTL": "30s"},
        }
        | named,
        {
            "CheckID": "mine",
            "Name": "Mine",
            "Status": "critical",
            "Type": "tcp",
            "Interval": "1m30s",
            "Definition": {"TCP": "127.0.0.1:1", "Interval": "1m30s"},
        }
        | named,
        {
            "CheckID": "service:web:3",
            "Name": "Service 'web' check",
            "Status": "critical",
            "Type": "script",
            "Interval": "10s",
            "Definition": {"ScriptArgs": ["/bin/true"], "Interval": "10s"},
        }
        | named,
        {
            "CheckID": "service:web:4",
            "Name": "Service 'web' check",
            "Status": "critical",
            "Type": "alias",
            "Definition": {"AliasService": "db", "AliasNode": "n"},
        }
        | named,
    ]


def test_a_single_check_has_no_number():
    service, _ = check_service({"Name": "web", "Check": {"TTL": "1s"}})
    assert service["Checks"][0]["CheckID"] == "service:web"


def test_sidecar():
    service, problems = check_service(
        {
            "Name": "web",
            "ID": "web-1",
            "Port": 80,
            "Tags": ["a"],
            "Connect": {
                "SidecarService": {
                    "Port": 21000,
                    "Proxy": {
                        "Upstreams": [{"DestinationName": "db", "LocalBindPort": 9191}],
                        "LocalServicePort": 81,
                    },
                    "Check": {"TTL": "1s"},
                }
            },
        }
    )
    assert problems == ()
    assert service["Service"] == {"ID": "web-1", "Service": "web", "Tags": ["a"], "Port": 80}
    assert service["Sidecar"]["Service"] == {
        "ID": "web-1-sidecar-proxy",
        "Service": "web-sidecar-proxy",
        "Kind": "connect-proxy",
        "Tags": ["a"],
        "Port": 21000,
        "Proxy": {
            "DestinationServiceName": "web",
            "DestinationServiceID": "web-1",
            "LocalServiceAddress": "127.0.0.1",
            "LocalServicePort": 81,
            "Upstreams": [{"DestinationName": "db", "LocalBindPort": 9191}],
        },
    }
    assert service["Sidecar"]["Checks"][0]["CheckID"] == "service:web-1-sidecar-proxy"


def test_an_empty_sidecar_is_one():
    service, problems = check_service({"Name": "web", "Connect": {"SidecarService": {}}})
    assert problems == ()
    assert service["Sidecar"]["Service"]["Proxy"] == {
        "DestinationServiceName": "web",
        "DestinationServiceID": "web",
    }


@pytest.mark.parametrize(
    "definition",
    [
        {"Name": "g", "Kind": "terminating-gateway", "Port": 8443},
        {"Name": "g", "Kind": "ingress-gateway"},
        {"Name": "g", "Kind": "mesh-gateway", "Port": 1, "Meta": {"consul-wan-federation": "1"}},
        {"Name": "g", "Kind": "mesh-gateway", "Port": 1, "Proxy": {"Config": {"a": 1}}},
        {
            "Name": "p",
            "Kind": "connect-proxy",
            "SocketPath": "/s",
            "Proxy": {"DestinationServiceName": "web"},
        },
        {"Name": "w", "Address": "db.example.com"},
        {"Name": "w", "Namespace": "default", "Partition": ""},
    ],
)
def test_valid(definition):
    assert check_service(definition, strict=True)[1] == ()


GATEWAY = {"Name": "g", "Kind": "terminating-gateway", "Port": 1}
PROXY = {
    "Name": "p",
    "Kind": "connect-proxy",
    "Port": 1,
    "Proxy": {"DestinationServiceName": "web"},
}


def upstream(**fields):
    base = {"DestinationName": "db", "LocalBindPort": 1}
    return PROXY | {"Proxy": PROXY["Proxy"] | {"Upstreams": [base, base | fields]}}


@pytest.mark.parametrize(
    ("definition", "path"),
    [
        ({}, "Name"),
        ({"Name": "a", "Kind": "teapot"}, "Kind"),
        ({"Name": "a", "Kind": "destination"}, "Kind"),
        ({"Name": "a", "Port": 65536}, "Port"),
        ({"Name": "a", "Port": -1}, "Port"),
        ({"Name": "a", "Address": "0.0.0.0"}, "Address"),
        ({"Name": "a", "Address": "::"}, "Address"),
        ({"Name": "a", "Meta": {"consul-x": "1"}}, "Meta.consul-x"),
        ({"Name": "a", "Meta": {"consul-wan-federation": "1"}}, "Meta.consul-wan-federation"),
        ({"Name": "a", "Meta": {"a b": "1"}}, "Meta.a b"),
        ({"Name": "a", "Meta": {"a": "x" * 513}}, "Meta.a"),
        ({"Name": "a", "Namespace": "eng"}, "Namespace"),
        ({"Name": "a", "Weights": {"Passing": -1}}, "Weights.Passing"),
        (GATEWAY | {"Port": 0}, "Port"),
        (GATEWAY | {"Connect": {"SidecarService": {}}}, "Connect.SidecarService"),
        (GATEWAY | {"Proxy": {"DestinationServiceName": "x"}}, "Proxy.DestinationServiceName"),
        (GATEWAY | {"Proxy": {"LocalServicePort": 1}}, "Proxy.LocalServicePort"),
        (PROXY | {"Port": 0}, "Port"),
        (PROXY | {"Proxy": {}}, "Proxy.DestinationServiceName"),
        (PROXY | {"Proxy": {"DestinationServiceName": "*"}}, "Proxy.DestinationServiceName"),
        (PROXY | {"Connect": {"Native": True}}, "Connect.Native"),
        (upstream(), "Proxy.Upstreams[1].LocalBindPort"),
        (upstream(DestinationName="", LocalBindPort=2), "Proxy.Upstreams[1].DestinationName"),
        (upstream(DestinationType="x", LocalBindPort=2), "Proxy.Upstreams[1].DestinationType"),
        (upstream(LocalBindPort=0), "Proxy.Upstreams[1].LocalBindPort"),
        (
            upstream(LocalBindPort=2, MeshGateway={"Mode": "x"}),
            "Proxy.Upstreams[1].MeshGateway.Mode",
        ),
        ({"Name": "a", "Check": {}}, "Check"),
        ({"Name": "a", "Check": {"HTTP": "http://x"}}, "Check.Interval"),
        ({"Name": "a", "Check": {"HTTP": "x", "TTL": "1s", "Interval": "1s"}}, "Check"),
        ({"Name": "a", "Checks": [{"TTL": "1s", "Status": "fine"}]}, "Checks[0].Status"),
        (
            {"Name": "a", "Connect": {"SidecarService": {"Check": {}}}},
            "Connect.SidecarService.Check",
        ),
        (
            {"Name": "a", "Connect": {"SidecarService": {"Address": "::"}}},
            "Connect.SidecarService.Address",
        ),
    ],
)
def test_refused(definition, path):
    service, problems = check_service(definition)
    assert service is None
    assert [problem.path for problem in problems] == [path]


def test_a_socket_is_bound_once():
    one = {"DestinationName": "db", "LocalBindSocketPath": "/s"}
    definition = PROXY | {"Proxy": PROXY["Proxy"] | {"Upstreams": [one, one]}}
    assert "/s is bound already by Upstreams[0]" in told(definition)[0]


def test_strictness():
    assert check_service({"Name": "a", "Frobnicate": 1})[1] == ()
    assert told({"Name": "a", "Frobnicate": 1}, strict=True) == [
        "Frobnicate: unknown field Frobnicate"
    ]


def test_what_is_no_definition():
    assert told([1, 2]) == ["expected an object, found a list"]
    assert told({"Name": "\ud800"}) == ["half a surrogate pair in a string"]
