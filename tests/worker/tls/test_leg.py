"""An established TLS leg: later, the end, a cut stream, a full socket, and nothing lost."""

import contextlib
import ctypes
import random
import socket
import struct

import pytest
import trio
from OpenSSL import SSL

from worker.net.leg import WouldBlockRead, WouldBlockWrite
from worker.tls.contexts import TlsVersions, mesh_client_context, server_context
from worker.tls.handshake import accept, connect
from worker.tls.openssl import function_addresses


@pytest.fixture(scope="module", params=[SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def contexts(mesh, request):
    """(server, client)"""
    versions = TlsVersions(highest=request.param)
    leaf = mesh.issue(uris=["spiffe://a/b"])
    return (
        server_context(
            leaf.chain_pem,
            leaf.key_pem,
            [mesh.pem],
            check_peer=lambda uris: None,
            versions=versions,
        ),
        mesh_client_context(leaf.chain_pem, leaf.key_pem, [mesh.pem], versions=versions),
    )


@pytest.fixture
def unix_pair():
    """A function that makes connected unix sockets."""
    with contextlib.ExitStack() as made:

        def pair():
            ends = socket.socketpair()
            for sock in ends:
                made.enter_context(sock).setblocking(False)
            return ends

        yield pair


@pytest.fixture
async def legs(tcp_pair, contexts):
    """Two legs of one connection: the server's, the client's."""
    return await shake_hands(*tcp_pair(), *contexts)


async def shake_hands(outer, inner, server, client):
    made = {}
    async with trio.open_nursery() as nursery:

        async def accepting():
            made["server"] = await accept(inner, server, timeout_seconds=30)

        nursery.start_soon(accepting)
        made["client"] = await connect(
            outer, client, server_name="b", timeout_seconds=30, check_peer=lambda peer: None
        )
    return made["server"], made["client"]


def take(leg, size=65536):
    """What is there now."""
    buffer = bytearray(size)
    return bytes(buffer[: leg.recv_into(memoryview(buffer))])


def fill(leg, block, step):
    """Send `block` in steps until the socket is full; how many bytes were taken."""
    taken = 0
    while taken < len(block):
        try:
            taken += leg.send(memoryview(block)[taken : taken + step])
        except WouldBlockWrite:
            break
    return taken


async def send_all(leg, rest):
    while rest:
        try:
            rest = rest[leg.send(rest) :]
        except WouldBlockWrite:
            rest = memoryview(bytes(rest))  # the same bytes at another address
            await trio.lowlevel.wait_writable(leg.sock)


async def read_all(leg, receive, got):
    while part := await receive(leg):
        got.extend(part)


async def end(leg):
    while True:
        try:
            return leg.shutdown_write()
        except WouldBlockWrite:
            await trio.lowlevel.wait_writable(leg.sock)


def shrink_buffer(leg):
    leg.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)


async def test_c_code_finds_the_connection_and_its_functions(legs):
    """SSL_read and SSL_pending, called by address as a native engine does."""
    server, client = legs
    at = function_addresses(["SSL_read", "SSL_pending"])
    pending = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(at["SSL_pending"])
    arguments = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
    read = ctypes.CFUNCTYPE(ctypes.c_int, *arguments)(at["SSL_read"])
    client.send(memoryview(b"welcome"))
    await trio.lowlevel.wait_readable(server.sock)
    buffer = ctypes.create_string_buffer(10)
    assert read(server.ssl_address(), buffer, 3) == 3
    assert buffer.value == b"wel"
    assert pending(server.ssl_address()) == server.pending() == 4
    assert take(server) == b"come"


async def test_nothing_there_yet(legs):
    for leg in legs:
        with pytest.raises(WouldBlockRead):
            take(leg)


async def test_bytes_both_ways_and_what_is_pending(legs, receive):
    server, client = legs
    assert client.send(memoryview(b"hello")) == 5
    assert await receive(server) == b"hello"
    assert server.send(memoryview(b"welcome")) == 7
    await trio.lowlevel.wait_readable(client.sock)
    assert take(client, 3) == b"wel"
    assert client.pending() == 4
    assert take(client) == b"come"
    assert client.pending() == 0
    with pytest.raises(WouldBlockRead):
        take(client)


async def test_large_data_arrives_whole_and_in_order(legs, receive):
    server, client = legs
    data = bytes(range(256)) * 20_000
    got = bytearray()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_all, server, receive, got)
            await send_all(client, memoryview(data))
            client.shutdown_write()
    assert got == data


async def test_the_end_in_order_is_zero_again_and_again(legs, receive):
    server, client = legs
    client.send(memoryview(b"last words"))
    client.shutdown_write()
    client.shutdown_write()
    client.close()
    assert await receive(server) == b"last words"
    assert await receive(server) == b""
    assert take(server) == b""


async def test_half_close_leaves_the_other_direction_open(legs, receive):
    server, client = legs
    client.shutdown_write()
    assert await receive(server) == b""
    server.send(memoryview(b"answer"))
    server.shutdown_write()
    assert await receive(client) == b"answer"
    assert await receive(client) == b""


