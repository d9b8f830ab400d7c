"""Making sockets: each option named after what it is for.

Belongs here: how a listening and an outbound socket are set up. Never here: accepting, waiting, or
passing descriptors between processes (`worker.descriptors`).

Options of a listening socket are inherited by what it accepts (tcp(7), Linux), so they are set once
there and cost nothing per connection.
"""

import socket
import struct

from cluster.errors import LockgateError

#: How many finished handshakes may wait to be accepted; the kernel cuts it to net.core.somaxconn.
DEFAULT_BACKLOG = 4096

#: A peer that vanished without a word is noticed after 60 + 4 * 15 seconds, idle limit or not.
_KEEPALIVE_IDLE_SECONDS = 60
_KEEPALIVE_INTERVAL_SECONDS = 15
_KEEPALIVE_PROBES = 4

#: `struct sockaddr_in` and `struct sockaddr_in6` (ip(7), ipv6(7)): family, port, address; in between the
#: second has a flow label, and behind it a scope.
_SOCKADDR_IN = struct.Struct("=HH4s8x")
_SOCKADDR_IN6 = struct.Struct("=HHI16sI")


class ListenError(LockgateError):
    """A listening socket could not be had; `errno` says why in the kernel's terms."""

    def __init__(self, address: str, port: int, error: OSError) -> None:
        super().__init__(f"cannot listen on {address_text(address, port)}: {error.strerror}")
        self.errno = error.errno


def listening_socket(
    address: str,
    port: int,
    *,
    reuse_port: bool = True,
    backlog: int = DEFAULT_BACKLOG,
    defer_accept_seconds: int = 0,
) -> socket.socket:
    """A non-blocking TCP socket that listens on an IPv4 or IPv6 literal; "" is every IPv4 address.

    With `reuse_port` several may share the port, and the kernel spreads connections over them. An
    IPv6 socket takes no IPv4 connections, so that `0.0.0.0` and `::` can be had side by side.
    `defer_accept_seconds` lets a connection be accepted only when its first bytes are there
    (TCP_DEFER_ACCEPT): for protocols in which the client speaks first, and no others.
    Raises `ListenError`.
    """
    sock = socket.socket(_family(address), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        _prepare_listener(sock, reuse_port=reuse_port, defer_accept_seconds=defer_accept_seconds)
        sock.bind((address, port))
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise ListenError(address, port, error) from None
    return sock


def defer_accept(sock: socket.socket, seconds: int) -> None:
    """Let connections of a listening socket be accepted when their first bytes are there, or after `seconds`.

    0 is at once, which is what a protocol needs whose server speaks first.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, seconds)


#: What is set on every socket that we connect from or listen on, as (level, option, value): never hold
#: small segments back for more (RFC 896), as we pass on what others composed.
STREAM_OPTIONS = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)

#: The same for a socket that dials when the first bytes to send are there already: they carry the last
#: acknowledgement of the handshake, which is one packet less (tcp(7), TCP_QUICKACK).
HELLO_FIRST_OPTIONS = (*STREAM_OPTIONS, (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0))

#: Ask a silent peer now and then whether it is still there (RFC 1122 4.2.3.6). That is four calls and a
#: timer for each connection, so whoever has to be quick does it when one has lived for
#: KEEPALIVE_AFTER_SECONDS.
KEEPALIVE_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE_SECONDS),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL_SECONDS),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES),
)
KEEPALIVE_AFTER_SECONDS = 30


def outbound_socket(family: int) -> socket.socket:
    """A non-blocking TCP socket to connect from. Raises `OSError` when there is none to be had."""
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    _set(sock, STREAM_OPTIONS)
    notice_dead_peers(sock)
    return sock


def notice_dead_peers(sock: socket.socket) -> None:
    """Have a peer that vanished without a word noticed in about two minutes."""
    _set(sock, KEEPALIVE_OPTIONS)


def _set(sock: socket.socket, options: tuple[tuple[int, int, int], ...]) -> None:
    for option in options:
        sock.setsockopt(*option)


def ephemeral_ports() -> tuple[int, int]:
    """The first and last port that the kernel gives to sockets that dial (ip(7), ip_local_port_range)."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            first, last = map(int, file.read().split())
    except (OSError, ValueError):
        return 0, 65535
    return first, last


def packed_address(host: str, port: int) -> bytes | None:
    """The `sockaddr` of an IP literal, as connect(2) reads it; None for a name, or an address with a zone."""
    try:
        if ":" in host:
            return _SOCKADDR_IN6.pack(
                socket.AF_INET6, socket.htons(port), 0, socket.inet_pton(socket.AF_INET6, host), 0
            )
        return _SOCKADDR_IN.pack(
            socket.AF_INET, socket.htons(port), socket.inet_pton(socket.AF_INET, host)
        )
    except (OSError, ValueError):  # ValueError: a null character in the text
        return None


def address_text(host: str, port: int) -> str:
    """`host:port` as people write it: `[::1]:80`, `10.0.0.1:80`, `*:80`."""
    return f"[{host}]:{port}" if ":" in host else f"{host or '*'}:{port}"


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _prepare_listener(sock: socket.socket, *, reuse_port: bool, defer_accept_seconds: int) -> None:
    # A restarted process gets the port although old connections linger in TIME_WAIT.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if defer_accept_seconds:
        defer_accept(sock, defer_accept_seconds)
    _set(sock, STREAM_OPTIONS)
