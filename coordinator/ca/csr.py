"""Certificate requests: which are acceptable, and what they ask for. Pure.

Belongs here: judging a request by itself and by the cluster it reached. Never here: whether this caller may
have that identity (ACLs), or signing.

Source: the rules of Consul's CA leader for CSRs. Beyond them we refuse the wildcard as a service's name,
other kinds of alternative names, and RSA keys that are too weak or too costly.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cluster.errors import Problem, ProblemsError
from cluster.identity import (
    DEFAULT,
    AgentId,
    IdentityError,
    MeshGatewayId,
    ServerId,
    ServiceId,
    SigningId,
    can_sign,
    parse,
)

LIMIT_BYTES = 64 * 1024
RSA_BITS = range(2048, 8192 + 1)

LeafIdentity = ServiceId | MeshGatewayId | AgentId | ServerId
LeafKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

_DNS_NAME = re.compile(r"[A-Za-z0-9_*.-]{1,253}")


class CsrRefused(ProblemsError):
    """A request is not acceptable, for one or more reasons."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What an acceptable request asks for."""

    identity: LeafIdentity
    dns_names: tuple[str, ...]
    ip_addresses: tuple[IPv4Address | IPv6Address, ...]
    key: LeafKey


def read_csr(pem: bytes, *, signer: SigningId, datacenter: str) -> Asked:
    """What the request asks for, in the cluster of `signer` and its datacenter.

    Raises CsrRefused with every problem.
    """
    request = _load(pem)
    names = _alternative_names(request)
    problems = [*_signature_problems(request), *_kind_problems(names)]
    try:
        identity = _identity(names, signer, datacenter)
        dns_names = _dns_names(names)
        key = _key(request)
    except CsrRefused as refused:
        raise CsrRefused([*problems, *refused.problems]) from None
    if problems:
        raise CsrRefused(problems)
    addresses = [
        name.value
        for name in names
        if isinstance(name, x509.IPAddress) and isinstance(name.value, IPv4Address | IPv6Address)
    ]
    return Asked(
        identity=identity,
        dns_names=dns_names,
        ip_addresses=tuple(dict.fromkeys(addresses)),
        key=key,
    )


def clean_dns_sans(names: Iterable[str]) -> tuple[str, ...]:
    """The names in their order without ports, empty ones and repetitions."""
    hosts = (name.partition(":")[0] for name in names)
    return tuple(dict.fromkeys(host for host in hosts if host))


def identity_problems(identity: object, *, signer: SigningId, datacenter: str) -> list[str]:
    """Why no leaf for this identity is signed in this cluster."""
    if not isinstance(identity, LeafIdentity):
        return ["the identity is not that of a service, mesh gateway, agent or server"]
    problems = []
    if not isinstance(identity, AgentId):
        if not can_sign(signer, identity):
            problems.append(
                f"the trust domain {identity.trust_domain} is not {signer.trust_domain}"
            )
        if identity.datacenter != datacenter:
            problems.append(f"the datacenter {identity.datacenter} is not ours, {datacenter}")
    if isinstance(identity, ServiceId) and identity.service == "*":
        problems.append("a wildcard is no service")
    tenancy = (getattr(identity, field, DEFAULT) for field in ("namespace", "partition"))
    if any(name != DEFAULT for name in tenancy):
        problems.append("namespaces and partitions are a Consul Enterprise feature")
    return problems


def _load(pem: bytes) -> x509.CertificateSigningRequest:
    if len(pem) > LIMIT_BYTES:
        raise _refused(f"the request has {len(pem)} bytes, more than {LIMIT_BYTES}")
    try:
        return x509.load_pem_x509_csr(pem)
    except (ValueError, x509.InvalidVersion):
        raise _refused("not a certificate request in PEM") from None


def _alternative_names(request: x509.CertificateSigningRequest) -> tuple[x509.GeneralName, ...]:
    try:
        extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise _refused(f"the alternative names cannot be read: {error}") from None
    return tuple(extension.value)


def _signature_problems(request: x509.CertificateSigningRequest) -> list[Problem]:
    try:
        valid = request.is_signature_valid
    except (UnsupportedAlgorithm, ValueError, TypeError):
        valid = False
    return [] if valid else [Problem(message="the signature of the request is not valid")]


def _kind_problems(names: tuple[x509.GeneralName, ...]) -> list[Problem]:
    problems = []
    if any(isinstance(name, x509.RFC822Name) for name in names):
        problems.append(Problem(message="e-mail addresses are not allowed"))
    known = (x509.UniformResourceIdentifier, x509.DNSName, x509.IPAddress, x509.RFC822Name)
    if any(not isinstance(name, known) for name in names):
        problems.append(Problem(message="only URI, DNS and IP alternative names are allowed"))
    return problems


def _identity(
    names: tuple[x509.GeneralName, ...], signer: SigningId, datacenter: str
) -> LeafIdentity:
    """The identity as it will be written: its trust domain is exactly the signer's."""
    uris = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    if len(uris) != 1:
        raise _refused(f"the request has {len(uris)} URIs, it must have exactly one")
    try:
        identity = parse(uris[0])
    except IdentityError as error:
        raise _refused(str(error)) from None
    if problems := identity_problems(identity, signer=signer, datacenter=datacenter):
        raise _refused(*problems)
    assert isinstance(identity, LeafIdentity)
    return msgspec.structs.replace(identity, trust_domain=signer.trust_domain)


def _dns_names(names: tuple[x509.GeneralName, ...]) -> tuple[str, ...]:
    hosts = clean_dns_sans(name.value for name in names if isinstance(name, x509.DNSName))
    if odd := [host for host in hosts if not _DNS_NAME.fullmatch(host)]:
        raise _refused(*(f"{host[:80]!r} is no DNS name" for host in odd))
    return hosts


def _key(request: x509.CertificateSigningRequest) -> LeafKey:
    try:
        key = request.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise _refused("the key is of no kind that we know") from None
    if not isinstance(key, LeafKey):
        raise _refused("the key is neither EC nor RSA nor Ed25519")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size not in RSA_BITS:
        raise _refused(f"an RSA key has {RSA_BITS[0]} to {RSA_BITS[-1]} bits, not {key.key_size}")
    return key


def _refused(*messages: str) -> CsrRefused:
    return CsrRefused([Problem(message=message) for message in messages])
