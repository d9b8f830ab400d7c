"""One side of a relayed connection, behind four calls, so that nobody above asks whether it is TLS.

A leg is an established, non-blocking, bidirectional byte stream: the client's or the upstream's.
Every call returns at once. A call that cannot go on says which readiness of `sock` it waits for by
raising `WouldBlockRead` or `WouldBlockWrite`; for a plain socket receiving waits for reading and
sending for writing, for a TLS leg either may wait for either.

Belongs here: the contract, and the leg over a bare socket. Never here: waiting (the relay engines
do that), a handshake, or a decision.
"""

import contextlib
import errno
import socket
import struct
from typing import Final, Protocol

#: A good size for one read that is written on at once. Loopback carries up to 65,483 bytes as one segment, so
#: what comes in pieces of 64 KiB ends in a tiny one each, and takes twice the time of this.
READ_BYTES: Final = 63 * 1024

_LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)


#: What the kernel tells of a peer or a path that is gone, beside a reset: keep-alive and
#: retransmission limits, ICMP errors (tcp(7), ip(7)). To a relay they all are a stream cut short.
_PATH_IS_GONE = frozenset(
    {
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.EPROTO,
        errno.ENOTCONN,
    }
)


class WouldBlockRead(Exception):
    """Call again once `sock` is readable; a `send` with the same bytes, maybe at another address."""


class WouldBlockWrite(Exception):
    """Call again once `sock` is writable; a `send` with the same bytes, maybe at another address."""


class Leg(Protocol):
    """What a relay engine needs of either side; see the module's docstring for the waiting rule."""

    sock: socket.socket

    def ssl_address(self) -> int:
        """Address of the OpenSSL connection that carries this leg, for a native engine; 0 for none."""
        ...

    def recv_into(self, buffer: memoryview) -> int:
        """Fill `buffer` from its start; the count of bytes, 0 when the peer ended in order.

        Raises `WouldBlockRead`, `WouldBlockWrite`, and `ConnectionResetError` for a reset or a TLS
        stream that ended without close_notify.
        """
        ...

    def send(self, data: memoryview) -> int:
        """Send some of `data` (which is not empty); how many bytes were taken, at least one.

        Raises `WouldBlockRead`, `WouldBlockWrite`, `ConnectionResetError` and `BrokenPipeError`.
        """
        ...

    def pending(self) -> int:
        """Bytes that can be had at once, though the socket will not become readable for them."""
        ...

    def shutdown_write(self) -> None:
        """End our direction in order: FIN or close_notify. Calling it again does nothing.

        Raises `WouldBlockWrite` when it has to be called again, and `ConnectionResetError` when the
        peer is gone, so that nobody believes it was told.
        """
        ...

    def close(self) -> None:
        """Close the descriptor and add nothing to the stream. Calling it again does nothing."""
        ...

    def abort(self) -> None:
        """Close with a reset, so that the peer cannot take a cut stream for a complete one."""
        ...


class PlainLeg:
    """A leg over a bare stream socket; TCP, or a unix socket (where an abort is a plain close)."""

    __slots__ = ("_write_ended", "sock")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._write_ended = False

    def ssl_address(self) -> int:
        return 0

    def recv_into(self, buffer: memoryview) -> int:
        try:
            return self.sock.recv_into(buffer)
        except BlockingIOError:
            raise WouldBlockRead from None
        except OSError as error:
            raise cut_short(error) from None

    def send(self, data: memoryview) -> int:
        try:
            return self.sock.send(data)
        except BlockingIOError:
            raise WouldBlockWrite from None
        except OSError as error:
            raise cut_short(error) from None

    def pending(self) -> int:
        return 0

    def shutdown_write(self) -> None:
        if self._write_ended:
            return
        self._write_ended = True
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise cut_short(error) from None

    def close(self) -> None:
        self.sock.close()

    def abort(self) -> None:
        reset(self.sock)


def cut_short(error: OSError) -> OSError:
    """The error as a leg may raise it: what means a lost peer becomes a `ConnectionResetError`."""
    if error.errno in _PATH_IS_GONE:
        return ConnectionResetError(error.errno, error.strerror)
    return error


def reset(sock: socket.socket) -> None:
    """Close `sock` with an RST where the protocol has one; a closed socket is left alone."""
    if sock.fileno() != -1:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
    sock.close()
