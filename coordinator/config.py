"""The coordinator's configuration file: what may stand in it, and what holds where nothing does.  ●

Belongs here: keys, defaults and their rules. Never here: reading from disk, or wanted state.
"""

import re
import socket
from collections.abc import Iterator
from typing import Any

import msgspec

from cluster.documents.document import Node
from cluster.documents.reading import read_document
from cluster.errors import ConfigError, Problem
from coordinator.ca.config import parse_config as parse_ca_config
from coordinator.entries.report import Finding, Report
from coordinator.entries.scalars import Flag, Opaque, Text
from coordinator.entries.schema import Field, Object, OpaqueTable

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
ADMIN_ROLES = ("management", "operator", "read")
LOG_FORMATS = ("console", "json")


class HttpTls(msgspec.Struct, frozen=True, kw_only=True):
    """Files of the API's certificate; with `ca_file` clients must show one that it has issued."""

    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""


class CoordinatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses are `host:port`, paths absolute; an empty `http_addr` keeps the API off TCP."""

    datacenter: str = "dc1"
    node_name: str = ""
    state_dir: str = "/var/lib/lockgate"
    runtime_dir: str = "/run/lockgate"
    log_level: str = "info"
    log_format: str = "console"
    metrics_addr: str = "127.0.0.1:9465"
    admin_socket: str = ""
    admin_group: str = ""
    http_addr: str = ""
    bus_addr: str = "0.0.0.0:7400"
    bus_key_file: str = ""
    default_intention_policy: str = "deny"
    admin_role: str = "operator"
    acl_enabled: bool = False
    acl_default_policy: str = "deny"
    http_tls: HttpTls | None = None
    sqlite_path: str = ""
    ca_config: dict[str, Any] = {}

    @property
    def own_node(self) -> str:
        """The catalog's name for this host."""
        return self.node_name or socket.gethostname()

    @property
    def admin_path(self) -> str:
        """The admin socket: by default in the runtime folder, `/run/lockgate/admin.sock`."""
        return self.admin_socket or f"{self.runtime_dir}/admin.sock"

    @property
    def loopback_only(self) -> str:
        """Why the API may be served on loopback alone; empty if it may be served elsewhere too."""
        if not self.acl_enabled:
            return "without tokens (acl { enabled = true })"
        if self.acl_default_policy == "allow":
            return 'while acl.default_policy is "allow"'
        return "" if self.http_tls else "without http_tls { cert_file key_file }"

    @property
    def key_file(self) -> str:
        return self.bus_key_file or f"{self.state_dir}/bus.key"


_TEXTS = (
    "datacenter",
    "node_name",
    "state_dir",
    "runtime_dir",
    "log_level",
    "log_format",
    "metrics_addr",
    "admin_socket",
    "admin_group",
    "admin_role",
    "http_addr",
    "bus_addr",
    "bus_key_file",
    "default_intention_policy",
)
_CONNECT = Object(
    Field(name="enabled", shape=Flag()),
    Field(name="ca_provider", shape=Text()),
    Field(name="ca_config", shape=OpaqueTable()),
)
_ACL = Object(
    Field(name="enabled", shape=Flag()),
    Field(name="default_policy", shape=Text()),
)
_HTTP_TLS = Object(
    *(Field(name=name, shape=Text()) for name in ("cert_file", "key_file", "ca_file"))
)
_STORE = Object(
    Field(name="sqlite", shape=Object(Field(name="path", shape=Text()))),
    Field(name="etcd", shape=Opaque()),
)
_SHAPE = Object(
    *(Field(name=name, shape=Text()) for name in _TEXTS),
    Field(name="connect", shape=_CONNECT),
    Field(name="acl", shape=_ACL),
    Field(name="store", shape=_STORE),
    Field(name="http_tls", shape=_HTTP_TLS),
    Field(name="limits", shape=Opaque()),
)

_DATACENTER = re.compile(r"[a-z0-9_-]{1,63}")  # it is a label of server names, as in Consul
_NODE_NAME_LIMIT = 128
_PATHS = ("state_dir", "runtime_dir", "admin_socket", "bus_key_file")
#: What has a default, and means nothing when it is empty.
_NEEDED = ("state_dir", "runtime_dir", "metrics_addr", "bus_addr")


def parse_config(file: str, text: str) -> CoordinatorConfig:
    """The configuration in a file's text, HCL or JSON. Raises `ConfigError` with every problem."""
    node, problems = read_document(file, text)
    if node is None or problems:
        raise ConfigError(problems or (Problem(file=file, message="the file is empty"),))
    return _decode(file, node)


