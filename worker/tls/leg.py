"""A leg of a relayed connection over an established TLS connection; see `worker.net.leg` for the rules.

The connection sits directly on the socket and does not read ahead: bytes are in the kernel or, as
the rest of one record, counted by `pending`.

One trap: a write that fails at the socket makes OpenSSL refuse to read as well, and a server that
answers early and hangs up ("413 too large") would not be heard. So the socket is asked whether the
peer has reset before anything is written; only a reset that comes while a record is being encrypted
can still take the answer with it. (tried with OpenSSL 4.0; the rule for a native engine is the same:
on EPOLLERR or EPOLLHUP read to the end before writing.)

Belongs here: the translation from OpenSSL's ways of saying "later" and "gone". Never here: handshakes.
"""

import select
import socket
from typing import NoReturn

from OpenSSL import SSL

from worker.net.leg import WouldBlockRead, WouldBlockWrite, cut_short, reset
from worker.tls.errors import broken_stream, reason
from worker.tls.openssl import clear_errors, ssl_address, was_resumed
from worker.tls.peer import Peer


class TlsLeg:
    """One side of a flow in TLS; made by `worker.tls.handshake`, which has verified `peer`.

    `anchor` is the fingerprint of the root by which the peer was believed; empty if it proved nothing.

    `send` is to be repeated with at least the same bytes after a WouldBlock (they may have moved).
    One thread at a time may use it. A native engine takes `connection`, and keeps it alive.
    """

    __slots__ = ("_hang_up", "_write_ended", "anchor", "connection", "peer", "sock")

    def __init__(
        self, sock: socket.socket, connection: SSL.Connection, peer: Peer, anchor: str = ""
    ) -> None:
        self.sock = sock
        self.connection = connection
        self.peer = peer
        self.anchor = anchor
        self._write_ended = False
        self._hang_up: select.poll | None = None

    @property
    def peer_uri(self) -> str:
        """The peer's one URI; empty if it has none or several."""
        return self.peer.uris[0] if len(self.peer.uris) == 1 else ""

    @property
    def peer_not_after(self) -> float:
        """When the peer's certificate expires, in unix seconds."""
        return self.peer.not_after

    @property
    def resumed(self) -> bool:
        """Whether this went on from an earlier session, so that the peer's certificate was not sent."""
        return was_resumed(self.connection)

    @property
    def alpn(self) -> bytes:
        """The protocol that was agreed on, empty for none."""
        return self.connection.get_alpn_proto_negotiated()

    def ssl_address(self) -> int:
        """The address of OpenSSL's `SSL`, for a native engine; good while this object is kept alive."""
        return ssl_address(self.connection)

    def recv_into(self, buffer: memoryview) -> int:
        clear_errors()
        try:
            return self.connection.recv_into(buffer)
        except SSL.ZeroReturnError:
            return 0
        except SSL.Error as error:
            _cannot_go_on(error)

    def send(self, data: memoryview) -> int:
        if self._has_hung_up():
            raise ConnectionResetError("the peer has reset the connection")
        clear_errors()
        try:
            return self.connection.send(data)
        except SSL.Error as error:
            _cannot_go_on(error)

    def _has_hung_up(self) -> bool:
        if self._hang_up is None:  # a native engine never sends through us
            self._hang_up = select.poll()
            self._hang_up.register(self.sock, 0)  # none but the events always told: error, hang-up
        return bool(self._hang_up.poll(0))

    def shutdown_write(self) -> None:
        """Send close_notify; our peer may go on sending.

        Only when all that was given to `send` has been taken: OpenSSL cannot put an alert behind a
        record that is half written, and loses both.
        """
        if self._write_ended:
            return
        clear_errors()
        try:
            self.connection.shutdown()
        except SSL.WantWriteError:
            raise WouldBlockWrite from None
        except SSL.Error as error:
            raise ConnectionResetError(f"close_notify was not sent: {reason(error)}") from None
        self._write_ended = True

    def pending(self) -> int:
        """Bytes that are decrypted already, and for which the socket will not become readable."""
        return self.connection.pending()

    def close(self) -> None:
        self.sock.close()

    def abort(self) -> None:
        reset(self.sock)


def _cannot_go_on(error: SSL.Error) -> NoReturn:
    if isinstance(error, SSL.WantReadError):
        raise WouldBlockRead from None
    if isinstance(error, SSL.WantWriteError):
        raise WouldBlockWrite from None
    raise cut_short(broken_stream(error)) from None
