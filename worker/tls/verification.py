"""Asking about the peer's certificate in the middle of a handshake.

Belongs here: OpenSSL's callbacks, what they leave behind for one connection, and the alert that a
refused peer reads. Never here: who is the right peer (a `PeerCheck` is handed in).

The verify callback. pyOpenSSL's own cannot choose the error, and the error is what OpenSSL makes the
alert of: with none set the peer reads certificate_unknown. Tried with OpenSSL 4.0:
X509_V_ERR_CERT_REJECTED gives bad_certificate, X509_V_ERR_APPLICATION_VERIFICATION handshake_failure.
It runs inside SSL_do_handshake, for each certificate of the chain, the leaf last. The chain has been
verified by OpenSSL then; what the leaf says is taken from a cache (`peer.peer_of`).

C is below these functions: no exception may leave them, so a bug is kept for whoever drives the
handshake. They own none of the objects they are given.
"""

from dataclasses import dataclass
from typing import Any

from OpenSSL import SSL

from worker.tls.openssl import ffi, lib
from worker.tls.peer import Peer, PeerCheck, peer_of


@dataclass(slots=True)
class Verification:
    """How the verification of one connection's peer went; the connection's app data meanwhile."""

    check: PeerCheck
    peer: Peer | None = None
    problem: str = ""
    bug: Exception | None = None


def require_peer(context: SSL.Context) -> None:
    """Have `context` demand a certificate, and ask each connection's `Verification` about it."""
    mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    lib.SSL_CTX_set_verify(context._context, mode, _verified)


# cffi keeps a callback alive as long as this name does; OpenSSL holds only a pointer.
@ffi.callback("int(int, X509_STORE_CTX *)", error=0)  # type: ignore[untyped-decorator]
def _verified(ok: int, store: Any) -> int:
    if ok and lib.X509_STORE_CTX_get_error_depth(store) > 0:
        return 1
    verification = _of(lib.X509_STORE_CTX_get_ex_data(store, _SSL_INDEX))
    if not ok:
        verification.problem = _library_problem(store)
        return 0
    if _is_expected(verification, lib.X509_STORE_CTX_get_current_cert(store)):
        return 1
    lib.X509_STORE_CTX_set_error(store, lib.X509_V_ERR_CERT_REJECTED)
    return 0


_SSL_INDEX: int = lib.SSL_get_ex_data_X509_STORE_CTX_idx()


def _of(ssl: Any) -> Verification:
    verification: Verification = SSL.Connection._reverse_mapping[ssl].get_app_data()
    return verification


def _is_expected(verification: Verification, certificate: Any) -> bool:
    """Ask the check about the leaf."""
    try:
        peer = verification.peer = peer_of(_der(certificate))
        verification.problem = verification.check(peer) or ""
    except ValueError as error:
        verification.problem = f"the certificate cannot be read: {error}"
    except Exception as error:
        verification.bug = error
        return False
    return not verification.problem


def _der(certificate: Any) -> bytes:
    """All of a certificate's bytes. Raises ValueError."""
    bio = lib.BIO_new(lib.BIO_s_mem())
    try:
        if lib.i2d_X509_bio(bio, certificate) != 1:
            raise ValueError("it cannot be encoded")
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