def _decode(file: str, node: Node) -> CoordinatorConfig:
    report = Report(file)
    read = _SHAPE.read(node, "", report)
    values = dict(read) if isinstance(read, dict) else {}
    report.extend(Finding(path, message) for path, message in _problems(values))
    if found := report.sorted():
        raise ConfigError(found)
    texts = {name: values[name] for name in _TEXTS if name in values}
    if "datacenter" in texts:
        texts["datacenter"] = texts["datacenter"].lower()
    return CoordinatorConfig(
        **texts,
        sqlite_path=_below(values, "store", "sqlite").get("path", ""),
        acl_enabled=_below(values, "acl").get("enabled", False),
        acl_default_policy=_below(values, "acl").get("default_policy") or "deny",
        http_tls=HttpTls(**tls) if (tls := _below(values, "http_tls")) else None,
        ca_config=_below(values, "connect").get("ca_config") or {},
    )


def _below(values: dict[str, Any], *names: str) -> dict[str, Any]:
    """The table at this place, empty if there is none."""
    for name in names:
        values = values.get(name) or {}
    return values


def _problems(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _one_of(values, "default_intention_policy", ("allow", "deny"))
    yield from _one_of(values, "admin_role", ADMIN_ROLES)
    yield from _one_of(values, "log_level", LOG_LEVELS)
    yield from _one_of(values, "log_format", LOG_FORMATS)
    yield from _name_problems(values)
    yield from _path_problems(values)
    yield from _address_problems(values)
    yield from _tls_problems(_below(values, "http_tls"))
    yield from _not_yet(values)
    policy = _below(values, "acl").get("default_policy", "")
    if policy not in ("", "allow", "deny"):
        yield "acl.default_policy", f"{policy[:40]!r} is not one of allow, deny"
    yield from _connect_problems(_below(values, "connect"))


def _name_problems(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not _DATACENTER.fullmatch(values.get("datacenter", "dc1").lower()):
        rule = "1 to 63 letters, digits, hyphens and underscores"
        yield "datacenter", f"{values['datacenter'][:80]!r} is not {rule}"
    name = values.get("node_name", "")
    if "/" in name or not name.isprintable() or len(name) > _NODE_NAME_LIMIT:
        rule = f"at most {_NODE_NAME_LIMIT} characters without a slash"
        yield "node_name", f"{name[:80]!r} is not {rule}"


def _path_problems(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in _NEEDED:
        if values.get(name) == "":
            yield name, "is empty"
    for name in _PATHS:
        if values.get(name) and not values[name].startswith("/"):
            yield name, f"expected an absolute path, found {values[name][:80]!r}"
    database = _below(values, "store", "sqlite").get("path", "")
    if database and not database.startswith("/"):
        yield "store.sqlite.path", f"expected an absolute path, found {database[:80]!r}"


def _address_problems(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("metrics_addr", "http_addr", "bus_addr"):
        if values.get(name) and not _is_address(values[name]):
            yield name, f"{values[name][:80]!r} is not host:port"


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    digits = port.isascii() and port.isdigit() and len(port) <= 5
    return bool(host) and digits and int(port) < 65536


def _tls_problems(tls: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("cert_file", "key_file"):
        if tls and not tls.get(name):
            yield f"http_tls.{name}", "is required"
    for name, path in tls.items():
        if path and not path.startswith("/"):
            yield f"http_tls.{name}", f"expected an absolute path, found {path[:80]!r}"


def _not_yet(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Keys of the contract that this version does not act on: silence would be a lie."""
    if values.get("limits"):
        yield "limits", "not supported yet"
    if "etcd" in _below(values, "store"):
        yield "store.etcd", "not supported yet"


def _connect_problems(connect: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if connect.get("enabled") is False:
        yield "connect.enabled", "cannot be switched off"
    if connect.get("ca_provider", "") not in ("", "consul"):
        yield "connect.ca_provider", f"{connect['ca_provider'][:40]!r} is not supported yet"
    try:
        parse_ca_config(connect.get("ca_config") or {})
    except ConfigError as error:
        for problem in error.problems:
            yield f"connect.ca_config.{problem.path}", problem.message


def _one_of(
    values: dict[str, Any], name: str, allowed: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    if name in values and values[name] not in allowed:
        yield name, f"{values[name][:40]!r} is not one of {', '.join(allowed)}"
