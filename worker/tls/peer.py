"""What a verified certificate says about the other side.  ●

Belongs here: the names and the end of validity. Never here: whether a name is the right one
(`names_match`, or the identity rules that are handed in), or whether the certificate is trusted.

Callers come back with the same certificate for hours, and reading it costs ten times as much as
finding it again by its bytes. What is remembered is only what these bytes say: their trust is
verified in each handshake, by OpenSSL.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The subject alternative names of a certificate (RFC 5280 section 4.2.1.6), each as text.

    `not_after` is in unix seconds. `subject` (RFC 4514) and `fingerprint` (SHA-256 of the certificate, in
    hexadecimal) are for telling others whom we saw; nobody may rely on a name in the subject.
    """

    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    not_after: float
    subject: str = ""
    fingerprint: str = ""


#: What is wrong with this peer, in words for the log, or None if it is the expected one.
PeerCheck = Callable[[Peer], str | None]


#: So many are remembered, the last used ones; of what is longer than any gateway's caller, none.
REMEMBERED = 4096
REMEMBERED_BYTES = 8192


def peer_of(der: bytes) -> Peer:
    """The peer that presents the certificate with these bytes. Raises ValueError."""
    if len(der) > REMEMBERED_BYTES:
        return _read(der)
    return _remembered(der)


def _read(der: bytes) -> Peer:
    return read_peer(x509.load_der_x509_certificate(der))


#: By the whole of the bytes, so that nobody is taken for somebody else with the same digest.
_remembered = lru_cache(REMEMBERED)(_read)


def read_peer(certificate: x509.Certificate) -> Peer:
    """The peer that presents `certificate`. Raises ValueError when its names cannot be read."""
    names = _names(certificate)
    return Peer(
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
        addresses=tuple(str(address) for address in names.get_values_for_type(x509.IPAddress)),
        emails=tuple(names.get_values_for_type(x509.RFC822Name)),
        not_after=certificate.not_valid_after_utc.timestamp(),
        subject=certificate.subject.rfc4514_string(),
        fingerprint=certificate.fingerprint(SHA256()).hex(),
    )


def fingerprint_of(pem: bytes) -> str:
    """SHA-256 of a certificate in PEM, in hexadecimal. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem).fingerprint(SHA256()).hex()


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from error
