"""The kind service-defaults (consul-gateways.md 6.2)."""

import pytest

from coordinator.entries.entry import check_entry


def check(**fields):
    return check_entry({"Kind": "service-defaults", "Name": "web"} | fields)


def test_what_is_stored():
    checked, problems, _ = check(
        Protocol="HTTP",
        MeshGateway={"Mode": "local"},
        TransparentProxy={"OutboundListenerPort": "15001", "DialedDirectly": False},
        Expose={"Paths": {"Path": "/h", "ListenerPort": 1, "LocalPathPort": 2}},
        UpstreamConfig={
            "Defaults": {
                "ConnectTimeoutMs": -5,
                "Limits": {"MaxConnections": 0, "MaxPendingRequests": None},
                "PassiveHealthCheck": {"Interval": "0s", "EnforcingConsecutive5xx": 0},
            },
            "Overrides": {"Name": "db", "Protocol": "GRPC"},
        },
        MaxInboundConnections="7",
        LocalConnectTimeoutMs=0,
        BalanceInboundConnections="exact_balance",
        MutualTLSMode="strict",
    )
    assert problems == ()
    assert checked.body == {
        "Kind": "service-defaults",
        "Name": "web",
        "Protocol": "http",
        "TransparentProxy": {"OutboundListenerPort": 15001},
        "MutualTLSMode": "strict",
        "MeshGateway": {"Mode": "local"},
        "Expose": {"Paths": [{"Path": "/h", "ListenerPort": 1, "LocalPathPort": 2}]},
        "UpstreamConfig": {
            "Overrides": [{"Name": "db", "Protocol": "grpc"}],
            "Defaults": {
                "Limits": {"MaxConnections": 0},
                "PassiveHealthCheck": {"EnforcingConsecutive5xx": 0},
            },
        },
        "MaxInboundConnections": 7,
        "BalanceInboundConnections": "exact_balance",
    }


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"Name": "*"}, "Name: the Name must be that of a service"),
        ({"Protocol": "smtp"}, "Protocol: invalid value 'smtp'"),
        ({"Mode": "magic"}, "Mode: invalid value 'magic'"),
        ({"MutualTLSMode": "lax"}, "MutualTLSMode: invalid value 'lax'"),
        ({"MeshGateway": {"Mode": "far"}}, "MeshGateway.Mode: invalid value 'far'"),
        ({"BalanceInboundConnections": "x"}, "balance_inbound_connections"),
        ({"RateLimits": {"InstanceLevel": {}}}, "RateLimits requires Consul Enterprise"),
        ({"EnvoyExtensions": [{}]}, "EnvoyExtensions[0].Name: invalid EnvoyExtensions"),
        ({"EnvoyExtensions": [{"Name": "x"}]}, "'x' is not a built-in extension"),
        (
            {"UpstreamConfig": {"Defaults": {"Name": "x"}}},
            "UpstreamConfig.Defaults.Name: error in upstream defaults: Name must be empty",
        ),
        (
            {"UpstreamConfig": {"Overrides": [{"Name": "a"}, {}]}},
            "UpstreamConfig.Overrides[1].Name: Name is required",
        ),
        (
            {"UpstreamConfig": {"Overrides": [{"Name": "*"}]}},
            "UpstreamConfig.Overrides[0].Name: the Name cannot be a wildcard",
        ),
        (
            {"UpstreamConfig": {"Defaults": {"MeshGateway": {"Mode": "x"}}}},
            "UpstreamConfig.Defaults.MeshGateway.Mode: invalid value",
        ),
        (
            {"UpstreamConfig": {"Defaults": {"BalanceOutboundConnections": "x"}}},
            "balance_outbound_connections",
        ),
        (
            {"UpstreamConfig": {"Defaults": {"Limits": {"MaxConnections": -1}}}},
            "Limits.MaxConnections: -1 is not between 0 and",
        ),
        (
            {"UpstreamConfig": {"Defaults": {"PassiveHealthCheck": {"MaxEjectionPercent": 101}}}},
            "PassiveHealthCheck.MaxEjectionPercent: 101 is not between 0 and 100",
        ),
        (
            {"UpstreamConfig": {"Defaults": {"PassiveHealthCheck": {"Interval": "-1s"}}}},
            "PassiveHealthCheck.Interval: the duration -1s is negative",
        ),
        (
            {
                "UpstreamConfig": {"Defaults": {"Protocol": "tcp"}},
                "Destination": {"Addresses": ["10.0.0.1"], "Port": 1},
            },
            "Destination: UpstreamConfig and Destination are mutually exclusive",
        ),
        ({"Destination": {"Port": 1}}, "Destination.Addresses: a Destination must contain"),
        ({"Destination": {"Addresses": ["a"]}}, "Destination.Port: invalid port number 0"),
        (
            {"Destination": {"Addresses": ["a", "b", "a"], "Port": 70000}},
            "Destination.Addresses[2]: duplicate address a",
        ),
        (
            {"Destination": {"Addresses": ["*.a"], "Port": 1}},
            "Destination.Addresses[0]: could not validate address '*.a'",
        ),
    ],
)
def test_refused(fields, problem):
    checked, problems, _ = check(**fields)
    assert checked is None
    assert any(problem in str(one) for one in problems)


def test_settings_of_envoy_are_warned_about():
    _, problems, warnings = check(
        EnvoyExtensions=[{"Name": "builtin/lua"}],
        UpstreamConfig={
            "Defaults": {"EnvoyListenerJSON": "{}"},
            "Overrides": [{"Name": "a", "EnvoyClusterJSON": "{}"}],
        },
    )
    assert problems == ()
    of_envoy = [warning.path for warning in warnings if "no effect" in warning.message]
    assert of_envoy == [
        "EnvoyExtensions[0]",
        "UpstreamConfig.Defaults.EnvoyListenerJSON",
        "UpstreamConfig.Overrides[0].EnvoyClusterJSON",
    ]
