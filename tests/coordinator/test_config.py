"""The coordinator's configuration file: every key of it, its default, and what is wrong with a value."""

import json

import pytest

from cluster.errors import ConfigError
from coordinator.config import CoordinatorConfig, HttpTls, parse_config

FULL = """
datacenter = "DC2"
node_name = "c1"
state_dir = "/srv/lockgate"
runtime_dir = "/run/other"
log_level = "debug"
log_format = "json"
metrics_addr = "127.0.0.1:1"
admin_socket = "/run/admin.sock"
admin_group = "ops"
http_addr = "127.0.0.1:8500"
bus_addr = "[::1]:7401"
bus_key_file = "/etc/lockgate/bus.key"
default_intention_policy = "allow"
connect {
  enabled = true
  ca_provider = "consul"
  ca_config { leaf_cert_ttl = "24h" }
}
acl { enabled = true, default_policy = "allow" }
http_tls {
  cert_file = "/c.pem"
  key_file = "/k.pem"
  ca_file = "/ca.pem"
}
admin_role = "read"
store { sqlite { path = "/srv/lockgate/x.db" } }
"""
READ = CoordinatorConfig(
    datacenter="dc2",
    node_name="c1",
    state_dir="/srv/lockgate",
    runtime_dir="/run/other",
    log_level="debug",
    log_format="json",
    metrics_addr="127.0.0.1:1",
    admin_socket="/run/admin.sock",
    admin_group="ops",
    http_addr="127.0.0.1:8500",
    bus_addr="[::1]:7401",
    bus_key_file="/etc/lockgate/bus.key",
    default_intention_policy="allow",
    sqlite_path="/srv/lockgate/x.db",
    acl_enabled=True,
    acl_default_policy="allow",
    http_tls=HttpTls(cert_file="/c.pem", key_file="/k.pem", ca_file="/ca.pem"),
    admin_role="read",
    ca_config={"leaf_cert_ttl": "24h"},
)


def problems(text, file="c.hcl"):
    """What is said about a file: `line path: message`."""
    with pytest.raises(ConfigError) as caught:
        parse_config(file, text)
    assert {problem.file for problem in caught.value.problems} == {file}
    return [f"{p.line} {p.path}: {p.message}" for p in caught.value.problems]


def test_every_key_in_hcl():
    assert parse_config("c.hcl", FULL) == READ


def test_every_key_in_json():
    document = {
        **{
            name: getattr(READ, name)
            for name in READ.__struct_fields__
            if name
            not in ("sqlite_path", "ca_config", "acl_enabled", "acl_default_policy", "http_tls")
        },
        "connect": {"ca_config": {"leaf_cert_ttl": "24h"}},
        "http_tls": {"cert_file": "/c.pem", "key_file": "/k.pem", "ca_file": "/ca.pem"},
        "acl": {"enabled": True, "default_policy": "allow"},
        "store": {"sqlite": {"path": "/srv/lockgate/x.db"}},
    }
    assert parse_config("c.json", json.dumps(document)) == READ


@pytest.mark.parametrize(
    ("file", "text"), [("c.hcl", ""), ("c.hcl", "# nothing"), ("c.json", "{}")]
)
def test_nothing_given_is_the_defaults(file, text):
    config = parse_config(file, text)
    assert (config.datacenter, config.default_intention_policy) == ("dc1", "deny")
    assert (config.state_dir, config.key_file) == (
        "/var/lib/lockgate",
        "/var/lib/lockgate/bus.key",
    )
    assert config.admin_path == "/run/lockgate/admin.sock"
    assert (config.http_addr, config.bus_addr) == ("", "0.0.0.0:7400")
    assert config.metrics_addr == "127.0.0.1:9465"
    assert config.own_node


