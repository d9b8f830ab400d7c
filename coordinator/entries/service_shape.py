"""A service instance: the fields and rules that a definition and a registration have in common.

Belongs here: addresses, ports, weights, `Proxy` and `Connect` of one instance, and Consul's rules for
gateways and proxies (consul-gateways.md 7.1, 7.2). Never here: the two documents around it
(`services`, `registrations`).
"""

import ipaddress
import re
from collections.abc import Iterator

from .kind import META_KEY_BYTES, Body, meta_rules
from .proxy_fields import COMMON, MESH_GATEWAY, PORT, mesh_gateway_rules
from .report import Finding, join
from .scalars import Flag, Opaque, Tenancy, Text, Whole
from .schema import Field, ListOf, Object, OpaqueTable, TableOf

PROXY_KIND = "connect-proxy"
GATEWAY_KINDS = ("mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway")
KINDS = ("", PROXY_KIND, *GATEWAY_KINDS)
_PORTLESS = ("ingress-gateway", "api-gateway")
_META_KEY = re.compile(r"[A-Za-z0-9_-]+")
_RESERVED = "consul-"
_WAN_FEDERATION = "consul-wan-federation"
_WEIGHT = Whole(0, 65535)

ADDRESS = Object(Field(name="Address", shape=Text()), Field(name="Port", shape=PORT))
TENANCY = (
    Field(name="Namespace", shape=Tenancy("namespace")),
    Field(name="Partition", shape=Tenancy("partition")),
)


def upstream(strict: bool) -> Object:
    """An element of `Proxy.Upstreams`."""
    return Object(
        Field(name="DestinationType", shape=Text()),
        Field(name="DestinationName", shape=Text()),
        Field(name="DestinationNamespace", shape=Tenancy("namespace")),
        Field(name="DestinationPartition", shape=Tenancy("partition")),
        Field(name="DestinationPeer", shape=Text()),
        Field(name="Datacenter", shape=Text()),
        Field(name="LocalBindAddress", shape=Text()),
        Field(name="LocalBindPort", shape=PORT),
        Field(name="LocalBindSocketPath", shape=Text()),
        Field(name="LocalBindSocketMode", shape=Text()),
        Field(name="Config", shape=OpaqueTable()),
        MESH_GATEWAY,
        strict=strict,
    )


def proxy(strict: bool) -> Object:
    """`Proxy` of a connect-proxy or a gateway."""
    return Object(
        Field(name="DestinationServiceName", shape=Text(), also=("DestinationService",)),
        Field(name="DestinationServiceID", shape=Text()),
        Field(name="LocalServiceAddress", shape=Text()),
        Field(name="LocalServicePort", shape=PORT),
        Field(name="LocalServiceSocketPath", shape=Text()),
        Field(name="Config", shape=OpaqueTable()),
        Field(name="Upstreams", shape=ListOf(upstream(strict))),
        *COMMON,
        Field(name="AccessLogs", shape=OpaqueTable()),
        strict=strict,
    )


def instance_fields(strict: bool) -> tuple[Field, ...]:
    """The fields of an instance, but for its name and `Connect`."""
    return (
        Field(name="Kind", shape=Text()),
        Field(name="Tags", shape=ListOf(Text())),
        Field(name="Address", shape=Text()),
        Field(name="Port", shape=PORT),
        Field(name="SocketPath", shape=Text()),
        Field(name="Meta", shape=TableOf()),
        Field(name="TaggedAddresses", shape=TableOf(ADDRESS)),
        Field(
            name="Weights",
            shape=Object(
                Field(name="Passing", shape=_WEIGHT, keep=True),
                Field(name="Warning", shape=_WEIGHT, keep=True),
            ),
        ),
        Field(name="EnableTagOverride", shape=Flag()),
        Field(name="Proxy", shape=proxy(strict)),
        Field(name="Locality", shape=Opaque()),
        *TENANCY,
    )


def instance_rules(service: Body, path: str) -> Iterator[Finding]:
    """What is wrong with one instance; its name is the business of the document around it."""
    kind = service.get("Kind", "")
    if kind not in KINDS:
        message = f"unknown kind {kind[:64]!r}, must be one of {', '.join(KINDS[1:])}"
        yield Finding(join(path, "Kind"), message)
    if is_any(service.get("Address", "")):
        yield Finding(join(path, "Address"), f"invalid service address {service['Address']}")
    yield from service_meta_rules(service.get("Meta", {}), kind, join(path, "Meta"))
    yield from mesh_gateway_rules(service.get("Proxy", {}), join(path, "Proxy"))
    yield from _upstream_rules(service, join(path, "Proxy.Upstreams"))
    if kind in GATEWAY_KINDS:
        yield from _gateway_rules(service, path)
    if kind == PROXY_KIND:
        yield from _proxy_rules(service, path)


