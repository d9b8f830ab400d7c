"""Waiting for a hello on real TCP sockets: cut anywhere, slow, broken off, and still in the socket."""

import gc
import resource
import socket
import ssl
import struct

import pytest
import trio
import trio.testing

from cluster.errors import ClientFault
from cluster.reasons import End, HelloReject
from worker import hello as hello_module
from worker.hello import HelloRefused, look, read
from worker.tls.clienthello import Limits, NeedMore

NAME = "web.default.dc1.internal.11111111-2222-3333-4444-555555555555.consul"


def _hello(name=NAME):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


HELLO = _hello()


def in_records(data, size):
    """The hello again, in records of at most `size` bytes."""
    inner = data[5:]
    pieces = [inner[at : at + size] for at in range(0, len(inner), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack("!H", len(piece)) + piece for piece in pieces)


@pytest.fixture
def tcp():
    """A connected pair over loopback: (client, the accepted side, non-blocking)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server, _ = listener.accept()
    server.setblocking(False)
    with client, server:
        yield client, server


def low_water(sock):
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


async def rejected(sock, **arguments):
    with pytest.raises(HelloRefused) as caught:
        await read(sock, **{"timeout_seconds": 30} | arguments)
    assert isinstance(caught.value, ClientFault)
    return caught.value


async def test_a_hello_is_read_and_stays_in_the_socket(tcp):
    client, server = tcp
    client.sendall(HELLO)
    found = await read(server, timeout_seconds=30)
    assert (found.server_name, found.length) == (NAME, len(HELLO))
    assert server.recv(65536) == HELLO
    assert low_water(server) == 1


async def test_a_hello_cut_at_every_byte(tcp):
    client, server = tcp
    for cut in range(1, len(HELLO)):
        client.sendall(HELLO[:cut])
        async with trio.open_nursery() as nursery:
            seen = []

            async def reading(seen=seen):
                seen.append(await read(server, timeout_seconds=30))

            nursery.start_soon(reading)
            await trio.testing.wait_all_tasks_blocked(0.0005)
            assert not seen
            client.sendall(HELLO[cut:])
        assert seen[0].server_name == NAME
        assert server.recv(65536) == HELLO
        assert low_water(server) == 1


async def test_byte_by_byte_over_many_records_wakes_a_few_times_only(tcp, monkeypatch):
    client, server = tcp
    data = in_records(HELLO, 64)
    looks = []
    parse = hello_module.parse
    monkeypatch.setattr(hello_module, "parse", lambda *a: looks.append(len(a[0])) or parse(*a))

    async def drip():
        for at in range(len(data)):
            client.send(data[at : at + 1])
            await trio.sleep(0.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        found = await read(server, timeout_seconds=20)
    assert found.length == len(data)
    records = -(-(len(HELLO) - 5) // 64)
    assert len(looks) <= 2 * records + 3, looks


def cpu_seconds():
    """Of this thread. Whoever spins for half a second takes as much, on a machine that lets him."""
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return used.ru_utime + used.ru_stime


@pytest.fixture
def nothing_to_collect():
    """The garbage of the tests before is nobody's time here."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("nothing_to_collect")
async def test_a_half_hello_costs_no_cpu_until_the_deadline(tcp):
    client, server = tcp
    client.sendall(HELLO[:100])
    before = cpu_seconds()
    started = trio.current_time()
    refused = await rejected(server, timeout_seconds=0.5)
    took = cpu_seconds() - before
    assert refused.end is End.HELLO_TIMEOUT
    assert refused.reject is HelloReject.TIMEOUT
    assert trio.current_time() - started >= 0.5
    assert took < 0.25
    assert low_water(server) == 1


async def test_a_drip_does_not_move_the_deadline(tcp):
    client, server = tcp
    with trio.CancelScope() as dripping:
        async with trio.open_nursery() as nursery:

            async def drip():
                for at in range(len(HELLO)):
                    client.send(HELLO[at : at + 1])
                    await trio.sleep(0.05)

            nursery.start_soon(drip)
            started = trio.current_time()
            refused = await rejected(server, timeout_seconds=0.3)
            assert refused.reject is HelloReject.TIMEOUT
            assert trio.current_time() - started < len(HELLO) * 0.05
            dripping.cancel()


async def test_silence_is_a_timeout(tcp):
    _, server = tcp
    assert (await rejected(server, timeout_seconds=0.05)).reject is HelloReject.TIMEOUT


async def test_a_hello_with_the_end_of_the_stream_behind_it_is_a_hello(tcp):
    client, server = tcp
    client.sendall(HELLO)
    client.shutdown(socket.SHUT_WR)
    assert (await read(server, timeout_seconds=30)).server_name == NAME


@pytest.mark.parametrize("size", [0, 1, 4, 5, 9, 100, len(HELLO) - 1])
@pytest.mark.parametrize("when", ["before", "while waiting"])
async def test_an_end_before_a_whole_hello(tcp, size, when):
    client, server = tcp
    client.sendall(HELLO[:size])
    async with trio.open_nursery() as nursery:
        if when == "before":
            client.close()
        else:

            async def close_later():
                await trio.testing.wait_all_tasks_blocked(0.01)
                client.close()

            nursery.start_soon(close_later)
        refused = await rejected(server)
    assert (refused.end, refused.reject) == (End.BAD_HELLO, HelloReject.CLOSED)
    assert f"{size} bytes" in refused.detail


async def test_a_reset_while_waiting(tcp):
    client, server = tcp
    client.sendall(HELLO[:50])
    async with trio.open_nursery() as nursery:

        async def reset():
            await trio.testing.wait_all_tasks_blocked(0.01)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        nursery.start_soon(reset)
        refused = await rejected(server)
    assert refused.reject is HelloReject.CLOSED


@pytest.mark.parametrize(
    ("data", "limits", "reject"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Limits(), HelloReject.NOT_TLS),
        (b"G", Limits(), HelloReject.NOT_TLS),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", Limits(), HelloReject.NOT_TLS),  # PostgreSQL's SSLRequest
        (HELLO[:5] + b"\x02" + HELLO[6:], Limits(), HelloReject.MALFORMED),
        (HELLO[:9], Limits(max_hello_bytes=100), HelloReject.TOO_LARGE),
        (in_records(HELLO, 4), Limits(), HelloReject.TOO_MANY_RECORDS),
    ],
)
async def test_refused_as_soon_as_it_is_known(tcp, data, limits, reject):
    client, server = tcp
    async with trio.open_nursery() as nursery:

        async def send():
            await trio.testing.wait_all_tasks_blocked(0.001)
            client.sendall(data)

        nursery.start_soon(send)
        refused = await rejected(server, limits=limits)
    assert (refused.end, refused.reject) == (End.BAD_HELLO, reject)


