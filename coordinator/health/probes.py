"""Which active checks which gateway hosts probe, from the catalog. Pure.

Belongs here: the rule, and reading a check's definition. Never here: sending it, or what is found.

A check is probed if its definition names HTTP, TCP or gRPC and its instance is

- one that a terminating gateway dials (`compose.linking`): the instance's own checks and those of its
  synthetic node. Each host on which such a gateway listens probes it, as each has a way of its own;
- else a workload of the mesh, or an agent's: one host that is connected does (`probers`).

Nobody asks about anything else: an external service that is not linked may have a monitor of its own.

A definition is kept as it was registered. It is read here, and one that makes no sense is named and not
probed. Sources: Consul, "Health checks" and "Register external services" (consul-esm).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cluster.durations import parse_duration
from cluster.probes import MAX_OUTPUT_BYTES, Probe, ProbeKind
from cluster.routes import GatewayKind
from coordinator.compose.catalog import is_native
from coordinator.compose.linking import Link, gateway_services
from coordinator.compose.listeners import listeners
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, SERVICES

from .probers import Workloads, workloads

#: Who asks for less gets this, as in Consul.
MIN_INTERVAL_SECONDS = 1.0
DEFAULT_INTERVAL_SECONDS = 30.0
DEFAULT_TIMEOUT_SECONDS = 10.0
#: More than this would not fit a prober; the rest is named.
MOST_PROBES = 10_000
#: What of a check says how it is done, and by whom.
_READ = ("ServiceID", "Type", "Interval", "Timeout", "Definition")
_KINDS = {"http": ProbeKind.HTTP, "tcp": ProbeKind.TCP, "grpc": ProbeKind.GRPC}

#: Checks that name something to probe, by node and service id; by node, its probes by check.
_Active: TypeAlias = Mapping[tuple[str, str], list[Record]]
_Found: TypeAlias = defaultdict[str, dict[str, Probe]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """What each node probes, in order of the checks; and by check's key why one is not probed."""

    by_node: Mapping[str, tuple[Probe, ...]]
    refused: Mapping[str, str]


def assigned(state: State, connected: Collection[str] = ()) -> Assigned:
    """Who probes what in this state of the catalog, with these nodes connected."""
    active = _active_checks(state)
    if not active:
        return Assigned(by_node={}, refused={})
    found: _Found = defaultdict(dict)
    refused: dict[str, str] = {}
    linked = _assign_linked(state, active, found, refused)
    others = (check for checks in active.values() for check in checks if check.key not in linked)
    _assign_workloads(others, workloads(state, connected), found, refused)
    return _bounded(found, refused)


def _assign_linked(
    state: State, active: _Active, found: _Found, refused: dict[str, str]
) -> frozenset[str]:
    """Those that terminating gateways dial, to all their hosts. The keys of these checks."""
    hosts = _hosts(state)
    checks = _checks_of_plain(state, active)
    seen: set[str] = set()
    for link in gateway_services(state) if checks else ():
        for check in checks.get(link.service, ()) if link.gateway in hosts else ():
            seen.add(check.key)
            try:
                probe = probe_of(check, link)
            except ValueError as error:
                refused[check.key] = str(error)
                continue
            for host in hosts[link.gateway]:
                found[host].setdefault(check.key, probe)
    return frozenset(seen)


def _assign_workloads(
    checks: Iterable[Record], among: Workloads, found: _Found, refused: dict[str, str]
) -> None:
    """Those of workloads, each to one host. While nobody is connected, nobody is missed."""
    for check in checks:
        if not among.connected or not among.includes(check):
            continue
        try:
            probe = probe_of(check)
        except ValueError as error:
            refused[check.key] = str(error)
            continue
        host = among.host_for(check, probe.target)
        if host is None:
            node = check.key.partition("/")[0]
            refused[check.key] = f"{probe.target[:100]} means node {node!r}, which is not connected"
        else:
            found[host][check.key] = probe


def _bounded(found: Mapping[str, Mapping[str, Probe]], refused: dict[str, str]) -> Assigned:
    by_node: dict[str, tuple[Probe, ...]] = {}
    for node, probes in found.items():
        keys = sorted(probes)
        by_node[node] = tuple(probes[key] for key in keys[:MOST_PROBES])
        for key in keys[MOST_PROBES:]:
            refused[key] = f"node {node!r} has {MOST_PROBES} checks to probe already"
    return Assigned(by_node=by_node, refused=refused)


def asked_for(state: State) -> Mapping[str, tuple[object, ...]]:
    """All of the checks that `assigned` looks at, by key: not their status, which is news all the time."""
    active = (record for found in _active_checks(state).values() for record in found)
    return {record.key: tuple(map(record.value.get, _READ)) for record in active}


def _active_checks(state: State) -> _Active:
    """Checks that name something to probe, by node and service id; empty for those of the node."""
    found: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in state.table(CHECKS).values():
        definition = record.value.get("Definition")
        if isinstance(definition, dict) and _KINDS.keys() & _lowered(definition).keys():
            node = record.key.partition("/")[0]
            found[node, record.value.get("ServiceID", "")].append(record)
    return found


