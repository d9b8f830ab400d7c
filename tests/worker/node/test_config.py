"""The node's configuration: defaults, every key, and every problem at once."""

from pathlib import Path

import pytest

from cluster.errors import ConfigError
from worker.node.config import Address, NodeConfig, decode_config
from worker.settings import Limits

KEY = "k" * 40


def decode(plain):
    return decode_config(plain, file="node.hcl", host_name="host", cores=2)


def test_an_empty_file_is_this_host_with_a_worker_per_core():
    assert decode({}) == NodeConfig(node_name="host", workers=2)


def test_every_key():
    plain = {
        "datacenter": "dc2",
        "node_name": "n",
        "state_dir": "/s",
        "runtime_dir": "/r",
        "log_level": "debug",
        "log_format": "json",
        "metrics_addr": "[::1]:0",
        "coordinators": ["10.0.0.1:7400", "c.example:7400", "[fe80::1]:1"],
        "coordinator_key": KEY,
        "bus_key_file": "/k",
        "workers": 3,
        "service": [{"name": "egress", "kind": "terminating-gateway"}],
        "limits": {"max_connections": 9, "idle_timeout_seconds": 60, "drain_grace_seconds": 0},
    }
    assert decode(plain) == NodeConfig(
        datacenter="dc2",
        node_name="n",
        state_dir=Path("/s"),
        runtime_dir=Path("/r"),
        log_level="debug",
        log_format="json",
        metrics_addr=Address(host="::1", port=0),
        coordinators=(
            Address(host="10.0.0.1", port=7400),
            Address(host="c.example", port=7400),
            Address(host="fe80::1", port=1),
        ),
        coordinator_key=KEY,
        bus_key_file=Path("/k"),
        workers=3,
        services=({"name": "egress", "kind": "terminating-gateway"},),
        limits=Limits(max_connections=9, idle_timeout_seconds=60.0, drain_grace_seconds=0.0),
    )
    assert str(decode(plain).coordinators[2]) == "[fe80::1]:1"


def test_blocks_come_alone_or_in_lists():
    assert decode({"service": {"name": "a"}}).services == ({"name": "a"},)
    assert decode({"limits": [{"max_connections": 1}]}).limits.max_connections == 1


@pytest.mark.parametrize(
    ("plain", "path", "named"),
    [
        ({"node": "a"}, "node", "unknown key"),
        ({"datacenter": 1}, "datacenter", "expected text"),
        ({"node_name": ""}, "node_name", "expected text"),
        ({"state_dir": "s"}, "state_dir", "absolute"),
        ({"runtime_dir": "/" + "x" * 90}, "runtime_dir", "91 bytes"),
        ({"log_level": "loud"}, "log_level", "debug, info"),
        ({"log_format": "xml"}, "log_format", "json"),
        ({"metrics_addr": "localhost:1"}, "metrics_addr", "IP address"),
        ({"metrics_addr": "127.0.0.1"}, "metrics_addr", "host:port"),
        ({"metrics_addr": "127.0.0.1:65536"}, "metrics_addr", "host:port"),
        ({"coordinators": "a:1"}, "coordinators", "a list"),
        ({"coordinators": ["a"]}, "coordinators", "host:port"),
        ({"coordinator_key": "short"}, "coordinator_key", "40"),
        ({"workers": 0}, "workers", "1 to 256"),
        ({"workers": True}, "workers", "1 to 256"),
        ({"service": "egress"}, "service", "blocks"),
        ({"limits": 3}, "limits", "block"),
        ({"limits": {"max": 3}}, "limits.max", "unknown key"),
        ({"limits": {"max_connections": 0}}, "limits.max_connections", "whole number"),
        ({"limits": {"max_age_seconds": "3"}}, "limits.max_age_seconds", "seconds"),
        ({"limits": {"hello_timeout_seconds": 0}}, "limits.hello_timeout_seconds", "seconds"),
        ({"tracing": {}}, "tracing", "not supported yet"),
        ({"access_log": {}}, "access_log", "not supported yet"),
    ],
)
def test_a_bad_value_is_named(plain, path, named):
    with pytest.raises(ConfigError) as caught:
        decode(plain)
    (problem,) = caught.value.problems
    assert (problem.path, problem.file) == (path, "node.hcl")
    assert named in problem.message


def test_all_problems_come_at_once():
    with pytest.raises(ConfigError) as caught:
        decode({"workers": 0, "nope": 1, "limits": {"max_age_seconds": 0}, "coordinators": ["a:1"]})
    assert [problem.path for problem in caught.value.problems] == [
        "workers",
        "nope",
        "limits.max_age_seconds",
        "coordinator_key",
        "bus_key_file",
    ]
