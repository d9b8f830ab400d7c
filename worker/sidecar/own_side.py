"""What configuration entries say of how a service is served at its own end.  ●

Belongs here: service-defaults, proxy-defaults and mesh, as far as a sidecar's inbound side heeds them. Never
here: who may ask for what, or fetching an entry.
Source: Consul, service-defaults `Protocol`, `LocalRequestTimeoutMs`, `LocalConnectTimeoutMs` and
`MaxRequestHeadersKB`, mesh `HTTP`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.chain.protocol import HTTP2_LIKE, HTTP_LIKE, TCP
from cluster.protocols import resolved_protocol
from cluster.routes import (
    DEFAULT_CONNECT_TIMEOUT_SECONDS,
    DEFAULT_HEAD_BYTES,
    DEFAULT_REQUEST_TIMEOUT_SECONDS,
    HttpRoute,
)

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSide:
    """How the program is reached: without `http` its service is carried as tcp, with `http2` it is spoken to
    in HTTP/2.
    """

    connect_timeout_seconds: float
    protocol: str
    http: HttpRoute | None

    @property
    def http2(self) -> bool:
        return self.protocol in HTTP2_LIKE


def own_side(
    service_defaults: Body | None, proxy_defaults: Body | None, mesh: Body | None
) -> OwnSide:
    """The entries as the API shows them; None is one that nobody has written."""
    own = service_defaults or {}
    protocol = resolved_protocol(service_defaults, proxy_defaults).lower()
    return OwnSide(
        protocol=protocol if protocol in HTTP_LIKE else TCP,
        connect_timeout_seconds=own.get("LocalConnectTimeoutMs", 0) / 1000
        or DEFAULT_CONNECT_TIMEOUT_SECONDS,
        http=_http(own, (mesh or {}).get("HTTP") or {}) if protocol in HTTP_LIKE else None,
    )


def _http(own: Body, mesh_http: Body) -> HttpRoute:
    return HttpRoute(
        request_timeout_seconds=own.get("LocalRequestTimeoutMs", 0) / 1000
        or DEFAULT_REQUEST_TIMEOUT_SECONDS,
        head_bytes=own.get("MaxRequestHeadersKB", 0) * 1024 or DEFAULT_HEAD_BYTES,
        rewrites_host=False,
        replaces_client_cert=bool(mesh_http.get("SanitizeXForwardedClientCert")),
    )
