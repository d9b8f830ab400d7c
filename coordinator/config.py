"""The coordinator's configuration file: what may stand in it, and what holds where nothing does.  ●

Belongs here: keys, defaults and their rules. Never here: reading from disk, or wanted state.
"""

import socket
from collections.abc import Iterator
from typing import Any

import msgspec

from cluster.documents.document import Node
from cluster.documents.reading import read_document
from cluster.errors import ConfigError, Problem
from coordinator.entries.report import Report
from coordinator.entries.scalars import Flag, Opaque, Text
from coordinator.entries.schema import Field, Object, OpaqueTable

LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("console", "json")


class CoordinatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses are `host:port`; an empty `http_addr` keeps the API off TCP."""

    datacenter: str = "dc1"
    node_name: str = ""
    state_dir: str = "/var/lib/lockgate"
    runtime_dir: str = "/run/lockgate"
    log_level: str = "info"
    log_format: str = "console"
    metrics_addr: str = "127.0.0.1:9465"
    admin_socket: str = "/run/lockgate/admin.sock"
    admin_group: str = ""
    http_addr: str = ""
    bus_addr: str = "0.0.0.0:7400"
    bus_key_file: str = ""
    default_intention_policy: str = "deny"
    ca_config: dict[str, Any] = {}

    @property
    def own_node(self) -> str:
        """The catalog's name for this host."""
        return self.node_name or socket.gethostname()

    @property
    def key_file(self) -> str:
        return self.bus_key_file or f"{self.state_dir}/bus.key"


_SHAPE = Object(
    *(
        Field(name=name, shape=Text())
        for name in (
            "datacenter",
            "node_name",
            "state_dir",
            "runtime_dir",
            "log_level",
            "log_format",
            "metrics_addr",
            "admin_socket",
            "admin_group",
            "http_addr",
            "bus_addr",
            "bus_key_file",
            "default_intention_policy",
        )
    ),
    Field(
        name="connect",
        shape=Object(
            Field(name="enabled", shape=Flag()),
            Field(name="ca_provider", shape=Text()),
            Field(name="ca_config", shape=OpaqueTable()),
        ),
    ),
    *(Field(name=name, shape=Opaque()) for name in ("http_tls", "acl", "store", "limits")),
)

#: Keys of the contract that this version does not act on. Silence would be a lie.
_NOT_YET = ("http_tls", "acl", "store", "limits")


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
    connect = values.pop("connect", None) or {}
    for name in _NOT_YET:
        if values.pop(name, None):
            report.add(name, "not supported yet")
    for path, message in _problems(values):
        report.add(path, message)
    if found := report.sorted():
        raise ConfigError(found)
    return CoordinatorConfig(ca_config=connect.get("ca_config") or {}, **values)


def _problems(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _one_of(values, "default_intention_policy", ("allow", "deny"))
    yield from _one_of(values, "log_level", LOG_LEVELS)
    yield from _one_of(values, "log_format", LOG_FORMATS)
    for name in ("metrics_addr", "http_addr", "bus_addr"):
        host, _, port = values.get(name, "h:1").rpartition(":")
        if values.get(name, "h:1") and not (host and port.isdigit() and int(port) < 65536):
            yield name, f"{values[name]!r} is not host:port"


def _one_of(
    values: dict[str, Any], name: str, allowed: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    if name in values and values[name] not in allowed:
        yield name, f"{values[name]!r} is not one of {', '.join(allowed)}"
