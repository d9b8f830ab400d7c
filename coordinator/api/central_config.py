"""What `?merge-central-config` adds to proxies and gateways: the entries that hold for them. Pure.

Belongs here: a registration's `Proxy` with what `proxy-defaults` and `service-defaults` say where it says
nothing itself. Never here: what any of it means to a proxy.
Source: Consul, "Health" HTTP API, `merge-central-config`; the entry of a proxy is its destination's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

from .endpoint import Call

_GLOBAL = "proxy-defaults/global"
_SERVICE = "service-defaults/"
#: Fields of both entries that a proxy has too.
_SHARED = ("Mode", "TransparentProxy", "MeshGateway", "Expose", "AccessLogs", "EnvoyExtensions")
#: What a proxy finds in its opaque configuration, and what the entry calls it.
_OPAQUE = {
    "protocol": "Protocol",
    "max_inbound_connections": "MaxInboundConnections",
    "local_connect_timeout_ms": "LocalConnectTimeoutMs",
    "local_request_timeout_ms": "LocalRequestTimeoutMs",
    "balance_inbound_connections": "BalanceInboundConnections",
}


@dataclass(frozen=True, slots=True)
class CentralConfig:
    """The entries of one state."""

    state: State

    def merged(self, service: dict[str, Any]) -> dict[str, Any]:
        """An instance as health shows it; typical ones stay as they are."""
        kind, name = service.get("Kind", ""), service["Service"]
        return service | {"Proxy": self._proxy(kind, name, service["Proxy"])}

    def merged_flat(self, row: dict[str, Any]) -> dict[str, Any]:
        """An instance as the catalog shows it."""
        proxy = self._proxy(row["ServiceKind"], row["ServiceName"], row["ServiceProxy"])
        return row | {"ServiceProxy": proxy}

    def _proxy(self, kind: str, name: str, proxy: Mapping[str, Any]) -> dict[str, Any]:
        if not kind:
            return dict(proxy)
        everybody = self._entry(_GLOBAL)
        own = self._entry(_SERVICE + proxy.get("DestinationServiceName", name))
        opaque = {key: own[field] for key, field in _OPAQUE.items() if field in own}
        config = everybody.get("Config", {}) | opaque | proxy.get("Config", {})
        shared = {
            field: given
            for field in _SHARED
            if (given := proxy.get(field) or own.get(field) or everybody.get(field))
        }
        return {**proxy, **shared, **({"Config": config} if config else {})}

    def _entry(self, key: str) -> Mapping[str, Any]:
        record = self.state.get(ENTRIES, key)
        return record.value if record else {}


def central_config(call: Call) -> CentralConfig:
    return CentralConfig(call.state)