def _hosts(state: State) -> Mapping[str, tuple[str, ...]]:
    """The nodes on which each terminating gateway listens."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for listener in listeners(state)[0]:
        if listener.kind is GatewayKind.TERMINATING:
            found[listener.gateway].add(listener.node)
    return {gateway: tuple(sorted(nodes)) for gateway, nodes in found.items()}


def _checks_of_plain(state: State, active: _Active) -> Mapping[str, list[Record]]:
    """By service, the checks of its instances outside the mesh: what `Catalog.plain` gives, unread."""
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for key, record in state.table(SERVICES).items():
        node, _, identity = key.partition("/")
        checks = (*active.get((node, ""), ()), *active.get((node, identity), ()))
        if checks and not record.value.get("Kind") and not is_native(record.value):
            found[record.value["Service"]] += checks
    return found


def probe_of(check: Record, link: Link | None = None) -> Probe:
    """How to probe this check, and by which gateway's TLS. Raises ValueError with what makes no sense."""
    read = _Definition(check)
    name, kind = next((name, kind) for name, kind in _KINDS.items() if name in read.fields)
    target = read.text(name)
    if kind is ProbeKind.HTTP and not target.lower().startswith(("http://", "https://")):
        raise ValueError(f"HTTP: {target[:100]!r} is no http or https URL")
    interval = read.seconds("interval", DEFAULT_INTERVAL_SECONDS)
    return Probe(
        check=check.key,
        kind=kind,
        target=target,
        interval_seconds=max(interval, MIN_INTERVAL_SECONDS),
        timeout_seconds=read.seconds("timeout", DEFAULT_TIMEOUT_SECONDS),
        tls=read.flag(f"{name}usetls"),
        skip_verify=read.flag("tlsskipverify"),
        server_name=read.text("tlsservername") or (link.sni if link else ""),
        ca_file=link.ca_file if link else "",
        cert_file=link.cert_file if link else "",
        key_file=link.key_file if link else "",
        method=read.text("method").upper() or "GET",
        headers=tuple(read.headers()),
        body=read.text("body"),
        follow_redirects=not read.flag("disableredirects"),
        output_bytes=min(read.count("outputmaxsize") or MAX_OUTPUT_BYTES, MAX_OUTPUT_BYTES),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """How many results in a row it takes to change a status. Source: Consul, "Health checks"."""

    success_before_passing: int = 0
    failures_before_warning: int = 0
    failures_before_critical: int = 0


def thresholds_of(check: Record) -> Thresholds:
    """Those of a check; the one for warning is by default that for critical. Raises ValueError."""
    read = _Definition(check)
    critical = read.count("failuresbeforecritical")
    return Thresholds(
        success_before_passing=read.count("successbeforepassing"),
        failures_before_warning=read.count("failuresbeforewarning") or critical,
        failures_before_critical=critical,
    )


def _lowered(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Go reads names of any case; an empty field is none."""
    return {str(name).lower(): value for name, value in definition.items() if value}


class _Definition:
    """The fields of a check's definition by their lower-case names; each read raises ValueError."""

    def __init__(self, check: Record) -> None:
        self.fields = _lowered(check.value.get("Definition") or {})
        self._check = check.value

    def text(self, name: str) -> str:
        return str(self._typed(name, str, "text", ""))

    def flag(self, name: str) -> bool:
        return bool(self._typed(name, bool, "true or false", False))

    def count(self, name: str) -> int:
        count = int(self._typed(name, int, "a whole number", 0))
        if count < 0:
            raise ValueError(f"{name}: {count} is negative")
        return count

    def seconds(self, name: str, default: float) -> float:
        """A duration, as text or in nanoseconds, where consul-esm and Consul look for it."""
        for found in (self.fields.get(name), self.fields.get(f"{name}duration")):
            if found:
                return _seconds(name, found)
        kept = self._check.get(name.capitalize())
        return _seconds(name, kept) if kept else default

    def headers(self) -> Iterator[tuple[str, str]]:
        for name, values in self._typed("header", dict, "a table of lists", {}).items():
            for value in values if isinstance(values, list) else [values]:
                if not isinstance(value, str):
                    raise ValueError(f"header: {name!r} has a value that is no text")
                yield str(name), value

    def _typed(self, name: str, kind: type, called: str, default: Any) -> Any:
        value = self.fields.get(name, default)
        if not isinstance(value, kind):
            raise ValueError(f"{name}: {str(value)[:40]!r} is not {called}")
        return value


def _seconds(name: str, value: Any) -> float:
    try:
        nanoseconds = parse_duration(value) if isinstance(value, str) else int(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
    if nanoseconds <= 0:
        raise ValueError(f"{name}: {value!r} is not positive")
    return nanoseconds / 1e9
