"""Signing keys: the kinds allowed, making them, naming them, and their PEM form. Pure, but for `make_key`.

Belongs here: what is true of a key by itself. Never here: certificates, or where a key is kept.
"""

import hashlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPublicKeyTypes,
    PublicKeyTypes,
)

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_CURVES: dict[int, type[ec.EllipticCurve]] = {
    224: ec.SECP224R1,
    256: ec.SECP256R1,
    384: ec.SECP384R1,
    521: ec.SECP521R1,
}
ALLOWED_BITS = {"ec": tuple(_CURVES), "rsa": (2048, 4096)}


def kind_problem(key_type: str, bits: int) -> str:
    """Why a key of this kind is not allowed; empty if it is."""
    if key_type not in ALLOWED_BITS:
        return f"the key type {key_type[:40]!r} is neither ec nor rsa"
    if bits not in (allowed := ALLOWED_BITS[key_type]):
        return f"an {key_type} key has {', '.join(map(str, allowed))} bits, not {bits}"
    return ""


def make_key(key_type: str, bits: int) -> SigningKey:
    """A new key from the system's randomness. An allowed kind is required. RSA takes up to seconds."""
    if key_type == "ec":
        return ec.generate_private_key(_CURVES[bits]())
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def key_kind(key: SigningKey) -> tuple[str, int]:
    """Type and bits, as the configuration spells them."""
    return ("ec" if isinstance(key, ec.EllipticCurvePrivateKey) else "rsa"), key.key_size


def key_id(key: PublicKeyTypes | CertificateIssuerPublicKeyTypes) -> bytes:
    """SHA-256 of the public key's DER form, as Consul names keys (RFC 5280 4.2.1.2 leaves it open)."""
    return hashlib.sha256(public_der(key)).digest()


def public_der(key: PublicKeyTypes | CertificateIssuerPublicKeyTypes) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def load_key(pem: str) -> SigningKey:
    """A key of an allowed kind. Raises ValueError with a sentence that does not show the key."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnicodeError):
        raise ValueError("not a private key in PEM without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("the key is neither ec nor rsa")
    if problem := kind_problem(*key_kind(key)):
        raise ValueError(problem)
    return key


def dump_key(key: SigningKey) -> str:
    """PKCS#8 PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")


def colon_hex(octets: bytes) -> str:
    """`ab:cd:ef`, as Consul writes fingerprints and key ids."""
    return octets.hex(":")
