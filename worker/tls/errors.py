"""What OpenSSL's errors mean to us.

Belongs here: the one place that reads pyOpenSSL's exceptions. Never here: raising them on purpose.
"""

import os

from OpenSSL import SSL

from cluster.errors import ClientFault, Ended, UpstreamFault
from cluster.reasons import End

#: OpenSSL's reason for a client that showed no certificate; it has no other sign of it.
_NO_CERTIFICATE = "peer did not return a certificate"


def broken_stream(error: SSL.Error) -> OSError:
    """The OSError that an established stream ends with: truncated, reset, or garbled.

    A stream that ends without close_notify may have been cut by anybody (RFC 8446 section 6.1), so it
    counts as reset, and so does a fatal alert.
    """
    if isinstance(error, SSL.SysCallError):
        number = error.args[0]
        if number > 0:
            return OSError(number, os.strerror(number))  # is made the fitting subclass by Python
        return ConnectionResetError("TLS stream ended without close_notify")
    return ConnectionResetError(f"TLS stream broken: {reason(error)}")


def client_fault(error: SSL.Error, problem: str) -> Ended:
    """Why a handshake with a client failed; `problem` is what was wrong with its certificate."""
    if problem:
        return ClientFault(End.CLIENT_CERTIFICATE, problem)
    why = reason(error)
    if why == _NO_CERTIFICATE:
        return ClientFault(End.CLIENT_CERTIFICATE, "no certificate")
    return ClientFault(End.HANDSHAKE_FAILED, why)


def upstream_fault(error: SSL.Error, problem: str) -> Ended:
    """Why a handshake with a server failed; `problem` is what was wrong with its certificate."""
    return UpstreamFault(End.UPSTREAM_TLS, problem or reason(error))


def reason(error: SSL.Error) -> str:
    """In words for a log: OpenSSL's first reason, the socket's error, or that the peer went away."""
    if isinstance(error, SSL.SysCallError):
        number = error.args[0]
        return os.strerror(number) if number > 0 else "the peer closed the connection"
    entries = error.args[0] if error.args else ()
    return next((why for _, _, why in entries if why), "no reason given")
