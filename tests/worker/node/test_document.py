"""The configuration file, HCL or JSON: the same plain data, and problems with their lines."""

import pytest

from cluster.errors import ConfigError
from worker.node.__main__ import read_config

HCL = """
node_name    = "n"
workers      = 3
coordinators = ["a:1", "b:2"]
coordinator_key = "0123456789012345678901234567890123456789"
bus_key_file = "/k"
limits {
  idle_timeout_seconds = 30
}
service {
  name = "egress"
  kind = "terminating-gateway"
}
service {
  name = "other"
}
"""
JSON = """
{"node_name": "n", "workers": 3, "coordinators": ["a:1", "b:2"],
 "coordinator_key": "0123456789012345678901234567890123456789", "bus_key_file": "/k",
 "limits": {"idle_timeout_seconds": 30},
 "service": [{"name": "egress", "kind": "terminating-gateway"}, {"name": "other"}]}
"""


def write(tmp_path, text, name="node.hcl"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_hcl_and_json_say_the_same(tmp_path):
    config = read_config(write(tmp_path, HCL))
    assert config == read_config(write(tmp_path, JSON, "node.json"))
    assert [service["name"] for service in config.services] == ["egress", "other"]
    assert config.limits.idle_timeout_seconds == 30
    assert read_config(write(tmp_path, HCL), workers=1).workers == 1
    assert read_config(write(tmp_path, "")).workers >= 1


def test_problems_have_lines(tmp_path):
    path = write(tmp_path, 'workers = 0\n\nlimits {\n  max_age_seconds = "x"\n}\nnope = 1\n')
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    places = [(problem.file, problem.line, problem.path) for problem in caught.value.problems]
    assert places == [
        (str(path), 1, "workers"),
        (str(path), 4, "limits.max_age_seconds"),
        (str(path), 6, "nope"),
    ]


@pytest.mark.parametrize(
    ("text", "name", "named"),
    [
        ("workers =", "node.hcl", "node.hcl:1"),
        ("{", "node.json", "node.json:1"),
        ("[1]", "node.json", "expected keys"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, text, name, named):
    with pytest.raises(ConfigError, match=named):
        read_config(write(tmp_path, text, name))


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_config(tmp_path / "absent")
    path = tmp_path / "node.hcl"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_config(path)
