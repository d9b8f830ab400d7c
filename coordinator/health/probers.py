"""Which one gateway host asks about a check of the mesh's own workloads. Pure.

Belongs here: whether a check is such a one, and the choice of its host. Never here: the checks of what
terminating gateways dial (`probes`), or what a definition says.

In Consul the agent beside a program asks it. Here the gateway host of the check's own node does, if there is
one that is connected: to it `localhost` is what the check's author meant. Else one of the hosts that dial
sidecars anyway, for ingress and mesh gateways; else any. One host per check, chosen by a hash of both names
(highest random weight), so that a host that goes moves only its own checks, and back when it returns.

A target on loopback is asked about by the check's own host only, or by one whose address is loopback as the
node's is: then all of them are one machine.
"""

import hashlib
import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cluster.catalog import Kind
from cluster.routes import GatewayKind
from coordinator.compose.catalog import is_native
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import NODES, SERVICES

#: What Consul's agents call the checks that they do themselves and that hosts do here.
_AGENTS = ("http", "tcp", "grpc")
#: Kinds of gateways whose hosts dial sidecars.
_DIALLERS = (GatewayKind.INGRESS, GatewayKind.MESH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workloads:
    """What the catalog says of who is in the mesh, and of who could ask."""

    inside: frozenset[str]  # keys of instances, `node/id`
    connected: tuple[str, ...]
    diallers: frozenset[str]
    local: frozenset[str]  # nodes with an address on loopback

    def includes(self, check: Record) -> bool:
        """Whether it is a workload's: registered with an agent, or of an instance of the mesh."""
        if check.value.get("Type") in _AGENTS:
            return True
        return f"{_node(check)}/{check.value.get('ServiceID', '')}" in self.inside

    def host_for(self, check: Record, target: str) -> str | None:
        """The connected host that asks about `target`; None if none may."""
        node = _node(check)
        if node in self.connected:
            return node
        able = self.connected
        if on_loopback(target):
            able = tuple(host for host in able if {host, node} <= self.local)
        preferred = [host for host in able if host in self.diallers]
        return max(preferred or able, key=lambda host: _weight(host, check.key), default=None)


def workloads(state: State, connected: Collection[str]) -> Workloads:
    """As the catalog is, with these nodes connected."""
    values = {key: record.value for key, record in state.table(SERVICES).items()}
    nodes = state.table(NODES).items()
    return Workloads(
        inside=_inside(values),
        connected=tuple(sorted(connected)),
        diallers=frozenset(
            key.partition("/")[0] for key, one in values.items() if one.get("Kind") in _DIALLERS
        ),
        local=frozenset(key for key, record in nodes if _is_loopback(record.value["Address"])),
    )


def _inside(values: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
    """Sidecars, those that speak the mesh's TLS themselves, and those that a sidecar stands for."""
    found: set[str] = set()
    fronted: set[tuple[str, str, str]] = (
        set()
    )  # node, service, and id, which may be empty: all of them
    for key, value in values.items():
        if value.get("Kind") == Kind.CONNECT_PROXY:
            proxy = value.get("Proxy") or {}
            service = proxy.get("DestinationServiceName", "")
            fronted.add((key.partition("/")[0], service, proxy.get("DestinationServiceID") or ""))
            found.add(key)
        elif is_native(value):
            found.add(key)
    for key, value in values.items() if fronted else ():
        node, _, identity = key.partition("/")
        if not fronted.isdisjoint((node, value["Service"], one) for one in ("", identity)):
            found.add(key)
    return frozenset(found)


def on_loopback(target: str) -> bool:
    """Whether a URL or `host:port`, with or without a path, means the host that asks."""
    url = target if "://" in target else f"//{target}"
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False  # an address that none is: asking will say so
    return _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost") or host.endswith(".localhost")


def _weight(host: str, check: str) -> bytes:
    return hashlib.blake2b(f"{host}\n{check}".encode(), digest_size=8).digest()


def _node(check: Record) -> str:
    return check.key.partition("/")[0]
