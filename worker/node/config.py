"""The node's configuration file, from plain data to checked values.  ●

Belongs here: keys, types, defaults and bounds. Never here: reading the file (`worker.node.document`).

Every problem is told at once. Unknown keys are problems, as a misspelt key would be a setting that silently
does nothing.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec

from cluster.errors import ConfigError, Problem
from worker.settings import Limits

from .pace import MAX_CHANGES_PER_SECOND

MAX_WORKERS = 256
#: `node/workers.ipc` and others lie in the runtime folder, and a unix path holds 107 bytes.
MAX_RUNTIME_DIR_BYTES = 107 - len("/node/workers.ipc")
LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
LOG_FORMATS = ("console", "json")
_LATER = ("tracing", "access_log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host, by name or IP, and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """What an operator has decided for one node. `services` are definitions in Consul's spelling."""

    node_name: str
    workers: int
    datacenter: str = "dc1"
    state_dir: Path = Path("/var/lib/lockgate")
    runtime_dir: Path = Path("/run/lockgate")
    log_level: str = "info"
    log_format: str = "console"
    metrics_addr: Address = Address(host="127.0.0.1", port=9464)
    coordinators: tuple[Address, ...] = ()
    coordinator_key: str = ""
    bus_key_file: Path | None = None
    enrol_token_file: Path | None = None
    services: tuple[dict[str, Any], ...] = ()
    limits: Limits = field(default_factory=Limits)
    max_changes_per_second: int = MAX_CHANGES_PER_SECOND


class _Bad(Exception):
    """One value is not acceptable; the message says why."""


Reader = Callable[[Any], Any]


def decode_config(
    plain: Mapping[str, Any], *, file: str = "", host_name: str, cores: int
) -> NodeConfig:
    """The configuration that a document holds; `host_name` and `cores` are defaults of this host.

    Raises ConfigError with every problem.
    """
    problems: list[Problem] = []

    def complain(path: str, message: str) -> None:
        problems.append(Problem(path=path, message=message, file=file))

    found: dict[str, Any] = {"node_name": host_name, "workers": cores}
    for key, value in plain.items():
        if key in _LATER:
            complain(key, "not supported yet")
        elif key == "limits":
            found["limits"] = _limits(value, complain)
        elif (known := _READERS.get(key)) is None:
            complain(key, f"unknown key; known are {', '.join(sorted((*_READERS, 'limits')))}")
        else:
            name, reader = known
            try:
                found[name] = reader(value)
            except _Bad as bad:
                complain(key, str(bad))
    for path, message in _missing(found, plain):
        complain(path, message)
    if problems:
        raise ConfigError(problems)
    return NodeConfig(**found)


def _missing(found: Mapping[str, Any], plain: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if found.get("coordinators"):
        for key in ("coordinator_key", "bus_key_file"):
            if not plain.get(key):
                yield key, "is needed, as the bus is encrypted: see `lockgate keygen`"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _Bad(f"expected text, not {value!r}")
    return value


def _key(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 40:
        raise _Bad("expected a public CURVE key of 40 characters")
    return value


def _one_of(choices: tuple[str, ...]) -> Reader:
    def read(value: Any) -> str:
        if value not in choices:
            raise _Bad(f"expected one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return read


def _path(value: Any) -> Path:
    path = Path(_text(value))
    if not path.is_absolute():
        raise _Bad(f"expected an absolute path, not {value!r}")
    return path


def _runtime_dir(value: Any) -> Path:
    path = _path(value)
    if len(bytes(path)) > MAX_RUNTIME_DIR_BYTES:
        raise _Bad(
            f"the path has {len(bytes(path))} bytes, of {MAX_RUNTIME_DIR_BYTES} that leave room "
            "for the names of sockets in it"
        )
    return path


def _whole(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _Bad(f"expected a whole number from {least} to {most}, not {value!r}")
    return value


def _workers(value: Any) -> int:
    return _whole(value, 1, MAX_WORKERS)


def _changes(value: Any) -> int:
    return _whole(value, 1, 1_000_000)


def _address(value: Any) -> Address:
    host, separator, port = _text(value).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or int(port) > 65535:
        raise _Bad(f"expected host:port, not {value!r}")
    return Address(host=host, port=int(port))


def _metrics_address(value: Any) -> Address:
    address = _address(value)
    try:
        ipaddress.ip_address(address.host)
    except ValueError:
        raise _Bad(f"expected an IP address and a port, not {value!r}") from None
    return address


def _coordinators(value: Any) -> tuple[Address, ...]:
    if not isinstance(value, list | tuple):
        raise _Bad(f"expected a list of host:port, not {value!r}")
    addresses = tuple(_address(item) for item in value)
    if any(address.port == 0 for address in addresses):
        raise _Bad("port 0 is nobody's")
    return addresses


def _services(value: Any) -> tuple[dict[str, Any], ...]:
    """One `service` block or several; what is in them is the coordinator's to judge."""
    blocks = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(block, dict) for block in blocks):
        raise _Bad("expected blocks")
    return tuple(blocks)


#: By key of the file: the field it fills, and how.
_READERS: dict[str, tuple[str, Reader]] = {
    "datacenter": ("datacenter", _text),
    "node_name": ("node_name", _text),
    "state_dir": ("state_dir", _path),
    "runtime_dir": ("runtime_dir", _runtime_dir),
    "log_level": ("log_level", _one_of(LOG_LEVELS)),
    "log_format": ("log_format", _one_of(LOG_FORMATS)),
    "metrics_addr": ("metrics_addr", _metrics_address),
    "coordinators": ("coordinators", _coordinators),
    "coordinator_key": ("coordinator_key", _key),
    "bus_key_file": ("bus_key_file", _path),
    "enrol_token_file": ("enrol_token_file", _path),
    "workers": ("workers", _workers),
    "max_changes_per_second": ("max_changes_per_second", _changes),
    "service": ("services", _services),
}
assert {name for name, _ in _READERS.values()} | {"limits"} == {f.name for f in fields(NodeConfig)}

_LIMITS = {one.name: one.type for one in msgspec.structs.fields(Limits)}


def _limits(value: Any, complain: Callable[[str, str], None]) -> Limits:
    """The `limits` block; an HCL reader may give a list of one."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        complain("limits", "expected one block")
        return Limits()
    found = {}
    for key, number in value.items():
        try:
            found[key] = _limit(key, number)
        except _Bad as bad:
            complain(f"limits.{key}", str(bad))
    return Limits(**found)


def _limit(key: str, number: Any) -> Any:
    if key not in _LIMITS:
        raise _Bad(f"unknown key; known are {', '.join(sorted(_LIMITS))}")
    if key == "max_connections":
        return _whole(number, 1, 10_000_000)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise _Bad(f"expected seconds as a number, not {number!r}")
    least = 0 if key == "drain_grace_seconds" else 0.001
    if not least <= number <= 365 * 24 * 3600:
        raise _Bad(f"expected seconds from {least} to a year, not {number!r}")
    return float(number)
