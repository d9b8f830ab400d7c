"""Health checks as a service definition and a catalog registration write them.

Belongs here: their fields, and the form in which the catalog keeps them. Never here: running a check
(`coordinator/health`), or what its status means for traffic.
"""

from collections.abc import Iterator
from typing import Any

from .kind import Body
from .report import Finding, join
from .scalars import Duration, Flag, Opaque, Text, Whole
from .schema import Field, ListOf, Object, TableOf

STATUSES = ("passing", "warning", "critical")
_COUNT = Whole(0, 2**31 - 1)

# How a check is done; what the catalog calls its Definition. The first eight say what is probed.
_PROBES = ("HTTP", "TCP", "UDP", "GRPC", "H2PING", "OSService", "AliasService", "AliasNode")
_PROBE_FIELDS = (
    *(Field(name=name, shape=Text()) for name in _PROBES),
    Field(name="ScriptArgs", shape=ListOf(Text()), also=("args",)),
    Field(name="DockerContainerID", shape=Text()),
    Field(name="Shell", shape=Text()),
    Field(name="TTL", shape=Duration()),
    Field(name="Interval", shape=Duration()),
    Field(name="Timeout", shape=Duration()),
    Field(name="Method", shape=Text()),
    Field(name="Header", shape=TableOf(ListOf(Text()))),
    Field(name="Body", shape=Text()),
    Field(name="DisableRedirects", shape=Flag()),
    Field(name="TLSServerName", shape=Text()),
    Field(name="TLSSkipVerify", shape=Flag()),
    Field(name="TCPUseTLS", shape=Flag()),
    Field(name="GRPCUseTLS", shape=Flag()),
    Field(name="H2PingUseTLS", shape=Flag(), keep=True),
    Field(name="OutputMaxSize", shape=_COUNT),
    Field(name="SuccessBeforePassing", shape=_COUNT),
    Field(name="FailuresBeforeWarning", shape=_COUNT),
    Field(name="FailuresBeforeCritical", shape=_COUNT),
    Field(name="DeregisterCriticalServiceAfter", shape=Duration()),
)
_DEFINITION = frozenset(field.name for field in _PROBE_FIELDS)

# What Consul's agents call a check that does this; the first that fits counts.
_TYPES = {
    "TTL": "ttl",
    "HTTP": "http",
    "TCP": "tcp",
    "UDP": "udp",
    "GRPC": "grpc",
    "H2PING": "h2ping",
    "OSService": "os_service",
    "AliasService": "alias",
    "AliasNode": "alias",
    "DockerContainerID": "docker",
    "ScriptArgs": "script",
}

_NAMES = (
    Field(name="CheckID", shape=Text(), also=("id",)),
    Field(name="Name", shape=Text()),
    Field(name="Status", shape=Text()),
    Field(name="Notes", shape=Text()),
)


def defined_check(strict: bool) -> Object:
    """A `check { … }` of a service definition."""
    ignored = ("Token", "Type", "ServiceID", "EnterpriseMeta")
    return Object(*_NAMES, *_PROBE_FIELDS, ignored=ignored, strict=strict)


def registered_check(strict: bool) -> Object:
    """An element of `Checks` in a catalog registration."""
    return Object(
        *_NAMES,
        Field(name="Node", shape=Text()),
        Field(name="ServiceID", shape=Text()),
        Field(name="ServiceName", shape=Text()),
        Field(name="ServiceTags", shape=ListOf(Text())),
        Field(name="Output", shape=Text()),
        Field(name="Type", shape=Text()),
        Field(name="Definition", shape=Opaque()),
        Field(name="Interval", shape=Text()),
        Field(name="Timeout", shape=Text()),
        Field(name="ExposedPort", shape=_COUNT),
        ignored=("CreateIndex", "ModifyIndex", "EnterpriseMeta"),
        strict=strict,
    )


def status_rules(check: Body, path: str) -> Iterator[Finding]:
    """A status is one of three, or left out."""
    status = check.get("Status", "")
    if status and status not in STATUSES:
        message = f"invalid status {status[:64]!r}, must be one of {', '.join(STATUSES)}"
        yield Finding(join(path, "Status"), message)


def probe_rules(check: Body, path: str) -> Iterator[Finding]:
    """A check either waits for reports (TTL) or probes one thing every Interval."""
    probes = [name for name in (*_PROBES, "ScriptArgs") if check.get(name)]
    alias = {"AliasService", "AliasNode"}.intersection(probes)
    if not probes and not check.get("TTL"):
        yield Finding(path, "a check needs a TTL or something to probe (HTTP, TCP, GRPC …)")
    elif len(probes) + bool(check.get("TTL")) > 1 and set(probes) != alias:
        found = " and ".join([*probes, *(["TTL"] if check.get("TTL") else [])])
        yield Finding(path, f"a check does one thing, found {found}")
    elif probes and not alias and not check.get("Interval"):
        yield Finding(join(path, "Interval"), f"an Interval is required for a {probes[0]} check")
    yield from status_rules(check, path)


def catalog_check(check: Body, service: Body, number: int, total: int) -> dict[str, Any]:
    """A defined check as the catalog keeps it; `number` counts from 1 among `total`.

    Its id defaults to `service:<id>`, followed by `:<number>` when there are several, and its status
    to critical until it was done once: as Consul's agents do.
    """
    identity = f"service:{service['ID']}" + (f":{number}" if total > 1 else "")
    return _kept(
        check,
        CheckID=check.get("CheckID") or identity,
        Name=check.get("Name") or f"Service '{service['Service']}' check",
        ServiceID=service["ID"],
        ServiceName=service["Service"],
    )


def lone_check(check: Body, service_id: str) -> dict[str, Any]:
    """A check that was registered by itself; without a service it is the node's. Its id is its name."""
    identity = check.get("CheckID") or check["Name"]
    return _kept(check, CheckID=identity, Name=check["Name"], ServiceID=service_id)


def _kept(check: Body, **names: str) -> dict[str, Any]:
    kept = names | {
        "Status": check.get("Status") or "critical",
        "Notes": check.get("Notes"),
        "Type": next((kind for name, kind in _TYPES.items() if check.get(name)), ""),
        "Interval": check.get("Interval"),
        "Timeout": check.get("Timeout"),
        "Definition": {name: value for name, value in check.items() if name in _DEFINITION},
    }
    return {name: value for name, value in kept.items() if value}
