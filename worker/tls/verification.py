"""Asking about the peer's certificate in the middle of a handshake.

Belongs here: OpenSSL's callbacks, what they leave behind for one connection, and the alert that a
refused peer reads. Never here: who is the right peer (a `PeerCheck` is handed in).

The verify callback. pyOpenSSL's own cannot choose the error, and the error is what OpenSSL makes the
alert of: with none set the peer reads certificate_unknown. Tried with OpenSSL 4.0:
X509_V_ERR_CERT_REJECTED gives bad_certificate, X509_V_ERR_APPLICATION_VERIFICATION handshake_failure.
It runs inside SSL_do_handshake, for each certificate of the chain, the leaf last. The chain has been
verified by OpenSSL then; what the leaf says is taken from a cache (`peer.peer_of`). The first of
them, at the other end, is the root by which all are believed: it is written down as the anchor.

A resumed session skips all that: no certificate is sent, no chain verified. So the hello callback
asks the same questions about the certificate that the session was made with, and looks at its end
of validity, which nobody else does then; the anchor is the one that the same certificate had in this
context before. It runs when OpenSSL has opened the ticket and nothing has
been answered, whether or not a server name was sent (tried with OpenSSL 4.0), so that a refused
client reads an alert in the place where it expects one, and is given no further ticket.

C is below these functions: no exception may leave them, so a bug is kept for whoever drives the
handshake. Of what they are given they own nothing but what SSL_get_peer_certificate returns.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from OpenSSL import SSL

from cluster.process.clock import wall_clock
from worker.tls.alerts import Description
from worker.tls.openssl import ffi, lib
from worker.tls.peer import REMEMBERED, Peer, PeerCheck, peer_of


@dataclass(slots=True)
class Verification:
    """How the verification of one connection's peer went; the connection's app data meanwhile."""

    check: PeerCheck
    wall_clock: Callable[[], float] = wall_clock
    peer: Peer | None = None
    anchors: "Anchors | None" = None
    anchor: str = ""
    problem: str = ""
    bug: Exception | None = None


#: The anchor of whom we believe by a root that we do not remember: no root is called so.
UNKNOWN = "unknown"


class Anchors:
    """Fingerprints of roots by those of the certificates that led to them: for who resumes."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def remember(self, peer: Peer, anchor: str) -> None:
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        self._found[peer.fingerprint] = anchor

    def of(self, peer: Peer) -> str:
        """`UNKNOWN` for a certificate that was not seen, or long ago."""
        return self._found.get(peer.fingerprint, UNKNOWN)


@dataclass(frozen=True, slots=True)
class ServerTerms:
    """What a server context asks about each client; its app data. The clock is in unix seconds.

    `peer` is who a client is that is not asked; `anchors` are by which roots the others were believed.
    """

    check: PeerCheck
    wall_clock: Callable[[], float]
    peer: Peer | None = None
    anchors: Anchors = field(default_factory=Anchors)


#: Who shows no certificate, because nobody asks for one.
NOBODY = Peer(not_after=math.inf)
ANYBODY = ServerTerms(check=lambda _: None, wall_clock=wall_clock, peer=NOBODY)


def require_peer(context: SSL.Context) -> None:
    """Have `context` demand a certificate, and ask each connection's `Verification` about it."""
    mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    lib.SSL_CTX_set_verify(context._context, mode, _verified)


def demand_nothing(context: SSL.Context) -> None:
    """Have a server's `context` ask nobody for a certificate."""
    lib.SSL_CTX_set_verify(context._context, SSL.VERIFY_NONE, _verified)


def ask_again_when_resumed(context: SSL.Context) -> None:
    """Have a server's `context` ask about the certificate of whoever resumes a session, too."""
    lib.SSL_CTX_set_tlsext_servername_callback(context._context, _hello_read)