async def test_an_end_without_close_notify_is_a_cut_stream(legs, receive):
    server, client = legs
    client.send(memoryview(b"half an ans"))
    client.sock.shutdown(socket.SHUT_WR)
    assert await receive(server) == b"half an ans"
    with pytest.raises(ConnectionResetError, match="without close_notify"):
        await receive(server)


async def test_close_adds_no_close_notify(legs, receive):
    server, client = legs
    client.send(memoryview(b"x"))
    await trio.lowlevel.wait_readable(server.sock)
    with pytest.raises(WouldBlockRead):
        take(client)  # so that nothing is unread, which would make the kernel reset
    client.close()
    assert client.sock.fileno() == -1
    client.close()
    assert await receive(server) == b"x"
    with pytest.raises(ConnectionResetError):
        await receive(server)


async def test_an_abort_is_a_reset(legs, receive):
    server, client = legs
    client.abort()
    client.abort()
    with pytest.raises(ConnectionResetError) as caught:
        await receive(server)
    assert caught.value.errno is not None  # from the kernel, not from a missing close_notify


async def test_sending_to_a_peer_that_is_gone(legs, receive):
    server, client = legs
    client.abort()
    with pytest.raises(ConnectionResetError):
        await receive(server)
    with pytest.raises(ConnectionError):
        server.send(memoryview(b"x"))
    with pytest.raises(ConnectionResetError):
        server.shutdown_write()


async def test_what_a_peer_said_before_it_reset_is_heard_after_a_failed_send(legs, receive):
    """A server that refuses an upload answers and closes with bytes unread, which resets."""
    server, client = legs
    shrink_buffer(client)
    fill(client, bytes(1_000_000), 1000)
    server.send(memoryview(b"413 too large"))
    server.close()
    await trio.lowlevel.wait_readable(client.sock)
    with pytest.raises(ConnectionResetError):
        client.send(memoryview(bytes(1000)))
    assert await receive(client) == b"413 too large"
    with pytest.raises(ConnectionResetError):
        await receive(client)


async def test_a_record_that_was_tampered_with_breaks_the_stream(legs, receive):
    server, client = legs
    client.sock.send(b"\x17\x03\x03" + struct.pack("!H", 40) + bytes(40))
    with pytest.raises(ConnectionResetError, match="TLS stream broken"):
        await receive(server)


@pytest.mark.parametrize("last", [b"nonsense", b""])
async def test_an_error_of_one_leg_is_not_blamed_on_the_next(tcp_pair, contexts, receive, last):
    broken, its_peer = await shake_hands(*tcp_pair(), *contexts)
    sound, sounds_peer = await shake_hands(*tcp_pair(), *contexts)
    its_peer.sock.send(last)
    its_peer.abort()
    sounds_peer.send(memoryview(b"hello"))
    with pytest.raises(ConnectionResetError):
        await receive(broken)
    with pytest.raises(ConnectionResetError):
        broken.shutdown_write()
    with pytest.raises(WouldBlockRead):
        take(sounds_peer)
    with pytest.raises(ConnectionResetError):
        broken.shutdown_write()
    assert await receive(sound) == b"hello"
    with pytest.raises(WouldBlockRead):
        take(sound)


async def test_a_full_socket_blocks_and_nothing_is_lost(legs, receive):
    server, client = legs
    shrink_buffer(client)
    block = random.Random(7).randbytes(1_000_000)
    taken = fill(client, block, 16384)
    rest = memoryview(block)[taken:]
    got = bytearray()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_all, server, receive, got)
            await send_all(client, rest)
            client.shutdown_write()
    assert got == block


async def test_close_notify_waits_for_a_full_socket(unix_pair, contexts, receive):
    """How many records fit is found on one connection, and close_notify tried behind them on another.

    On unix sockets, which take a write whole or not at all: no record is half written.
    """
    probe, _ = await shake_hands(*unix_pair(), *contexts)
    most = fill(probe, bytes(1_000_000), 1000)
    server, client = await shake_hands(*unix_pair(), *contexts)
    assert fill(server, bytes(most), 1000) == most
    for _ in range(2):
        with pytest.raises(WouldBlockWrite):
            server.shutdown_write()
    got = bytearray()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_all, client, receive, got)
            await end(server)
    assert got == bytes(most)


async def test_bytes_that_came_with_the_handshake_are_the_first_read(tcp_pair, contexts, receive):
    """A client may send with its Finished, in one segment."""
    server, client = contexts
    outer, inner = tcp_pair()
    accepted = []
    async with trio.open_nursery() as nursery:

        async def accepting():
            accepted.append(await accept(inner, server, timeout_seconds=30))

        nursery.start_soon(accepting)
        leg = await connect(
            outer, client, server_name="b", timeout_seconds=30, check_peer=lambda peer: None
        )
        leg.send(memoryview(b"early"))
        leg.shutdown_write()
    assert await receive(accepted[0]) == b"early"
    assert await receive(accepted[0]) == b""
