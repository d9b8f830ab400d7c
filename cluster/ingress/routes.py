"""What ingress gateways listen for and where they lead, as the snapshot carries it.

Belongs here: the portable values. Never here: how they come about (`coordinator.compose.ingress`), or lookup
structures (`worker.view`).
"""

from typing import Any

import msgspec

from cluster.balance.ejection import USUAL_HEALTH, PassiveHealth
from cluster.balance.limits import NO_LIMITS, UpstreamLimits
from cluster.chain import Chain
from cluster.names import ServiceName
from cluster.routes import DEFAULT_CONNECT_TIMEOUT_SECONDS


class CertificateFiles(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate chain and its key, PEM, as paths on the gateway's host; both or neither."""

    cert_file: str
    key_file: str


class ListenerTls(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """TLS towards clients outside, who show no certificate.

    Versions and suites are Consul's names; what is empty is left to us. Without `files` the gateway's own
    leaf is shown.
    """

    min_version: str = ""
    max_version: str = ""
    cipher_suites: tuple[str, ...] = ()
    files: CertificateFiles | None = None


class IngressTarget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Instances that a service's connections may go to, and who has to answer there.

    `endpoints` names a set whose instances speak the mesh's TLS, `plaintext` one (or none) of instances
    that are dialled as they are, because their registration says so.
    """

    service: ServiceName
    datacenter: str
    server_name: str
    endpoints: str
    plaintext: str = ""
    id: str = ""
    connect_timeout_seconds: float = DEFAULT_CONNECT_TIMEOUT_SECONDS


class IngressHttp(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the requests of a service find their way: its chain, and the listener's own header modifiers.

    `exposed` holds `RequestHeaders` and `ResponseHeaders` as the entry spells them.
    """

    chain: Chain
    exposed: dict[str, Any] = {}


class IngressService(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One service of a listener: the first target that has a healthy instance is taken, unless `http` says
    otherwise: then `targets` are all that its chain names.

    `hosts` are the entry's; without any the service has its default pattern (`host_patterns`). `files` are
    its own certificate, shown to who asks for one of its hosts. `health` and `limits` are of each target.
    """

    service: ServiceName
    targets: tuple[IngressTarget, ...]
    hosts: tuple[str, ...] = ()
    files: CertificateFiles | None = None
    http: IngressHttp | None = None
    health: PassiveHealth = USUAL_HEALTH
    limits: UpstreamLimits = NO_LIMITS


class IngressListener(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One port of a gateway. Without `tls` it is plain."""

    port: int
    protocol: str
    services: tuple[IngressService, ...]
    tls: ListenerTls | None = None

    @property
    def server_may_speak_first(self) -> bool:
        """Whether a client may wait for the server, so that nobody may wait for the client."""
        return self.protocol == "tcp" and self.tls is None


class IngressGateway(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one ingress gateway serves, wherever it runs. `dns_sans` are those of its leaf."""

    name: str
    listeners: tuple[IngressListener, ...]
    dns_sans: tuple[str, ...] = ()
