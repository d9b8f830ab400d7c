"""Roots: making one, and describing one as Consul's API does. Pure: `now`, serial and name are handed in.

Belongs here: what a root certificate of ours looks like. Never here: leaves (`sign`), or where roots are
kept (`authority`).
"""

import datetime
import hashlib
import math
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cluster.identity import SigningId

from .keys import SigningKey, colon_hex, key_id, key_kind

_ROOT_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


class RootInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One root, its public part. Times in seconds since 1970; `rotated_out_at` is 0 while it is active."""

    id: str
    name: str
    serial_number: int
    signing_key_id: str
    external_trust_domain: str
    not_before: float
    not_after: float
    pem: str
    intermediates: tuple[str, ...] = ()
    active: bool = True
    private_key_type: str
    private_key_bits: int
    rotated_out_at: float = 0.0


def make_root(
    key: SigningKey,
    *,
    signing: SigningId,
    serial: int,
    now: float,
    ttl_seconds: float,
    name_salt: str,
) -> x509.Certificate:
    """A self-signed root. `name_salt`: eight characters that tell the roots of a cluster apart."""
    start = utc(now)
    name = f"pri-{name_salt}.consul.ca.{signing.cluster_id[:8]}.{signing.domain}"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    identifier = x509.SubjectKeyIdentifier(key_id(key.public_key()))
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(signing.uri)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(seconds=ttl_seconds))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_ROOT_USAGE, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(authority, critical=False)
        .add_extension(uri, critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def describe_root(
    certificate: x509.Certificate, key: SigningKey, *, external_trust_domain: str
) -> RootInfo:
    """What the API tells about an active root."""
    key_type, bits = key_kind(key)
    return RootInfo(
        id=fingerprint(certificate),
        name="Consul CA Primary Cert",
        serial_number=certificate.serial_number,
        signing_key_id=colon_hex(signing_key_id(certificate)),
        external_trust_domain=external_trust_domain,
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        pem=certificate.public_bytes(Encoding.PEM).decode("ascii"),
        private_key_type=key_type,
        private_key_bits=bits,
    )


def consul_root(root: RootInfo, *, create_index: int, modify_index: int) -> dict[str, Any]:
    """One of `Roots` in `GET /v1/connect/ca/roots`."""
    return {
        "ID": root.id,
        "Name": root.name,
        "SerialNumber": root.serial_number,
        "SigningKeyID": root.signing_key_id,
        "ExternalTrustDomain": root.external_trust_domain,
        "NotBefore": _rfc3339(root.not_before),
        "NotAfter": _rfc3339(root.not_after),
        "RootCert": root.pem,
        "IntermediateCerts": list(root.intermediates) or None,
        "Active": root.active,
        "PrivateKeyType": root.private_key_type,
        "PrivateKeyBits": root.private_key_bits,
        "CreateIndex": create_index,
        "ModifyIndex": modify_index,
    }


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-1 of the certificate in colon-hex: its name in the API, no proof of anything."""
    digest = hashlib.sha1(certificate.public_bytes(Encoding.DER), usedforsecurity=False)
    return colon_hex(digest.digest())


def signing_key_id(certificate: x509.Certificate) -> bytes:
    """The subject key identifier of a CA certificate; one that was given to us may lack it."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return key_id(certificate.public_key())
    return extension.value.digest


def utc(seconds: float) -> datetime.datetime:
    """Whole seconds, rounded down: certificates know no others."""
    return datetime.datetime.fromtimestamp(math.floor(seconds), datetime.UTC)


def _rfc3339(seconds: float) -> str:
    return utc(seconds).isoformat().replace("+00:00", "Z")