def test_the_admin_socket_lies_in_the_runtime_folder_unless_it_says_where():
    assert parse_config("c.hcl", 'runtime_dir = "/run/x"').admin_path == "/run/x/admin.sock"
    assert READ.admin_path == "/run/admin.sock"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('log_level = "loud"', "1 log_level: 'loud' is not one of debug, info"),
        ('log_format = "xml"', "1 log_format: 'xml' is not one of console, json"),
        ('default_intention_policy = "maybe"', "1 default_intention_policy: 'maybe' is not one of"),
        ('datacenter = "a b"', "1 datacenter: 'a b' is not 1 to 63 letters"),
        ('datacenter = ""', "1 datacenter: '' is not 1 to 63 letters"),
        (f'datacenter = "{"x" * 64}"', "1 datacenter: 'xxx"),
        ('node_name = "a/b"', "1 node_name: 'a/b' is not at most 128 characters"),
        (f'node_name = "{"x" * 129}"', "1 node_name: 'xxx"),
        ('state_dir = ""', "1 state_dir: is empty"),
        ('state_dir = "here"', "1 state_dir: expected an absolute path, found 'here'"),
        ('runtime_dir = "here"', "1 runtime_dir: expected an absolute path"),
        ('admin_socket = "a.sock"', "1 admin_socket: expected an absolute path"),
        ('bus_key_file = "a.key"', "1 bus_key_file: expected an absolute path"),
        ('metrics_addr = ""', "1 metrics_addr: is empty"),
        ('metrics_addr = "9465"', "1 metrics_addr: '9465' is not host:port"),
        ('bus_addr = ":7400"', "1 bus_addr: ':7400' is not host:port"),
        ('bus_addr = "h:70000"', "1 bus_addr: 'h:70000' is not host:port"),
        ('http_addr = "h:\u0663"', "1 http_addr: 'h:\u0663' is not host:port"),
        ('http_addr = ["h:1"]', "1 http_addr: expected a string, found a list"),
        ("bogus = 1", "1 bogus: unknown field bogus"),
        ('datacentre = "x"', "1 datacentre: unknown field datacentre, did you mean datacenter?"),
        ('http_tls { cert_file = "/x" }', "1 http_tls.key_file: is required"),
        (
            'http_tls { cert_file = "x" key_file = "/k" }',
            "1 http_tls.cert_file: expected an absolute path, found 'x'",
        ),
        ("limits { x = 1 }", "1 limits: not supported yet"),
        ('acl { default_policy = "no" }', "1 acl.default_policy: 'no' is not one of allow, deny"),
        ('admin_role = "x"', "1 admin_role: 'x' is not one of management, operator, read"),
        ("acl { enabled = 1, x = 2 }", "1 acl.x: unknown field x"),
        ('store { etcd { endpoints = ["x"] } }', "1 store.etcd: not supported yet"),
        ('store { sqlite { path = "x" } }', "1 store.sqlite.path: expected an absolute path"),
        ("connect { enabled = false }", "1 connect.enabled: cannot be switched off"),
        ('connect { ca_provider = "vault" }', "1 connect.ca_provider: 'vault' is not supported"),
        (
            'connect {\n ca_config { leaf_cert_ttl = "1s" } }',
            "2 connect.ca_config.LeafCertTTL: 1s must be at least 1h",
        ),
        ("connect { ca_config { x = 1 } }", "1 connect.ca_config.x: is no setting"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, found):
    told = problems(text)
    assert any(one.startswith(found) for one in told), told


def test_all_problems_at_once_in_the_order_of_their_lines():
    text = 'bogus = 1\nlog_level = "x"\nhttp_addr = "y"\nstate_dir = "z"\nadmin_role = "w"\n'
    assert [int(one.split()[0]) for one in problems(text)] == [1, 2, 3, 4, 5]


def test_a_problem_of_a_json_file_has_its_line_too():
    assert problems('{\n "node_name": "a/b"\n}', "c.json")[0].startswith("2 node_name: ")


@pytest.mark.parametrize(
    ("file", "text"),
    [("c.hcl", "a = "), ("c.json", "{"), ("c.json", "[]"), ("c.hcl", 'a = "1"\na = "2"')],
)
def test_a_file_that_is_none_is_one_problem(file, text):
    assert len(problems(text, file)) == 1


def test_a_private_key_is_in_no_problem():
    text = 'connect { ca_config { private_key = "-----BEGIN SECRET" } }'
    (found,) = problems(text)
    assert "SECRET" not in found
    assert "PrivateKey" in found


TLS = 'http_tls { cert_file = "/c" key_file = "/k" }\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "without tokens"),
        (TLS, "without tokens"),
        ("acl { enabled = true }", "without http_tls"),
        (
            TLS + 'acl { enabled = true default_policy = "allow" }',
            'while acl.default_policy is "al',
        ),
        (TLS + "acl { enabled = true }", ""),
    ],
)
def test_beyond_loopback_the_api_needs_tls_and_tokens(text, why):
    found = parse_config("c.hcl", text).loopback_only
    assert found.startswith(why)
    assert bool(found) is bool(why)
