"""From one root to the next: the new root, what vouches for it, and what becomes of the old. Pure.

Belongs here: whether a configuration asks for another root, cross-signing, when an old root is forgotten, and
what goes with one whose key has leaked. Never here: where it is stored (`stored`), or when somebody looks
(`authority`).

The old root signs a certificate for the new root's name and key. Leaves of the new root carry it, so
whoever trusts the old root alone, because the news has not reached it yet, believes them all the same;
and whoever has heard of the new root goes on trusting the leaves of the old one until it is pruned.
Source: Consul, "Certificate rotation" of the built-in CA.
"""

import datetime
from collections.abc import Iterable

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from cluster.errors import LockgateError
from cluster.identity import SigningId

from .config import CaConfig
from .keys import SigningKey, load_key, make_key, public_der
from .root import RootInfo, describe_root, make_root, signing_key_id, utc
from .sign import BACKDATED_SECONDS, Issuer

#: How long an old root vouches for its successor.
CROSS_SIGNED_SECONDS = 7 * 24 * 3600


class RotationRefused(LockgateError):
    """The root stays as it is."""


class UnknownRoot(LockgateError):
    """There is no root of that id."""


def other_root(config: CaConfig, present: CaConfig, issuer: Issuer) -> str:
    """Why this configuration cannot be had with the present root; empty if it can."""
    if config.root_cert:
        given = x509.load_pem_x509_certificate(config.root_cert.encode())
        return "" if given == issuer.certificate else "RootCert is another certificate"
    if config.private_key:
        given_key = public_der(load_key(config.private_key).public_key())
        same = given_key == public_der(issuer.key.public_key())
        return "" if same else "PrivateKey is another key"
    wanted = (config.private_key_type, config.private_key_bits)
    # not the key's own kind: one that was given need not be of the kind that would have been made
    known = (present.private_key_type, present.private_key_bits)
    return "" if wanted == known else f"the kind of key changes from {known[0]}/{known[1]}"


def root_for(
    config: CaConfig, signer: SigningId, *, serial: int, now: float, salt: str
) -> tuple[x509.Certificate, SigningKey]:
    """The root and its key: those that were given, or new ones. RSA takes up to seconds.

    Raises RotationRefused for a given root that is not valid now.
    """
    if config.private_key:
        key = load_key(config.private_key)
    else:
        key = make_key(config.private_key_type, config.private_key_bits)
    if config.root_cert:
        return _given(config.root_cert, now), key
    ttl_seconds = config.root_ttl_seconds
    root = make_root(
        key, signing=signer, serial=serial, now=now, ttl_seconds=ttl_seconds, name_salt=salt
    )
    return root, key


def _given(pem: str, now: float) -> x509.Certificate:
    root = x509.load_pem_x509_certificate(pem.encode())
    first, last = root.not_valid_before_utc, root.not_valid_after_utc
    if not first <= utc(now) < last:
        raise RotationRefused(
            f"RootCert is valid from {first.isoformat()} until {last.isoformat()}, not now"
        )
    return root


def cross_sign(
    root: x509.Certificate, issuer: Issuer, *, serial: int, now: float
) -> x509.Certificate:
    """A certificate by which those who trust only `issuer` believe what `root` signs, for seven days.

    Subject, key and constraints are the new root's. Raises RotationRefused if the issuer has expired.
    """
    start = utc(now)
    if start >= issuer.certificate.not_valid_after_utc:
        raise RotationRefused(
            "the present root has expired and cannot vouch for another one"
            " (ForceWithoutCrossSigning rotates without that)"
        )
    end = min(
        start + datetime.timedelta(seconds=CROSS_SIGNED_SECONDS),
        issuer.certificate.not_valid_after_utc,
        root.not_valid_after_utc,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(root.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(root.public_key())
        .serial_number(serial)
        .not_valid_before(start - datetime.timedelta(seconds=BACKDATED_SECONDS))
        .not_valid_after(end)
    )
    for extension in root.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    authority = x509.AuthorityKeyIdentifier(signing_key_id(issuer.certificate), None, None)
    return builder.add_extension(authority, critical=False).sign(issuer.key, hashes.SHA256())


def successor(
    root: x509.Certificate,
    key: SigningKey,
    vouching: x509.Certificate | None,
    *,
    before: RootInfo,
    now: float,
) -> tuple[RootInfo, RootInfo]:
    """The new active root and the old one, rotated out.

    What vouched for the old root goes along while it is valid: somebody may have missed two rotations.
    """
    new = describe_root(root, key, external_trust_domain=before.external_trust_domain)
    if vouching is not None:
        pem = vouching.public_bytes(Encoding.PEM).decode("ascii")
        new = msgspec.structs.replace(
            new, intermediates=(pem, *unexpired(before.intermediates, now))
        )
    return new, msgspec.structs.replace(before, active=False, rotated_out_at=now)


def distrusted(root_id: str, roots: Iterable[RootInfo], now: float) -> tuple[RootInfo, ...]:
    """What must go so that nobody believes the key of this root any more: itself, and what vouched for it.

    Whoever trusts a root that cross-signed the key goes on believing the key, for as long as that
    certificate is valid. Raises UnknownRoot, and RotationRefused where the active root is among them.
    """
    by_id = {root.id: root for root in roots}
    if root_id not in by_id:
        raise UnknownRoot(f"there is no root {root_id[:80]!r}")
    gone: dict[str, RootInfo] = {}
    waiting = [by_id[root_id]]
    while waiting:
        root = waiting.pop()
        gone[root.id] = root
        waiting += [one for one in by_id.values() if one.id not in gone and _leads(one, root, now)]
    for root in gone.values():
        if root.active:
            same = root.id == root_id
            why = "is the active root" if same else f"is believed by the active root {root.id}"
            raise RotationRefused(f"root {root_id} {why}: rotate to another key first")
    return tuple(gone.values())


def _leads(issuer: RootInfo, root: RootInfo, now: float) -> bool:
    """Whether who trusts `issuer` believes the key of `root`: it is the same, or was vouched for."""
    above, below = _certificate(issuer.pem), _certificate(root.pem)
    key = public_der(below.public_key())
    if public_der(above.public_key()) == key:
        return True
    vouched = (_certificate(pem) for pem in unexpired(root.intermediates, now))
    return any(public_der(one.public_key()) == key and _issued(above, one) for one in vouched)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def without_issuers(pems: Iterable[str], issuers: Iterable[RootInfo]) -> tuple[str, ...]:
    """Those certificates that none of these roots has issued."""
    above = [_certificate(root.pem) for root in issuers]
    return tuple(pem for pem in pems if not any(_issued(one, _certificate(pem)) for one in above))


def _certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def unexpired(pems: Iterable[str], now: float) -> tuple[str, ...]:
    """Those certificates that are still valid."""
    return tuple(
        pem
        for pem in pems
        if x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc > utc(now)
    )


def is_stale(root: RootInfo, *, now: float, leaf_ttl_seconds: float) -> bool:
    """Whether nobody can have a valid leaf of a rotated root any more: after twice a leaf's life."""
    return not root.active and root.rotated_out_at + 2 * leaf_ttl_seconds <= now
