"""What each gateway kind listens on and serves, as the snapshot carries it.

Belongs here: the portable routes. Never here: lookup structures (`worker.view`) or live state.
"""

from enum import StrEnum, unique
from typing import Any

import msgspec

from cluster.names import ServiceName

DEFAULT_CONNECT_TIMEOUT_SECONDS = 5.0
#: Envoy's own, where no service-resolver says otherwise.
DEFAULT_REQUEST_TIMEOUT_SECONDS = 15.0
#: Envoy's too: 60 kB of header fields.
DEFAULT_HEAD_BYTES = 60 * 1024


@unique
class GatewayKind(StrEnum):
    """The kinds of gateway a node serves; the values are Consul's."""

    MESH = "mesh-gateway"
    INGRESS = "ingress-gateway"
    TERMINATING = "terminating-gateway"

    @property
    def label(self) -> str:
        """The `kind` label of metrics: mesh, ingress or terminating."""
        return self.value.removesuffix("-gateway")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One place to dial: an IP or a host name, and a port."""

    address: str
    port: int
    healthy: bool = True
    weight: int = 1

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class Listener(msgspec.Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """Where one gateway listens on one node; an empty address is every address of the host.

    Unless `server_may_speak_first`, a connection need not be accepted before its client has said something.
    """

    node: str
    gateway: str
    kind: GatewayKind
    address: str
    port: int
    server_may_speak_first: bool = False

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address or "*"
        return f"{host}:{self.port}"

    def shares_place(self, other: "Listener") -> bool:
        """Whether both want one port of one address of one node."""
        if (self.node, self.port) != (other.node, other.port):
            return False
        return self.address == other.address or self._is_any or other._is_any

    @property
    def _is_any(self) -> bool:
        return self.address in ("", "0.0.0.0", "::")


class OriginationTls(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The second TLS leg, from a terminating gateway to the outside. Paths are on the gateway's host.

    Without `ca_file` the host's own roots are used. `server_name` is sent and verified; empty, the
    upstream's host name is.
    """

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name: str = ""


class HttpRoute(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the requests of a service are carried.

    `request_timeout_seconds` is from the end of a request to the head of its answer. With `rewrites_host`
    an upstream with a host name is asked by that name. With `replaces_client_cert` what callers say of
    earlier hops in `X-Forwarded-Client-Cert` is dropped. `load_balancer` is as a service-resolver spells it;
    empty is by weight alone.
    """

    request_timeout_seconds: float = DEFAULT_REQUEST_TIMEOUT_SECONDS
    head_bytes: int = DEFAULT_HEAD_BYTES
    rewrites_host: bool = True
    replaces_client_cert: bool = False
    load_balancer: dict[str, Any] = {}


class TerminatingRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One linked service of a terminating gateway; `endpoints` names a set in the snapshot.

    Without `http` the service is carried as tcp, whatever its protocol is.
    """

    service: ServiceName
    datacenter: str
    server_names: tuple[str, ...]
    endpoints: str
    protocol: str = "tcp"
    http: HttpRoute | None = None
    tls: OriginationTls | None = None
    connect_timeout_seconds: float = DEFAULT_CONNECT_TIMEOUT_SECONDS


class TerminatingGateway(msgspec.Struct, frozen=True, kw_only=True):
    """What one terminating gateway serves, wherever it runs."""

    name: str
    routes: tuple[TerminatingRoute, ...]


class MeshRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One SNI that mesh gateways carry untouched to the endpoints of a service."""

    server_name: str
    service: ServiceName
    endpoints: str
    connect_timeout_seconds: float = DEFAULT_CONNECT_TIMEOUT_SECONDS
