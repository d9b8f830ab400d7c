"""What a verified certificate says about the other side.  ●

Belongs here: the names and the end of validity, read once per connection. Never here: whether a name
is the right one (`names_match`, or the identity rules that are handed in).
"""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The subject alternative names of a certificate (RFC 5280 section 4.2.1.6), each as text.

    `not_after` is in unix seconds. The subject's common name is not read: nobody may rely on it.
    """

    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    not_after: float


#: What is wrong with this peer, in words for the log, or None if it is the expected one.
PeerCheck = Callable[[Peer], str | None]


def read_peer(certificate: x509.Certificate) -> Peer:
    """The peer that presents `certificate`. Raises ValueError when its names cannot be read."""
    names = _names(certificate)
    return Peer(
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
        addresses=tuple(str(address) for address in names.get_values_for_type(x509.IPAddress)),
        emails=tuple(names.get_values_for_type(x509.RFC822Name)),
        not_after=certificate.not_valid_after_utc.timestamp(),
    )


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from error
