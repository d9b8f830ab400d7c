"""Keep-alive is set on what lives long, and on nothing that does not."""

import os
import socket

import pytest
import trio

from tests.contracts.relay_wire import tcp_pair
from tests.fakes.rig import eventually
from worker.net.sockets import KEEPALIVE_OPTIONS, packed_address

native = pytest.importorskip("worker.relay.native", reason="the native engine was not built")


def is_kept_alive(sock):
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))


@pytest.fixture
def dialled():
    """A function that dials with so many nanoseconds till the late options; a copy of our client's socket."""
    from array import array

    from worker.relay.native._loop import Loop

    undo = []

    def dial(late_ns):
        loop = Loop({}, (), (), 65536, (0, 0), KEEPALIVE_OPTIONS, late_ns)
        server = socket.create_server(("127.0.0.1", 0))
        outer, inner = tcp_pair()
        copy = socket.socket(fileno=os.dup(inner.fileno()))
        address = packed_address(*server.getsockname())
        loop.start()
        loop.dial(
            inner.detach(),
            0,
            address,
            10**9,
            0.0,
            array("Q", (0, 0, 0)),
            0,
            0,
            1024,
            0,
            print,
            None,
        )
        loop.flush()
        undo.extend((loop.stop, loop.reap, server.close, outer.close, copy.close))
        return copy, server

    yield dial
    for call in undo:
        call()


async def test_a_flow_that_has_lived_long_enough_is_kept_alive_at_both_ends(dialled):
    client, server = dialled(20_000_000)
    await eventually(lambda: is_kept_alive(client))
    assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    server.accept()[0].close()


async def test_a_young_one_is_not(dialled):
    client, server = dialled(3600 * 10**9)
    await trio.to_thread.run_sync(lambda: server.accept()[0].close())
    assert not is_kept_alive(client)
