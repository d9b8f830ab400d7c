"""TLS bulk, which the native engine reads in large pieces: whole, in order, and never too much of it."""

import ctypes
import fcntl
import os
import socket
import struct
import termios

import pytest
import trio

from cluster.reasons import End
from tests.contracts.relay_wire import (
    Wire,
    open_wire,
    plain,
    receive_all,
    receive_exactly,
    tcp_pair,
    tls_client,
)
from tests.fakes.rig import eventually
from tests.worker.relay.launching import NO_LIMITS, PATIENCE_SECONDS
from worker.relay.engine import Flow, RelayLimits

native = pytest.importorskip("worker.relay.native")

#: More than an ordinary read takes, and little enough to fit in the kernel's buffers of one hop.
MUCH = os.urandom(300_000)
_NewOver = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)


@pytest.fixture
def pieces(monkeypatch):
    """The sizes of the pieces that OpenSSL was fed with from memory."""
    sizes, real = [], native.engine.function_addresses

    def addresses(names):
        found = real(names)
        call = _NewOver(found["BIO_new_mem_buf"])

        @_NewOver
        def counted(data, size):
            sizes.append(size)
            return call(data, size)

        sizes_of[id(counted)] = counted  # as long as the loop may call it
        return found | {"BIO_new_mem_buf": ctypes.cast(counted, ctypes.c_void_p).value}

    sizes_of = {}
    monkeypatch.setattr(native.engine, "function_addresses", addresses)
    yield sizes
    sizes_of.clear()


@pytest.fixture
async def engine(nursery, pieces):
    made = native.NativeEngine()
    await nursery.start(made.attend)
    return made


class Carried:
    def __init__(self):
        self.flow, self.end = Flow(), None

    async def run(self, engine, wire, limits=NO_LIMITS):
        self.end = await engine.run(wire.client_leg, wire.upstream_leg, self.flow, limits)


def unread(sock):
    return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]


async def sent(peer, leg):
    """Send MUCH before anybody reads, so that the first read is full."""
    await peer.send(MUCH)
    await eventually(lambda: unread(leg.sock) > 60_000)


@pytest.mark.parametrize("pair", ["tls-plain", "plain-tls", "tls-tls"])
async def test_bulk_both_ways_arrives_whole_with_its_end(engine, pieces, pair):
    wire, carried = await open_wire(pair), Carried()
    await sent(wire.client, wire.client_leg)
    await sent(wire.upstream, wire.upstream_leg)
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carried.run, engine, wire)
            for sender, reader in ((wire.client, wire.upstream), (wire.upstream, wire.client)):
                assert await receive_exactly(reader, len(MUCH)) == MUCH
                nursery.start_soon(sender.send, MUCH)
                assert await receive_exactly(reader, len(MUCH)) == MUCH
                await sender.half_close()
                assert await receive_all(reader) == b""
    assert carried.end is End.FINISHED
    assert max(pieces) > 49_152
    wire.close()


async def test_an_end_without_close_notify_behind_bulk_is_a_cut(engine, pieces):
    wire, carried = await open_wire("tls-plain"), Carried()
    await sent(wire.client, wire.client_leg)
    wire.client.close()
    with trio.fail_after(PATIENCE_SECONDS):
        await carried.run(engine, wire)
    assert carried.end is End.CLIENT_RESET
    assert pieces
    wire.upstream.close()


async def test_the_peer_reads_why_a_record_amid_bulk_was_not_taken(engine, pieces):
    """What OpenSSL has to say while it is fed from memory goes to the socket."""
    wire, carried = await open_wire("tls-plain"), Carried()
    await sent(wire.client, wire.client_leg)
    wire.client.sock.send(b"\x17\x03\x03\x00\x40" + bytes(64))
    with trio.fail_after(PATIENCE_SECONDS):
        await carried.run(engine, wire)
        with pytest.raises(ConnectionError, match="bad record mac"):
            await wire.client.receive()
    assert carried.end is End.CLIENT_RESET
    assert pieces
    wire.close()


@pytest.mark.parametrize(
    "limits",
    [RelayLimits(pipe_bytes=64 * 1024), RelayLimits(buffer_bytes=4096, pipe_bytes=0)],
)
async def test_where_so_much_may_not_wait_no_large_piece_is_read(engine, pieces, limits):
    wire, carried = await open_wire("tls-plain"), Carried()
    await sent(wire.client, wire.client_leg)
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carried.run, engine, wire, limits)
            assert await receive_exactly(wire.upstream, len(MUCH)) == MUCH
            nursery.cancel_scope.cancel()
    assert not pieces
    wire.close()


async def test_only_so_many_flows_at_once_hold_the_rest_of_a_large_piece(engine, pieces):
    """Their readers stop behind the first ordinary read. Once they go on, so do the large pieces."""
    limits = RelayLimits(buffer_bytes=16 * 1024)
    wires = [
        Wire(*await tls_client(*tcp_pair()), *reversed(await plain(*tcp_pair(small_buffers=True))))
        for _ in range(70)
    ]
    for wire in wires:
        wire.client_leg.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_000_000)
        await wire.client.send(MUCH)
        await eventually(lambda leg=wire.client_leg: unread(leg.sock) > len(MUCH))
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            for wire in wires:
                nursery.start_soon(Carried().run, engine, wire, limits)
            for wire in wires:
                assert await receive_exactly(wire.upstream, 20_000) == MUCH[:20_000]
            assert pieces == [pieces[0]] * 64
            for wire in wires:
                assert await receive_exactly(wire.upstream, len(MUCH) - 20_000) == MUCH[20_000:]
            assert len(pieces) > 64 + 64
            nursery.cancel_scope.cancel()
    for wire in wires:
        wire.close()
