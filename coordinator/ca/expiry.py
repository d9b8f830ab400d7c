"""When a certificate ends.

Belongs here: reading that of any certificate, whoever issued it. Never here: what follows.
"""

from cryptography import x509


def end_of(pem: bytes) -> float:
    """The end of the first certificate of a chain, seconds since 1970. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
