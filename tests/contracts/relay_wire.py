"""A flow on real loopback sockets: two peers that a test drives, two legs that an engine is given.

`PAIRS` names the kinds of legs; a kind is an async function from one socket of the test's and one of
the engine's to a peer and a leg. The TLS kinds do their handshake here.
"""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Protocol

import trio
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL

from worker.net.leg import Leg, PlainLeg, reset
from worker.tls.contexts import origination_context, server_context
from worker.tls.handshake import accept, connect


class Peer(Protocol):
    async def send(self, data: bytes) -> None: ...
    async def receive(self, limit: int = 65536) -> bytes: ...  # b"" at the end of the stream
    async def half_close(self) -> None: ...
    def reset(self) -> None: ...
    def close(self) -> None: ...


class PlainPeer:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._trio = trio.socket.from_stdlib_socket(sock)

    async def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[await self._trio.send(rest) :]

    async def receive(self, limit: int = 65536) -> bytes:
        return await self._trio.recv(limit)

    async def half_close(self) -> None:
        await trio.lowlevel.checkpoint()
        self._trio.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        trio.lowlevel.notify_closing(self.sock)
        reset(self.sock)

    def close(self) -> None:
        self._trio.close()


Kind = Callable[[socket.socket, socket.socket], Awaitable[tuple[Peer, Leg]]]


async def plain(outer: socket.socket, inner: socket.socket) -> tuple[Peer, Leg]:
    await trio.lowlevel.checkpoint()
    return PlainPeer(outer), PlainLeg(inner)


class TlsPeer:
    """A peer that speaks TLS by pyOpenSSL; `close` says nothing, as a killed process."""

    def __init__(self, sock: socket.socket, context: SSL.Context) -> None:
        self.sock = sock
        self.connection = SSL.Connection(context, sock)

    async def drive(self, call: Callable[[], Any]) -> Any:
        while True:
            try:
                return call()
            except SSL.WantReadError:
                await trio.lowlevel.wait_readable(self.sock.fileno())
            except SSL.WantWriteError:
                await trio.lowlevel.wait_writable(self.sock.fileno())
            except SSL.SysCallError as error:
                raise OSError(*error.args) from None
            except SSL.ZeroReturnError:
                raise
            except SSL.Error as error:
                raise ConnectionError(f"TLS: {error}") from None

    async def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[await self.drive(lambda part=rest: self.connection.send(part)) :]

    async def receive(self, limit: int = 65536) -> bytes:
        try:
            return await self.drive(lambda: self.connection.recv(limit))
        except SSL.ZeroReturnError:
            return b""

    async def half_close(self) -> None:
        await self.drive(self.connection.shutdown)

    def reset(self) -> None:
        trio.lowlevel.notify_closing(self.sock.fileno())
        reset(self.sock)

    def close(self) -> None:
        self.sock.close()


class Certificates:
    """One CA for everybody, and contexts of peers and of legs."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.root = authority.cert_pem.bytes()
        leaf = authority.issue_cert("leaf.test")
        self.chain = b"".join(part.bytes() for part in leaf.cert_chain_pems)
        self.key = leaf.private_key_pem.bytes()

    def peer_context(self, method: int) -> SSL.Context:
        context = SSL.Context(method)
        context.use_certificate(x509.load_pem_x509_certificate(self.chain))
        context.use_privatekey(load_pem_private_key(self.key, None))
        return context


certificates = cache(Certificates)


async def tls_client(outer: socket.socket, inner: socket.socket) -> tuple[Peer, Leg]:
    """The peer calls us, with a certificate."""
    made = certificates()
    peer = TlsPeer(outer, made.peer_context(SSL.TLS_CLIENT_METHOD))
    peer.connection.set_connect_state()
    context = server_context(made.chain, made.key, [made.root], check_peer=lambda uris: None)
    return peer, await both(peer, partial(accept, inner, context, timeout_seconds=30))


async def tls_server(outer: socket.socket, inner: socket.socket) -> tuple[Peer, Leg]:
    """We call the peer, and verify it."""
    made = certificates()
    peer = TlsPeer(outer, made.peer_context(SSL.TLS_SERVER_METHOD))
    peer.connection.set_accept_state()
    context = origination_context(made.root)
    return peer, await both(
        peer, partial(connect, inner, context, server_name="leaf.test", timeout_seconds=30)
    )


async def both(peer: TlsPeer, handshake: Callable[[], Awaitable[Leg]]) -> Leg:
    """Shake hands on either side at once; the engine's leg."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.drive, peer.connection.do_handshake)
        leg = await handshake()
    return leg


PAIRS: dict[str, tuple[Kind, Kind]] = {
    "plain-plain": (plain, plain),
    "tls-plain": (tls_client, plain),
    "plain-tls": (plain, tls_server),
    "tls-tls": (tls_client, tls_server),
}


@dataclass
class Wire:
    client: Peer
    client_leg: Leg
    upstream_leg: Leg
    upstream: Peer

    def close_peers(self) -> None:
        self.client.close()
        self.upstream.close()

    def close(self) -> None:
        self.close_peers()
        self.client_leg.close()
        self.upstream_leg.close()


async def open_wire(pair: str, *, small_buffers: bool = False) -> Wire:
    """`small_buffers` keeps what the kernel may hold to some ten kB per hop."""
    client_kind, upstream_kind = PAIRS[pair]
    client, client_leg = await client_kind(*tcp_pair(small_buffers))
    upstream, upstream_leg = await upstream_kind(*tcp_pair(small_buffers))
    return Wire(client, client_leg, upstream_leg, upstream)


def tcp_pair(small_buffers: bool = False) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if small_buffers:
            shrink(listener)
        outer = socket.socket()
        if small_buffers:
            shrink(outer)
        outer.connect(listener.getsockname())
        inner, _ = listener.accept()
    for sock in (outer, inner):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
    return outer, inner


def shrink(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)


async def receive_all(peer: Peer) -> bytes:
    """Until the peer's stream ends in order; a reset is an error."""
    parts = []
    while part := await peer.receive():
        parts.append(part)
    return b"".join(parts)


async def receive_exactly(peer: Peer, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = await peer.receive(count - len(data))
        assert part, f"ended after {len(data)} of {count} bytes"
        data += part
    return data
