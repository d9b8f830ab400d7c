"""`UpstreamConfig` of service-defaults: how a service calls others, by default and one by one.

Belongs here: its fields, with limits and passive health checks, and their rules
(consul-gateways.md 6.2). Never here: the rest of service-defaults.
"""

from collections.abc import Iterator

from .kind import Body
from .proxy_fields import MESH_GATEWAY, lower, mesh_gateway_rules
from .report import Finding
from .scalars import Duration, Tenancy, Text, Whole
from .schema import Field, ListOf, Object

_COUNT = Whole(0, 2**31 - 1)

# null means unset, and zero means none: both are kept apart.
LIMITS = Object(
    Field(name="MaxConnections", shape=_COUNT, keep=True),
    Field(name="MaxPendingRequests", shape=_COUNT, keep=True),
    Field(name="MaxConcurrentRequests", shape=_COUNT, keep=True),
)

PASSIVE_HEALTH_CHECK = Object(
    Field(name="Interval", shape=Duration()),
    Field(name="MaxFailures", shape=Whole(0, 2**32 - 1)),
    Field(name="EnforcingConsecutive5xx", shape=Whole(0, 100), keep=True),
    Field(name="MaxEjectionPercent", shape=Whole(0, 100), keep=True),
    Field(name="BaseEjectionTime", shape=Duration(), keep=True),
)

UPSTREAM = Object(
    Field(name="Name", shape=Text()),
    Field(name="Namespace", shape=Tenancy("namespace")),
    Field(name="Partition", shape=Tenancy("partition")),
    Field(name="Peer", shape=Text()),
    Field(name="EnvoyListenerJSON", shape=Text()),
    Field(name="EnvoyClusterJSON", shape=Text()),
    Field(name="Protocol", shape=Text()),
    Field(name="ConnectTimeoutMs", shape=Whole()),
    Field(name="Limits", shape=LIMITS),
    Field(name="PassiveHealthCheck", shape=PASSIVE_HEALTH_CHECK),
    MESH_GATEWAY,
    Field(name="BalanceOutboundConnections", shape=Text()),
)

UPSTREAM_CONFIG = Object(
    Field(name="Overrides", shape=ListOf(UPSTREAM)), Field(name="Defaults", shape=UPSTREAM)
)


def normalise_upstreams(config: Body) -> Body:
    """Protocols in lower case, negative timeouts as unset."""
    normal = dict(config)
    if "Overrides" in config:
        normal["Overrides"] = [_normalise(upstream) for upstream in config["Overrides"]]
    if "Defaults" in config:
        normal["Defaults"] = _normalise(config["Defaults"])
    return normal


def upstream_rules(config: Body) -> Iterator[Finding]:
    """What is wrong with an UpstreamConfig."""
    defaults = config.get("Defaults", {})
    for name in ("Name", "Namespace", "Partition"):
        if defaults.get(name):
            message = f"error in upstream defaults: {name} must be empty"
            yield Finding(f"UpstreamConfig.Defaults.{name}", message)
    yield from _one_rules(defaults, "UpstreamConfig.Defaults")
    for index, upstream in enumerate(config.get("Overrides", [])):
        path = f"UpstreamConfig.Overrides[{index}]"
        if upstream.get("Name", "") in ("", "*"):
            message = (
                "Name is required" if not upstream.get("Name") else "the Name cannot be a wildcard"
            )
            yield Finding(f"{path}.Name", message)
        yield from _one_rules(upstream, path)


def upstream_doubts(config: Body) -> Iterator[Finding]:
    """Settings of Envoy, which is not here."""
    places = [(config.get("Defaults", {}), "UpstreamConfig.Defaults")]
    for index, upstream in enumerate(config.get("Overrides", [])):
        places.append((upstream, f"UpstreamConfig.Overrides[{index}]"))
    for upstream, path in places:
        for name in ("EnvoyListenerJSON", "EnvoyClusterJSON"):
            if upstream.get(name):
                yield Finding(f"{path}.{name}", "has no effect: there is no Envoy in Lockgate")


def _normalise(upstream: Body) -> Body:
    normal = lower(upstream, "Protocol")
    if "ConnectTimeoutMs" in normal:
        normal = normal | {"ConnectTimeoutMs": max(normal["ConnectTimeoutMs"], 0)}
    return normal


def _one_rules(upstream: Body, path: str) -> Iterator[Finding]:
    yield from mesh_gateway_rules(upstream, path)
    value = upstream.get("BalanceOutboundConnections", "")
    if value not in ("", "exact_balance"):
        message = f"invalid value {value[:64]!r} for balance_outbound_connections"
        yield Finding(f"{path}.BalanceOutboundConnections", message)
