"""Handshakes over a non-blocking socket that the connection sits on directly.

Belongs here: driving OpenSSL until it is done, under a deadline. Never here: who the peer may be
(the context's check, or the caller's), or an ending's consequences.

The caller owns the socket and closes it, whatever happened. After a refused handshake our alert has
been sent, and the peer was given a moment to read it: closing at once would reset the connection,
as there are unread bytes, and a reset may destroy the alert.
"""

import socket
from collections.abc import Callable

import trio
from OpenSSL import SSL

from cluster.errors import ClientFault, Ended, UpstreamFault
from cluster.reasons import End
from worker.net.refuse import refuse
from worker.tls import errors
from worker.tls.contexts import NameCheck
from worker.tls.leg import TlsLeg
from worker.tls.names_match import sendable_server_name
from worker.tls.openssl import Verification, clear_errors
from worker.tls.peer import PeerCheck

#: From OpenSSL's error, and what was wrong with the certificate, to the ending.
_Fault = Callable[[SSL.Error, str], Ended]


async def accept(sock: socket.socket, context: SSL.Context, *, timeout_seconds: float) -> TlsLeg:
    """Be the server on `sock`, whose first unread byte is the ClientHello's.

    Raises `ClientFault`: `client_certificate`, `handshake_failed` or `handshake_timeout`.
    """
    connection = _connection(sock, context, _check(context, ""))
    connection.set_accept_state()
    try:
        return await _shake_hands(sock, connection, timeout_seconds, errors.client_fault)
    except trio.TooSlowError:
        why = f"no TLS handshake in {timeout_seconds:g} s"
        raise ClientFault(End.HANDSHAKE_TIMEOUT, why) from None


async def connect(
    sock: socket.socket,
    context: SSL.Context,
    *,
    server_name: str,
    timeout_seconds: float,
    check_peer: PeerCheck | None = None,
) -> TlsLeg:
    """Be the client on the connected `sock`.

    `server_name` is what the server is asked for (an IP address is not sent, RFC 6066), and what an
    origination context has its certificate checked for. `check_peer` replaces that check; a mesh
    context has none of its own, so there it must be given. Raises `UpstreamFault` (`upstream_tls`).
    """
    connection = _connection(sock, context, check_peer or _check(context, server_name))
    connection.set_connect_state()
    if name := sendable_server_name(server_name):
        connection.set_tlsext_host_name(name)
    try:
        return await _shake_hands(sock, connection, timeout_seconds, errors.upstream_fault)
    except trio.TooSlowError:
        why = f"no TLS handshake in {timeout_seconds:g} s"
        raise UpstreamFault(End.UPSTREAM_TLS, why) from None


def _check(context: SSL.Context, server_name: str) -> PeerCheck:
    named_for: NameCheck | None = context.get_app_data()
    if named_for is None:
        raise TypeError("this context does not say whom to expect: check_peer is needed")
    return named_for(server_name)


def _connection(sock: socket.socket, context: SSL.Context, check: PeerCheck) -> SSL.Connection:
    connection = SSL.Connection(context, sock)
    connection.set_app_data(Verification(check))
    return connection


async def _shake_hands(
    sock: socket.socket, connection: SSL.Connection, timeout_seconds: float, fault: _Fault
) -> TlsLeg:
    """The leg, after at most `timeout_seconds` or `trio.TooSlowError`; refusing takes time of its own."""
    verification: Verification = connection.get_app_data()
    try:
        with trio.fail_after(timeout_seconds):
            await _drive(sock, connection)
    except SSL.Error as error:
        if verification.bug is not None:
            raise verification.bug from None
        await refuse(sock, b"")
        raise fault(error, verification.problem) from None
    if verification.peer is None:
        raise AssertionError("OpenSSL finished a handshake without asking about the certificate")
    return TlsLeg(sock, connection, verification.peer)


async def _drive(sock: socket.socket, connection: SSL.Connection) -> None:
    """Call OpenSSL until the handshake is over. Raises `SSL.Error` when it failed."""
    while True:
        clear_errors()
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            await trio.lowlevel.wait_readable(sock.fileno())
        except SSL.WantWriteError:
            await trio.lowlevel.wait_writable(sock.fileno())
        else:
            return