def full_weights(service: Body) -> Body:
    """The instance with both weights, when it has any; a weight that was left out is 1."""
    if "Weights" not in service:
        return service
    return service | {"Weights": {"Passing": 1, "Warning": 1} | service["Weights"]}


def is_any(address: str) -> bool:
    """Whether the address is 0.0.0.0 or ::, which nobody can dial."""
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def service_meta_rules(meta: dict[str, str], kind: str, path: str) -> Iterator[Finding]:
    """Keys of letters, digits, dash and underscore, none that Consul reserves."""
    yield from meta_rules(meta, path)
    for key in meta:
        place = join(path, key[:META_KEY_BYTES])
        if not _META_KEY.fullmatch(key):
            yield Finding(place, f"the key {key[:64]!r} holds more than A-Z, a-z, 0-9, - and _")
        allowed = key == _WAN_FEDERATION and kind == "mesh-gateway"
        if key.startswith(_RESERVED) and not allowed:
            yield Finding(place, f"keys that start with {_RESERVED} are reserved")


def _gateway_rules(service: Body, path: str) -> Iterator[Finding]:
    kind, connect = service["Kind"], service.get("Connect", {})
    if not service.get("Port") and kind not in _PORTLESS:
        yield Finding(join(path, "Port"), f"Port must be non-zero for a {kind}")
    if connect.get("SidecarService") is not None:
        place = join(path, "Connect.SidecarService")
        yield Finding(place, f"a {kind} cannot have a sidecar service")
    forbidden = (
        *("DestinationServiceName", "DestinationServiceID", "LocalServiceAddress"),
        *("LocalServicePort", "LocalServiceSocketPath", "Upstreams"),
    )
    for name in forbidden:
        if service.get("Proxy", {}).get(name):
            yield Finding(join(path, f"Proxy.{name}"), f"{name} is not allowed for a {kind}")


def _proxy_rules(service: Body, path: str) -> Iterator[Finding]:
    name = service.get("Proxy", {}).get("DestinationServiceName", "")
    if name in ("", "*"):
        problem = "cannot be a wildcard" if name else "must be non-empty"
        place = join(path, "Proxy.DestinationServiceName")
        yield Finding(place, f"DestinationServiceName {problem} for a {PROXY_KIND}")
    if not service.get("Port") and not service.get("SocketPath"):
        yield Finding(join(path, "Port"), f"Port or SocketPath must be set for a {PROXY_KIND}")
    if service.get("Connect", {}).get("Native"):
        place = join(path, "Connect.Native")
        yield Finding(place, f"a {PROXY_KIND} cannot also be connect-native")


def _upstream_rules(service: Body, path: str) -> Iterator[Finding]:
    bound: dict[str, int] = {}
    for index, one in enumerate(service.get("Proxy", {}).get("Upstreams", [])):
        place = f"{path}[{index}]"
        if one.get("DestinationName", "") in ("", "*"):
            message = "an upstream's DestinationName is required, and no wildcard"
            yield Finding(f"{place}.DestinationName", message)
        if one.get("DestinationType", "") not in ("", "service", "prepared_query"):
            message = "DestinationType must be service or prepared_query"
            yield Finding(f"{place}.DestinationType", message)
        if bool(one.get("LocalBindPort")) == bool(one.get("LocalBindSocketPath")):
            message = "an upstream has either LocalBindPort or LocalBindSocketPath"
            yield Finding(f"{place}.LocalBindPort", message)
        yield from mesh_gateway_rules(one, place)
        where = _bind(one)
        if where and bound.setdefault(where, index) != index:
            message = f"{where} is bound already by Upstreams[{bound[where]}]"
            yield Finding(f"{place}.LocalBindPort", message)


def _bind(one: Body) -> str:
    if one.get("LocalBindSocketPath"):
        return str(one["LocalBindSocketPath"])
    port = one.get("LocalBindPort")
    return f"{one.get('LocalBindAddress') or '127.0.0.1'}:{port}" if port else ""
