"""How much may be under way to one target. Nothing else belongs here; never counting it.

Source: consul-gateways.md 3.7; Envoy, "Circuit breaking".
"""

import msgspec


class UpstreamLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`MaxConnections`, `MaxPendingRequests` and `MaxConcurrentRequests`; 0 is none of its own."""

    connections: int = 0
    pending: int = 0
    requests: int = 0


NO_LIMITS = UpstreamLimits()
