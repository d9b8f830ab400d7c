"""SPIFFE identities as Consul writes them: parse, render, and who may sign whom.

Belongs here: the five URI shapes and the rules about them. Never here: certificates (`cluster.certs`)
or what an identity is allowed to do (`cluster.authorize`).

Source: Consul, "Service mesh certificate authority overview"; agent identity formats of its docs.
"""

import re
from urllib.parse import quote, unquote

import msgspec

from cluster.errors import LockgateError

DEFAULT = "default"


class IdentityError(LockgateError):
    """A URI is not a SPIFFE identity of a form that we know."""


class SigningId(msgspec.Struct, frozen=True, kw_only=True):
    """A trust domain itself: the only URI in a CA root."""

    cluster_id: str
    domain: str = "consul"

    @property
    def trust_domain(self) -> str:
        return f"{self.cluster_id}.{self.domain}".lower()

    @property
    def uri(self) -> str:
        return f"spiffe://{self.trust_domain}"


class ServiceId(msgspec.Struct, frozen=True, kw_only=True):
    """A service, and so also an ingress gateway, which is one."""

    trust_domain: str
    service: str
    datacenter: str
    namespace: str = DEFAULT
    partition: str = DEFAULT

    @property
    def uri(self) -> str:
        path = f"/ns/{_escape(self.namespace or DEFAULT)}/dc/{_escape(self.datacenter)}"
        return _render(self.trust_domain, self.partition, f"{path}/svc/{_escape(self.service)}")


class AgentId(msgspec.Struct, frozen=True, kw_only=True):
    """A client agent of a node."""

    trust_domain: str
    datacenter: str
    node: str
    partition: str = DEFAULT

    @property
    def uri(self) -> str:
        path = f"/agent/client/dc/{_escape(self.datacenter)}/id/{_escape(self.node)}"
        return _render(self.trust_domain, self.partition, path)


class ServerId(msgspec.Struct, frozen=True, kw_only=True):
    """A server of the control plane; never partitioned."""

    trust_domain: str
    datacenter: str

    @property
    def uri(self) -> str:
        return _render(self.trust_domain, DEFAULT, f"/agent/server/dc/{_escape(self.datacenter)}")


class MeshGatewayId(msgspec.Struct, frozen=True, kw_only=True):
    """A mesh gateway, the only gateway kind with a URI form of its own."""

    trust_domain: str
    datacenter: str
    partition: str = DEFAULT

    @property
    def uri(self) -> str:
        path = f"/gateway/mesh/dc/{_escape(self.datacenter)}"
        return _render(self.trust_domain, self.partition, path)


Identity = SigningId | ServiceId | AgentId | ServerId | MeshGatewayId

_PARTITION = r"(?:/ap/(?P<partition>[^/]+))?"
#: Tried in this order; every variable part is one path segment.
_SHAPES: tuple[
    tuple[type[ServiceId | AgentId | ServerId | MeshGatewayId], re.Pattern[str]], ...
] = (
    (
        ServiceId,
        re.compile(
            _PARTITION + r"/ns/(?P<namespace>[^/]+)/dc/(?P<datacenter>[^/]+)/svc/(?P<service>[^/]+)"
        ),
    ),
    (
        AgentId,
        re.compile(_PARTITION + r"/agent/client/dc/(?P<datacenter>[^/]+)/id/(?P<node>[^/]+)"),
    ),
    (MeshGatewayId, re.compile(_PARTITION + r"/gateway/mesh/dc/(?P<datacenter>[^/]+)")),
    (ServerId, re.compile(r"/agent/server/dc/(?P<datacenter>[^/]+)")),
)
_URI = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)"
)
#: No URI holds these (RFC 3986 section 2), and a line break in a name would forge a log line.
_NOT_IN_A_URI = re.compile(r"[\x00-\x20\x7f]|%(?![0-9A-Fa-f]{2})")


def parse(uri: str) -> Identity:
    """The identity that a URI stands for; segments are percent-decoded one by one.

    Raises `IdentityError` for another scheme or shape.
    """
    found = _URI.fullmatch(uri)
    if found is None or found["scheme"].lower() != "spiffe":
        raise IdentityError(f"{uri!r}: the scheme of a SPIFFE id is spiffe")
    host, path = found["host"], found["path"]
    if found["rest"] or not host or _NOT_IN_A_URI.search(uri):
        raise IdentityError(f"{uri!r} is not in the expected format")
    for shape, pattern in _SHAPES:
        if match := pattern.fullmatch(path):
            parts = {name: _unescape(part) for name, part in match.groupdict().items() if part}
            return shape(trust_domain=host, **parts)
    if not path and host.find(".") >= 1:
        cluster_id, _, domain = host.partition(".")
        return SigningId(cluster_id=cluster_id, domain=domain)
    raise IdentityError(f"{uri!r} is not in the expected format")


def can_sign(signer: SigningId, other: Identity | None) -> bool:
    """Whether a root of `signer` may sign for `other`.

    Agents are not covered: they ask before they know the trust domain, and the signer corrects them.
    """
    if isinstance(other, SigningId):
        return other.uri == signer.uri
    if isinstance(other, ServiceId | MeshGatewayId | ServerId):
        return other.trust_domain.lower() == signer.trust_domain
    return False


def _render(trust_domain: str, partition: str, path: str) -> str:
    tenant = "" if partition.lower() in ("", DEFAULT) else f"/ap/{_escape(partition.lower())}"
    return f"spiffe://{trust_domain}{tenant}{path}"


def _escape(segment: str) -> str:
    """One path segment: RFC 3986's pchar stays as it is, all else is percent-encoded."""
    return quote(segment, safe="!$&'()*+,;=:@")


def _unescape(segment: str) -> str:
    """Undoes `_escape`. Bytes that are no UTF-8 are refused, not replaced: two names would become one."""
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError as error:
        raise IdentityError(f"{segment!r} is not percent-encoded UTF-8") from error
