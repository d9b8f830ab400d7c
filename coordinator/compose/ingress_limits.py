"""The limits and passive health checks of an ingress gateway's services, of what two levels of its entry say.

Belongs here: which level wins, and the proxy's own defaults. Never here: enforcing them.

A service's value wins over the gateway's `Defaults`, field by field. A zero says nothing, but for the share
of endpoints that may be out. Without any of it endpoints are watched by Envoy's defaults. What says nothing
is the very default, as msgspec leaves out no other.
Source: consul-gateways.md 3.7; Consul, "Ingress gateway configuration entry".
"""

from collections.abc import Mapping
from typing import Any

from cluster.balance.ejection import USUAL_HEALTH, PassiveHealth
from cluster.balance.limits import NO_LIMITS, UpstreamLimits
from cluster.durations import parse_duration

_Body = Mapping[str, Any]
_CHECK = "PassiveHealthCheck"


def upstream_limits(gateway: _Body, service: _Body) -> UpstreamLimits:
    """How much may be under way to each target of the service."""
    levels = (service, gateway.get("Defaults") or {})
    found = UpstreamLimits(
        connections=_said("MaxConnections", *levels) or 0,
        pending=_said("MaxPendingRequests", *levels) or 0,
        requests=_said("MaxConcurrentRequests", *levels) or 0,
    )
    return NO_LIMITS if found == NO_LIMITS else found


def passive_health(gateway: _Body, service: _Body) -> PassiveHealth:
    """After what its endpoints are put out, and for how long."""
    levels = tuple((one.get(_CHECK) or {}) for one in (service, gateway.get("Defaults") or {}))
    percent = next(
        (one["MaxEjectionPercent"] for one in levels if "MaxEjectionPercent" in one), None
    )
    said: dict[str, Any] = {
        "interval_seconds": _seconds(_said("Interval", *levels)),
        "max_failures": _said("MaxFailures", *levels),
        "enforcing_percent": _said("EnforcingConsecutive5xx", *levels),
        "max_ejection_percent": percent,
        "base_ejection_seconds": _seconds(_said("BaseEjectionTime", *levels)),
    }
    given = {name: value for name, value in said.items() if value is not None}
    return PassiveHealth(**given) if given else USUAL_HEALTH


def _said(field: str, *levels: _Body) -> Any:
    return next((one[field] for one in levels if one.get(field)), None)


def _seconds(duration: str | None) -> float | None:
    return (parse_duration(duration) / 1e9 or None) if duration else None
