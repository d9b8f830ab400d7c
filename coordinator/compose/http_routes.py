"""How the requests of a linked service are carried: what several entries say of it.

Belongs here: service-resolver, service-defaults, proxy-defaults and mesh, as far as they are about requests.
Never here: which protocol a service has (`cluster.protocols`), or what a gateway does with it.
Source: Consul, service-resolver (`RequestTimeout`, `ConnectTimeout`, `LoadBalancer`), service-defaults
`MaxRequestHeadersKB`, mesh `HTTP`.
"""

from typing import Any

from cluster.durations import parse_duration
from cluster.routes import (
    DEFAULT_CONNECT_TIMEOUT_SECONDS,
    DEFAULT_HEAD_BYTES,
    DEFAULT_REQUEST_TIMEOUT_SECONDS,
    HttpRoute,
)
from coordinator.entries.mesh import MESH_NAME
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

from .linking import Link


def http_route(state: State, link: Link) -> HttpRoute:
    """What the entries say of this link's requests."""
    resolver = _entry(state, f"service-resolver/{link.service}")
    timeout_seconds = _seconds(resolver.get("RequestTimeout", "0"))
    kilobytes = _entry(state, f"service-defaults/{link.service}").get("MaxRequestHeadersKB", 0)
    mesh = _entry(state, f"mesh/{MESH_NAME}").get("HTTP") or {}
    return HttpRoute(
        request_timeout_seconds=timeout_seconds or DEFAULT_REQUEST_TIMEOUT_SECONDS,
        head_bytes=kilobytes * 1024 or DEFAULT_HEAD_BYTES,
        rewrites_host=link.rewrite_host,
        replaces_client_cert=bool(mesh.get("SanitizeXForwardedClientCert")),
        load_balancer=resolver.get("LoadBalancer") or {},
    )


def connect_timeout_seconds(state: State, service: str) -> float:
    """How long an instance may take to accept a connection, of whichever protocol."""
    said = _entry(state, f"service-resolver/{service}").get("ConnectTimeout", "0")
    return _seconds(said) or DEFAULT_CONNECT_TIMEOUT_SECONDS


def _seconds(duration: str) -> float:
    return parse_duration(duration) / 1e9


def _entry(state: State, key: str) -> dict[str, Any]:
    found = state.get(ENTRIES, key)
    return found.value if found else {}
