"""The kind proxy-defaults (consul-gateways.md 6.3)."""

import pytest

from coordinator.entries.entry import check_entry


def check(**fields):
    return check_entry({"Kind": "proxy-defaults"} | fields)


def test_what_is_stored():
    config = {"protocol": "http", "local_connect_timeout_ms": 0, "Nested_Key": {"a": [None, ""]}}
    checked, problems, _ = check(
        config=config,
        access_logs={"enabled": "true", "json_format": '{"a": "b"}'},
        failover_policy={"mode": "sequential", "regions": ["a"]},
    )
    assert problems == ()
    assert checked.body == {
        "Kind": "proxy-defaults",
        "Name": "global",
        "Config": config,
        "AccessLogs": {"Enabled": True, "JSONFormat": '{"a": "b"}'},
        "FailoverPolicy": {"Mode": "sequential", "Regions": ["a"]},
    }


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"Name": "web"}, "Name"),
        ({"Config": {"envoy_hcp_metrics_bind_socket_dir": "x" * 71}}, None),
        ({"AccessLogs": {"Type": "syslog"}}, "AccessLogs.Type"),
        ({"AccessLogs": {"Type": "file"}}, "AccessLogs.Path"),
        ({"AccessLogs": {"Path": "/x"}}, "AccessLogs.Path"),
        ({"AccessLogs": {"JSONFormat": "{"}}, "AccessLogs.JSONFormat"),
        ({"AccessLogs": {"JSONFormat": "[" * 100_000}}, "AccessLogs.JSONFormat"),
        ({"AccessLogs": {"JSONFormat": "{}", "TextFormat": "x"}}, "AccessLogs.TextFormat"),
        ({"FailoverPolicy": {"Mode": "x"}}, "FailoverPolicy.Mode"),
        ({"PrioritizeByLocality": {"Mode": "failover"}}, "PrioritizeByLocality"),
        ({"MeshGateway": {"Mode": "x"}}, "MeshGateway.Mode"),
        ({"Config": []}, "Config"),
    ],
)
def test_refused(fields, path):
    checked, problems, _ = check(**fields)
    assert checked is None
    assert [one.path for one in problems] == [path or "Config.envoy_hcp_metrics_bind_socket_dir"]


def test_file_logs():
    assert check(AccessLogs={"Type": "file", "Path": "/x"})[1] == ()