# cffi keeps a callback alive as long as this name does; OpenSSL holds only a pointer.
@ffi.callback("int(int, X509_STORE_CTX *)", error=0)  # type: ignore[untyped-decorator]
def _verified(ok: int, store: Any) -> int:
    verification = _of(lib.X509_STORE_CTX_get_ex_data(store, _SSL_INDEX))
    if not ok:
        verification.problem = _library_problem(store)
        return 0
    certificate = lib.X509_STORE_CTX_get_current_cert(store)
    if not verification.anchor:
        verification.anchor = _fingerprint(certificate)
    if lib.X509_STORE_CTX_get_error_depth(store) > 0 or _refusal(verification, certificate) is None:
        return 1
    lib.X509_STORE_CTX_set_error(store, lib.X509_V_ERR_CERT_REJECTED)
    return 0


@ffi.callback("int(SSL *, int *, void *)", error=lib.SSL_TLSEXT_ERR_ALERT_FATAL)  # type: ignore[untyped-decorator]
def _hello_read(ssl: Any, alert: Any, _: Any) -> int:
    if not lib.SSL_session_reused(ssl):
        return _GO_ON
    certificate = lib.SSL_get_peer_certificate(ssl)
    try:
        refusal = _refusal(_of(ssl), certificate, resumed=True)
    finally:
        lib.X509_free(certificate)
    if refusal is None:
        return _GO_ON
    alert[0] = refusal
    return _REFUSE


_SSL_INDEX: int = lib.SSL_get_ex_data_X509_STORE_CTX_idx()
_GO_ON: int = lib.SSL_TLSEXT_ERR_NOACK  # what OpenSSL does without a callback
_REFUSE: int = lib.SSL_TLSEXT_ERR_ALERT_FATAL


def _of(ssl: Any) -> Verification:
    verification: Verification = SSL.Connection._reverse_mapping[ssl].get_app_data()
    return verification


def _refusal(
    verification: Verification, certificate: Any, *, resumed: bool = False
) -> Description | None:
    """The alert for who shows this certificate, or None for the right peer; it is written down."""
    try:
        peer = peer_of(_der(certificate))
    except ValueError as error:
        verification.problem = f"the certificate cannot be read: {error}"
        return Description.BAD_CERTIFICATE
    try:
        if resumed and verification.wall_clock() > peer.not_after:
            verification.problem = "the certificate has expired since the session was made"
            return Description.CERTIFICATE_EXPIRED
        verification.problem = verification.check(peer) or ""
    except Exception as error:
        verification.bug = error
        return Description.INTERNAL_ERROR
    if verification.problem:
        return Description.BAD_CERTIFICATE
    verification.peer = peer
    if verification.anchors is not None:
        _remember(verification, verification.anchors, peer, resumed=resumed)
    return None


def _remember(verification: Verification, anchors: Anchors, peer: Peer, *, resumed: bool) -> None:
    if resumed:
        verification.anchor = anchors.of(peer)
    else:
        anchors.remember(peer, verification.anchor)


def _fingerprint(certificate: Any) -> str:
    """As `peer.fingerprint_of` has it; `UNKNOWN` for what cannot be encoded, which no root is."""
    try:
        return hashlib.sha256(_der(certificate)).hexdigest()
    except ValueError:
        return UNKNOWN


def _der(certificate: Any) -> bytes:
    """All of a certificate's bytes. Raises ValueError."""
    bio = lib.BIO_new(lib.BIO_s_mem())
    try:
        if lib.i2d_X509_bio(bio, certificate) != 1:
            raise ValueError("there is none that could be encoded")
        start = ffi.new("char **")
        length = lib.BIO_get_mem_data(bio, start)
        der: bytes = ffi.buffer(start[0], length)[:]
    finally:
        lib.BIO_free(bio)
    return der


def _library_problem(store: Any) -> str:
    """OpenSSL's own finding, and how far from the leaf."""
    text = lib.X509_verify_cert_error_string(lib.X509_STORE_CTX_get_error(store))
    depth = lib.X509_STORE_CTX_get_error_depth(store)
    return f"{ffi.string(text).decode()} (certificate {depth} of the chain)"
