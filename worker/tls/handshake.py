"""Handshakes over a non-blocking socket that the connection sits on directly.

Belongs here: driving a handshake until it is done, under a deadline. Never here: its steps
(`stepping`), who the peer may be (the context's check, or the caller's), or an ending's consequences.

The caller owns the socket and closes it, whatever happened. After a refused handshake our alert has
been sent, and the peer was given a moment to read it: closing at once would reset the connection,
as there are unread bytes, and a reset may destroy the alert.
"""

import socket

import trio
from OpenSSL import SSL

from cluster.errors import ClientFault, Ended, UpstreamFault
from cluster.reasons import End
from worker.net.refuse import refuse
from worker.tls.leg import TlsLeg
from worker.tls.peer import PeerCheck
from worker.tls.stepping import Handshake, Want, client_handshake, server_handshake


async def accept(sock: socket.socket, context: SSL.Context, *, timeout_seconds: float) -> TlsLeg:
    """Be the server on `sock`, whose first unread byte is the ClientHello's.

    Raises `ClientFault`: `client_certificate`, `handshake_failed` or `handshake_timeout`.
    """
    try:
        return await _shake_hands(server_handshake(sock, context), timeout_seconds)
    except trio.TooSlowError:
        raise handshake_timeout(timeout_seconds) from None


def handshake_timeout(timeout_seconds: float) -> ClientFault:
    """A caller that did not finish in time."""
    return ClientFault(End.HANDSHAKE_TIMEOUT, f"no TLS handshake in {timeout_seconds:g} s")


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
    handshake = client_handshake(sock, context, server_name=server_name, check_peer=check_peer)
    try:
        return await _shake_hands(handshake, timeout_seconds)
    except trio.TooSlowError:
        why = f"no TLS handshake in {timeout_seconds:g} s"
        raise UpstreamFault(End.UPSTREAM_TLS, why) from None


async def _shake_hands(handshake: Handshake, timeout_seconds: float) -> TlsLeg:
    """The leg, after at most `timeout_seconds` or `trio.TooSlowError`; refusing takes time of its own."""
    try:
        with trio.fail_after(timeout_seconds):
            await _drive(handshake)
    except Ended:
        await refuse(handshake.sock, b"")
        raise
    return handshake.leg()


async def _drive(handshake: Handshake) -> None:
    """Step until the handshake is over."""
    while (want := handshake.step()) is not Want.NOTHING:
        if want is Want.READ:
            await trio.lowlevel.wait_readable(handshake.sock.fileno())
        else:
            await trio.lowlevel.wait_writable(handshake.sock.fileno())
