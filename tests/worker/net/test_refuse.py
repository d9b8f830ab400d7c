import socket

import pytest
import trio

from worker.net import refuse as refusing
from worker.net.refuse import refuse


@pytest.fixture
def pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    server.setblocking(False)
    with client, server:
        yield client, server


async def read_all(client):
    """What the client gets until the end. Raises ConnectionResetError."""
    return await trio.to_thread.run_sync(lambda: client.makefile("rb").read())


async def test_the_answer_arrives_although_unread_bytes_wait(pair):
    client, server = pair
    client.sendall(b"x" * 100_000)
    async with trio.open_nursery() as nursery:

        async def serve():
            await refuse(server, b"no")
            server.close()

        nursery.start_soon(serve)
        assert await read_all(client) == b"no"
        client.close()


async def test_nothing_to_say_is_an_orderly_end(pair):
    client, server = pair
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    client.shutdown(socket.SHUT_WR)
    await refuse(server, b"")
    server.close()
    assert await read_all(client) == b""


async def test_a_peer_that_has_gone_is_no_error(pair):
    client, server = pair
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    await refuse(server, b"no")


async def test_a_peer_that_never_goes_is_waited_for_only_so_long(pair, autojump_clock):
    _, server = pair
    started = trio.current_time()
    await refuse(server, b"no")
    assert trio.current_time() - started == pytest.approx(refusing.LINGER_SECONDS)


async def test_a_peer_that_never_stops_sending_is_not_read_for_ever(pair, monkeypatch):
    client, server = pair
    monkeypatch.setattr(refusing, "LINGER_BYTES", 10_000)
    monkeypatch.setattr(refusing, "LINGER_SECONDS", 60.0)
    client.sendall(b"x" * 50_000)
    with trio.fail_after(30):
        await refuse(server, b"no")
    assert server.recv(65536) != b""
