"""A handshake in steps that never wait, for a driver that has a task and for one that has none.

Belongs here: what a handshake is made of, and what its failure is called. Never here: waiting for
the socket, a deadline, or seeing to it that a refused peer reads our alert (`handshake` does that,
for whoever may wait).
"""

import socket
from collections.abc import Callable

from OpenSSL import SSL

from cluster.errors import Ended
from worker.tls import errors
from worker.tls.contexts import NameCheck
from worker.tls.leg import TlsLeg
from worker.tls.names_match import sendable_server_name
from worker.tls.openssl import Want, do_handshake
from worker.tls.peer import PeerCheck
from worker.tls.verification import ServerTerms, Verification

__all__ = ["Handshake", "Want", "client_handshake", "server_handshake"]

#: From OpenSSL's error, and what was wrong with the certificate, to the ending.
_Fault = Callable[[SSL.Error, str], Ended]


class Handshake:
    """One side of a handshake on a non-blocking socket; made by the two functions of this module.

    Call `step` until it wants nothing, then `leg` once; after a fault, neither. The caller owns the
    socket. Our alert has been given to the kernel when a fault is raised, but closing at once may
    destroy it (`worker.net.refuse`).
    """

    __slots__ = ("_connection", "_fault", "_verification", "sock")

    def __init__(
        self,
        sock: socket.socket,
        connection: SSL.Connection,
        verification: Verification,
        fault: _Fault,
    ) -> None:
        connection.set_app_data(verification)
        self.sock = sock
        self._connection = connection
        self._verification = verification
        self._fault = fault

    def step(self) -> Want:
        """Go as far as the socket allows, and say what it takes to go on; `Want.NOTHING`: it is over.

        Raises `ClientFault` (`client_certificate`, `handshake_failed`) as a server, `UpstreamFault`
        (`upstream_tls`) as a client, and whatever a buggy check raised.
        """
        try:
            return do_handshake(self._connection)
        except SSL.Error as error:
            verification = self._verification
            if verification.bug is not None:
                raise verification.bug from None
            raise self._fault(error, verification.problem) from None

    def leg(self) -> TlsLeg:
        """The established connection, with the peer that was verified."""
        peer = self._verification.peer
        if peer is None:
            raise AssertionError(
                "OpenSSL finished a handshake without asking about the certificate"
            )
        self._connection.set_app_data(None)
        return TlsLeg(self.sock, self._connection, peer, self._verification.anchor)


def server_handshake(sock: socket.socket, context: SSL.Context) -> Handshake:
    """Be the server on `sock`, whose first unread byte is the ClientHello's."""
    terms = context.get_app_data()
    if not isinstance(terms, ServerTerms):
        raise TypeError("this is no server's context")
    verification = Verification(terms.check, terms.wall_clock, terms.peer, terms.anchors)
    connection = SSL.Connection(context, sock)
    connection.set_accept_state()
    return Handshake(sock, connection, verification, errors.client_fault)


def client_handshake(
    sock: socket.socket,
    context: SSL.Context,
    *,
    server_name: str,
    check_peer: PeerCheck | None = None,
) -> Handshake:
    """Be the client on the connected `sock`; see `handshake.connect` for the arguments."""
    verification = Verification(check_peer or _named(context, server_name))
    connection = SSL.Connection(context, sock)
    connection.set_connect_state()
    if name := sendable_server_name(server_name):
        connection.set_tlsext_host_name(name)
    return Handshake(sock, connection, verification, errors.upstream_fault)


def _named(context: SSL.Context, server_name: str) -> PeerCheck:
    named_for: NameCheck | None = context.get_app_data()
    if named_for is None:
        raise TypeError("this context does not say whom to expect: check_peer is needed")
    return named_for(server_name)
