"""Leaves: a certificate for what an acceptable request asked for. Pure: `now` and the serial are handed in.

Belongs here: what a leaf of ours looks like, and when none is signed. Never here: judging requests (`csr`).
The private key of the leaf never comes here; only its public part is in the request.
"""

import datetime
from dataclasses import dataclass

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from cluster.errors import LockgateError

from .csr import Asked
from .keys import SigningKey, key_id
from .root import signing_key_id, utc

BACKDATED_SECONDS = 60  # for clocks that are behind ours

_LEAF_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_encipherment=True,
    data_encipherment=True,
    key_agreement=True,
    key_cert_sign=False,
    crl_sign=False,
    content_commitment=False,
    encipher_only=False,
    decipher_only=False,
)
_LEAF_PURPOSES = x509.ExtendedKeyUsage(
    [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
)


class SigningRefused(LockgateError):
    """Nothing is signed now, whoever asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who signs. `intermediates_pem`: what a peer needs to get from a leaf to a root, root not included."""

    certificate: x509.Certificate
    key: SigningKey
    intermediates_pem: tuple[str, ...] = ()


class SignedLeaf(msgspec.Struct, frozen=True, kw_only=True):
    """A leaf with its intermediates; times in seconds since 1970."""

    chain_pem: bytes
    serial: int
    not_before: float
    not_after: float
    uri: str


def sign_leaf(
    asked: Asked, issuer: Issuer, *, now: float, ttl_seconds: float, serial: int
) -> SignedLeaf:
    """The leaf, which never outlives its issuer. Raises SigningRefused if the issuer has expired."""
    start, end = _validity(issuer.certificate, now, ttl_seconds)
    authority = x509.AuthorityKeyIdentifier(signing_key_id(issuer.certificate), None, None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.certificate.subject)
        .public_key(asked.key)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_LEAF_USAGE, critical=True)
        .add_extension(_LEAF_PURPOSES, critical=False)
        .add_extension(x509.SubjectKeyIdentifier(key_id(asked.key)), critical=False)
        .add_extension(authority, critical=False)
        # critical because the subject is empty: RFC 5280 4.2.1.6
        .add_extension(_alternative_names(asked), critical=True)
    )
    leaf = builder.sign(issuer.key, hashes.SHA256())
    return SignedLeaf(
        chain_pem=leaf.public_bytes(Encoding.PEM) + "".join(issuer.intermediates_pem).encode(),
        serial=serial,
        not_before=start.timestamp(),
        not_after=end.timestamp(),
        uri=asked.identity.uri,
    )


def _validity(
    issuer: x509.Certificate, now: float, ttl_seconds: float
) -> tuple[datetime.datetime, datetime.datetime]:
    last = issuer.not_valid_after_utc
    if utc(now) >= last:
        raise SigningRefused(f"the CA's certificate has expired on {last.isoformat()}")
    start = utc(now - BACKDATED_SECONDS)
    return start, min(start + datetime.timedelta(seconds=ttl_seconds), last)


def _alternative_names(asked: Asked) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [
            *(x509.DNSName(name) for name in asked.dns_names),
            *(x509.IPAddress(address) for address in asked.ip_addresses),
            x509.UniformResourceIdentifier(asked.identity.uri),
        ]
    )
