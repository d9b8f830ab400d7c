"""Private keys and certificate requests: made where the key will live, so that only the request travels.

Belongs here: making a key and a CSR. Never here: signing (`coordinator.ca`), or keeping a key on disk.
"""

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


def new_key_pem() -> bytes:
    """A fresh P-256 key, PKCS#8 PEM, unencrypted: it goes into a 0600 file or stays in memory."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def csr_pem(key_pem: bytes, uri: str, dns_names: Iterable[str] = ()) -> bytes:
    """A request for `uri` signed with the key: no subject, one URI SAN, as Consul's agents send it.

    `dns_names` are asked for besides.
    """
    key = load_pem_private_key(key_pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("a leaf's key is an elliptic curve key")
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(uri), *(x509.DNSName(name) for name in dns_names)]
    )
    request = x509.CertificateSigningRequestBuilder(x509.Name([]))
    return (
        request.add_extension(names, critical=True).sign(key, SHA256()).public_bytes(Encoding.PEM)
    )


def validity(chain_pem: bytes) -> tuple[float, float]:
    """When the first certificate of a chain begins and ends, unix seconds. Raises ValueError."""
    leaf = x509.load_pem_x509_certificate(chain_pem)
    return leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
