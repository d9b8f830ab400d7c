"""Certificates as bytes with digests: what travels and what is kept. No OpenSSL object, no parsing.

Belongs here: leaves, keys and trust bundles as values. Never here: making or checking them, which is
`coordinator.ca` and `worker.tls`.
"""

import hashlib

import msgspec


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """One identity's certificate and private key, both PEM. Never leaves the host that made the key.

    `chain_pem` is the leaf followed by the intermediates needed to reach a root; times are unix seconds.
    `dns_names` are those that the certificate holds beside its URI.
    """

    uri: str
    chain_pem: bytes
    key_pem: bytes
    not_before: float
    not_after: float
    dns_names: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Tells two leaves apart; safe to log, as it is made of the public part only."""
        return hashlib.sha256(self.chain_pem).hexdigest()

    def __repr__(self) -> str:
        return f"Leaf(uri={self.uri!r}, not_after={self.not_after}, digest={self.digest[:12]})"


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """One CA root, PEM. All roots are trusted, the active one signs."""

    id: str
    pem: bytes
    active: bool


class TrustBundle(msgspec.Struct, frozen=True, kw_only=True):
    """The roots that certificates of one trust domain must lead to."""

    trust_domain: str
    roots: tuple[Root, ...]

    @property
    def digest(self) -> str:
        material = b"\0".join((self.trust_domain.encode(), *(root.pem for root in self.roots)))
        return hashlib.sha256(material).hexdigest()
