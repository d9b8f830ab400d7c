"""What a certificate chain says: whose it is, which key it is for, which root it leads to.

Belongs here: reading certificates. Never here: when to get a new one (`due`).
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from cluster.certs import Leaf, Root
from cluster.errors import LockgateError
from cluster.keys import validity


class ChainError(LockgateError):
    """A chain is not what was asked for."""


def make_leaf(uri: str, chain_pem: bytes, key_pem: bytes) -> Leaf:
    """The leaf of a signed chain. Raises ChainError if it is not for this identity and this key."""
    try:
        certificate = x509.load_pem_x509_certificates(chain_pem)[0]
        not_before, not_after = validity(chain_pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        dns_names = names.get_values_for_type(x509.DNSName)
        same_key = _public_bytes(certificate) == _public_bytes(
            load_pem_private_key(key_pem, password=None)
        )
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise ChainError(f"not a certificate chain with its key: {error}") from error
    if uris != [uri]:
        raise ChainError(f"the certificate is for {', '.join(uris) or 'nobody'}, not for {uri}")
    if not same_key:
        raise ChainError(f"the certificate for {uri} is for another key")
    return Leaf(
        uri=uri,
        chain_pem=chain_pem,
        key_pem=key_pem,
        not_before=not_before,
        not_after=not_after,
        dns_names=tuple(dns_names),
    )


def require_names(leaf: Leaf, dns_names: tuple[str, ...]) -> None:
    """Raise ChainError unless the leaf holds exactly these DNS names."""
    if not has_names(leaf, dns_names):
        held, asked = (", ".join(names) or "nothing" for names in (leaf.dns_names, dns_names))
        raise ChainError(f"the certificate for {leaf.uri} names {held}, not {asked} as asked for")


def has_names(leaf: Leaf, dns_names: tuple[str, ...]) -> bool:
    """Whether the leaf holds exactly these DNS names, in whichever order."""
    return frozenset(leaf.dns_names) == frozenset(dns_names)


def _public_bytes(holder: object) -> bytes:
    """The public key of a certificate or private key, as DER: comparable."""
    public: bytes = holder.public_key().public_bytes(  # type: ignore[attr-defined]  # both have one
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return public


def leads_to(leaf: Leaf, root: Root) -> bool:
    """Whether the root itself has signed a certificate of the chain.

    A chain may end in a cross-signed certificate (an older root vouches for the newer one); then it leads
    to both.
    """
    try:
        issuer = x509.load_pem_x509_certificate(root.pem)
        return any(
            _is_signed_by(certificate, issuer)
            for certificate in x509.load_pem_x509_certificates(leaf.chain_pem)
        )
    except ValueError:
        return False


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
