"""The kind `service-defaults`: the protocol of a service and how it is called and calls.

Belongs here: its fields and rules (consul-gateways.md 6.2). Never here: which of several settings wins
(`protocols`, compose).
"""

from collections.abc import Iterator

from .host_names import is_address
from .kind import (
    Body,
    Kind,
    entry_shape,
    meta_rules,
    name_rules,
    one_of,
    unenforced_fields,
)
from .proxy_fields import COMMON, PROTOCOLS, lower, proxy_doubts, proxy_rules
from .report import Finding
from .scalars import EnterpriseOnly, Text, Whole
from .schema import Field, ListOf, Object
from .upstream_config import (
    UPSTREAM_CONFIG,
    normalise_upstreams,
    upstream_doubts,
    upstream_rules,
)

_COUNT = Whole(0, 2**31 - 1)

SHAPE = entry_shape(
    Field(name="Protocol", shape=Text()),
    *COMMON,
    Field(name="ExternalSNI", shape=Text()),
    Field(name="UpstreamConfig", shape=UPSTREAM_CONFIG),
    Field(
        name="Destination",
        shape=Object(
            Field(name="Addresses", shape=ListOf(Text())), Field(name="Port", shape=Whole())
        ),
    ),
    Field(name="MaxInboundConnections", shape=_COUNT),
    Field(name="LocalConnectTimeoutMs", shape=_COUNT),
    Field(name="LocalRequestTimeoutMs", shape=_COUNT),
    Field(name="BalanceInboundConnections", shape=Text()),
    Field(name="RateLimits", shape=EnterpriseOnly()),
    Field(name="MaxRequestHeadersKB", shape=Whole(0, 2**32 - 1)),
)

_UNENFORCED = {
    "ExternalSNI": "external services of the mesh",
    "UpstreamConfig": "settings of upstreams",
    "MaxInboundConnections": "limits of connections",
    "BalanceInboundConnections": "balance of connections among threads",
}


def _normalise(body: Body) -> Body:
    normal = lower(body, "Protocol")
    if "UpstreamConfig" in normal:
        normal = normal | {"UpstreamConfig": normalise_upstreams(normal["UpstreamConfig"])}
    return normal


def _rules(body: Body) -> Iterator[Finding]:
    yield from name_rules(body)
    if body.get("Name") == "*":
        yield Finding("Name", "the Name must be that of a service, a wildcard is not supported")
    yield from one_of(body, "Protocol", PROTOCOLS)
    yield from proxy_rules(body)
    yield from upstream_rules(body.get("UpstreamConfig", {}))
    if body.get("BalanceInboundConnections", "") not in ("", "exact_balance"):
        message = "invalid value for balance_inbound_connections, must be exact_balance"
        yield Finding("BalanceInboundConnections", message)
    if "Destination" in body:
        yield from _destination_rules(body)
    yield from meta_rules(body.get("Meta", {}))


def _destination_rules(body: Body) -> Iterator[Finding]:
    if body.get("UpstreamConfig"):
        yield Finding("Destination", "UpstreamConfig and Destination are mutually exclusive")
    addresses = body["Destination"].get("Addresses", [])
    if not addresses:
        message = "a Destination must contain at least one valid address"
        yield Finding("Destination.Addresses", message)
    for index, address in enumerate(addresses):
        path = f"Destination.Addresses[{index}]"
        if not is_address(address):
            message = f"could not validate address {address[:64]!r}: neither an IP nor a DNS name"
            yield Finding(path, message)
        elif address in addresses[:index]:
            yield Finding(path, f"duplicate address {address}")
    port = body["Destination"].get("Port", 0)
    if not 1 <= port <= 65535:
        yield Finding("Destination.Port", f"invalid port number {port}, must be 1 to 65535")


def _doubts(body: Body) -> Iterator[Finding]:
    yield from unenforced_fields(body, _UNENFORCED)
    yield from proxy_doubts(body)
    yield from upstream_doubts(body.get("UpstreamConfig", {}))


SERVICE_DEFAULTS = Kind(
    name="service-defaults", shape=SHAPE, normalise=_normalise, rules=_rules, doubts=_doubts
)
