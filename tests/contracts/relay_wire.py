"""A flow on real loopback sockets: two peers that a test drives, two legs that an engine is given.

`PAIRS` names the kinds of legs; a kind is an async function from one socket of the test's and one of
the engine's to a peer and a leg. The TLS kinds do their handshake here.
"""

import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from worker.net.leg import Leg, PlainLeg, reset


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


PAIRS: dict[str, tuple[Kind, Kind]] = {"plain-plain": (plain, plain)}


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


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
