"""The few things that pyOpenSSL's public interface does not offer, through the same library.

Belongs here, and in `verification`: every use of a private name of pyOpenSSL, and of the OpenSSL
binding inside the `cryptography` wheel, so that an update of either has one place to break. Never
here: policy.
"""

from collections.abc import Iterable
from enum import Enum, unique
from typing import Any

from cryptography.hazmat.bindings._rust import _openssl
from cryptography.hazmat.bindings.openssl.binding import Binding
from OpenSSL import SSL

lib: Any = _openssl.lib
ffi: Any = _openssl.ffi


class FunctionMissing(LookupError):
    """The OpenSSL inside the `cryptography` wheel does not offer a function; the text names each."""


def function_addresses(names: Iterable[str]) -> dict[str, int]:
    """Where these OpenSSL functions are in memory, for C code that calls the same library.

    Raises `FunctionMissing`.
    """
    wanted = tuple(names)
    # The raw module has even those that a build leaves out: as trampolines to address zero.
    offered = Binding().lib
    if missing := [name for name in wanted if not callable(getattr(offered, name, None))]:
        raise FunctionMissing(f"no such function in {version()}: {', '.join(missing)}")
    return {name: _address(ffi.addressof(lib, name)) for name in wanted}


def version() -> str:
    """The library's own name and version: `OpenSSL 4.0.3 29 Sep 2026`."""
    text: bytes = ffi.string(lib.OpenSSL_version(lib.OPENSSL_VERSION))
    return text.decode()


def ssl_address(connection: SSL.Connection) -> int:
    """Where the connection's `SSL` is in memory; good as long as the connection lives."""
    return _address(connection._ssl)


def _address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


@unique
class Want(Enum):
    """What has to be true of the socket before a handshake can go on."""

    NOTHING = 0
    READ = 1
    WRITE = 2


def do_handshake(connection: SSL.Connection) -> Want:
    """Go as far as the socket allows; `NOTHING` when the handshake is over. Raises `SSL.Error`.

    As `Connection.do_handshake`, without an exception for each time that OpenSSL has to wait.
    """
    ssl = connection._ssl
    lib.ERR_clear_error()
    result = lib.SSL_do_handshake(ssl)
    if result == 1:
        return Want.NOTHING
    error = lib.SSL_get_error(ssl, result)
    if error == _WANT_READ:
        return Want.READ
    if error == _WANT_WRITE:
        return Want.WRITE
    connection._raise_ssl_error(ssl, result)
    raise AssertionError(f"a handshake stopped for no reason: SSL_get_error says {error}")


_WANT_READ: int = lib.SSL_ERROR_WANT_READ
_WANT_WRITE: int = lib.SSL_ERROR_WANT_WRITE


def was_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake went on from an earlier session, so that no certificate was sent."""
    return bool(lib.SSL_session_reused(connection._ssl))


def clear_errors() -> None:
    """Empty this thread's error queue, as SSL_get_error(3) demands before each call that it judges."""
    lib.ERR_clear_error()
