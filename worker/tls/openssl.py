"""The few things that pyOpenSSL's public interface does not offer, through the same library.

Belongs here: every use of a private name of pyOpenSSL, and of the OpenSSL binding inside the
`cryptography` wheel, so that an update of either has one file to break. Never here: policy.

The verify callback. pyOpenSSL's own cannot choose the error, and the error is what OpenSSL makes the
alert of: with none set the peer reads certificate_unknown. Tried with OpenSSL 4.0:
X509_V_ERR_CERT_REJECTED gives bad_certificate, X509_V_ERR_APPLICATION_VERIFICATION handshake_failure.
The callback runs inside SSL_do_handshake, for each certificate of the chain, the leaf last.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.bindings._rust import _openssl
from OpenSSL import SSL, crypto

from worker.tls.peer import Peer, PeerCheck, read_peer

lib: Any = _openssl.lib
ffi: Any = _openssl.ffi


class FunctionMissing(LookupError):
    """The OpenSSL inside the `cryptography` wheel does not offer a function; the text names each."""


def function_addresses(names: Iterable[str]) -> dict[str, int]:
    """Where these OpenSSL functions are in memory, for C code that calls the same library.

    Raises `FunctionMissing`.
    """
    wanted = tuple(names)
    if missing := [name for name in wanted if not _is_function(name)]:
        raise FunctionMissing(f"no such function in {version()}: {', '.join(missing)}")
    return {name: _address(ffi.addressof(lib, name)) for name in wanted}


def _is_function(name: str) -> bool:
    """Neither a constant, nor a variable: a function that a build leaves out is there as a null pointer."""
    try:
        return ffi.typeof(ffi.addressof(lib, name)).kind == "function"
    except (AttributeError, TypeError):
        return False


def version() -> str:
    """The library's own name and version: `OpenSSL 4.0.3 29 Sep 2026`."""
    text: bytes = ffi.string(lib.OpenSSL_version(lib.OPENSSL_VERSION))
    return text.decode()


def ssl_address(connection: SSL.Connection) -> int:
    """Where the connection's `SSL` is in memory; good as long as the connection lives."""
    return _address(connection._ssl)


def _address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


@dataclass(slots=True)
class Verification:
    """How the verification of one connection's peer went; lives as the connection's app data."""

    check: PeerCheck
    peer: Peer | None = None
    problem: str = ""
    bug: Exception | None = None


def require_peer(context: SSL.Context) -> None:
    """Have `context` demand a certificate, and ask each connection's `Verification` about it."""
    mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    lib.SSL_CTX_set_verify(context._context, mode, _verified)


def clear_errors() -> None:
    """Empty this thread's error queue, as SSL_get_error(3) demands before each call that it judges."""
    lib.ERR_clear_error()


# cffi keeps a callback alive as long as this name does; OpenSSL holds only a pointer.
@ffi.callback("int(int, X509_STORE_CTX *)", error=0)  # type: ignore[untyped-decorator]
def _verified(ok: int, store: Any) -> int:
    ssl = lib.X509_STORE_CTX_get_ex_data(store, lib.SSL_get_ex_data_X509_STORE_CTX_idx())
    verification = SSL.Connection._reverse_mapping[ssl].get_app_data()
    if not ok:
        verification.problem = _library_problem(store)
        return 0
    if lib.X509_STORE_CTX_get_error_depth(store) > 0:
        return 1
    if _is_expected(verification, store):
        return 1
    lib.X509_STORE_CTX_set_error(store, lib.X509_V_ERR_CERT_REJECTED)
    return 0


def _is_expected(verification: Verification, store: Any) -> bool:
    """Ask the check about the leaf. C is below us: no exception may leave, so a bug is kept for later."""
    try:
        verification.peer = read_peer(_current_certificate(store).to_cryptography())
    except ValueError as error:
        verification.problem = f"the certificate cannot be read: {error}"
        return False
    try:
        verification.problem = verification.check(verification.peer) or ""
    except Exception as error:
        verification.bug = error
        return False
    return not verification.problem


def _current_certificate(store: Any) -> crypto.X509:
    pointer = lib.X509_STORE_CTX_get_current_cert(store)
    lib.X509_up_ref(pointer)
    return crypto.X509._from_raw_x509_ptr(pointer)


def _library_problem(store: Any) -> str:
    """OpenSSL's own finding, and how far from the leaf."""
    text = lib.X509_verify_cert_error_string(lib.X509_STORE_CTX_get_error(store))
    depth = lib.X509_STORE_CTX_get_error_depth(store)
    return f"{ffi.string(text).decode()} (certificate {depth} of the chain)"