async def test_a_hello_larger_than_the_first_look(tcp):
    client, server = tcp
    padded = bytearray(HELLO[9:])
    at = 2 + 32
    at += 1 + padded[at]
    at += 2 + int.from_bytes(padded[at : at + 2], "big")
    at += 1 + padded[at]
    extensions = padded[at + 2 :] + struct.pack("!HH", 65_000, 20_000) + bytes(20_000)
    body = bytes(padded[:at]) + struct.pack("!H", len(extensions)) + bytes(extensions)
    message = b"\1" + len(body).to_bytes(3, "big") + body
    data = in_records(bytes(5) + message, 16384)
    client.sendall(data[:18_000])
    async with trio.open_nursery() as nursery:

        async def rest():
            await trio.testing.wait_all_tasks_blocked(0.01)
            client.sendall(data[18_000:])

        nursery.start_soon(rest)
        found = await read(server, timeout_seconds=30)
    assert (found.server_name, found.length) == (NAME, len(data))


async def test_cancelled_from_outside_it_leaves_the_socket_as_it_was(tcp):
    client, server = tcp
    client.sendall(HELLO[:50])
    with trio.move_on_after(0.05) as scope:
        await read(server, timeout_seconds=60)
    assert scope.cancelled_caught
    assert low_water(server) == 1
    assert server.recv(100) == HELLO[:50]


@pytest.mark.usefixtures("nothing_to_collect")
async def test_a_socket_that_wakes_for_every_byte_is_not_spun_on():
    """Unix sockets ignore SO_RCVLOWAT when polled."""
    client, server = socket.socketpair()
    server.setblocking(False)
    with client, server:
        client.sendall(HELLO[:50])
        before = cpu_seconds()
        assert (await rejected(server, timeout_seconds=0.5)).reject is HelloReject.TIMEOUT
        assert cpu_seconds() - before < 0.25


async def test_look_answers_at_once(tcp):
    client, server = tcp
    assert look(server) == NeedMore(1)
    client.sendall(HELLO)
    await trio.lowlevel.wait_readable(server)
    found = look(server)
    assert not isinstance(found, NeedMore)
    assert found.server_name == NAME
