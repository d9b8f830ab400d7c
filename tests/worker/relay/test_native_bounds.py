"""How much of a flow the native engine holds in memory, seen from outside to the byte."""

import fcntl
import socket
import struct
import termios
from array import array

import pytest

from tests.fakes.rig import eventually

native = pytest.importorskip("worker.relay.native")
Loop = native.engine.Loop

CLIENT, UPSTREAM = 0, 1


def unread(sock):
    """Bytes that wait in the kernel to be received from `sock`."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]


@pytest.fixture
def carried():
    """Two local pairs, (peer, ours) each, and a loop that carries between them; how many bytes, too."""
    loop = Loop({}, (), (), 65536)
    pairs = [socket.socketpair() for _ in range(2)]
    counters = array("Q", (0, 0, 0))
    for pair in pairs:
        for sock in pair:
            sock.setblocking(False)

    def carry(buffer_bytes, pipe_bytes):
        ours = pairs[CLIENT][1].fileno(), 0, pairs[UPSTREAM][1].fileno(), 0
        loop.relay(*ours, counters, 0, 0, buffer_bytes, pipe_bytes, print, None)
        loop.start()
        return pairs, counters

    yield carry
    loop.stop()
    loop.reap()
    for pair in pairs:
        for sock in pair:
            sock.close()


@pytest.mark.parametrize(
    ("buffer_bytes", "pipe_bytes"), [(512, 0), (4096, 0), (65536, 0), (4096, 16384)]
)
@pytest.mark.parametrize("side", [CLIENT, UPSTREAM])
async def test_a_stalled_reader_has_a_buffer_full_held_and_no_more(
    carried, buffer_bytes, pipe_bytes, side
):
    pairs, counters = carried(buffer_bytes, pipe_bytes)
    sender, ours = pairs[side]
    reader, _ = pairs[1 - side]
    bound, sent = max(buffer_bytes, pipe_bytes), 0

    def held():
        return sent - unread(ours) - counters[side]

    def is_stuck():
        """The next bytes do not get past the sender's own buffer."""
        nonlocal sent
        try:
            sent += sender.send(bytes(10_000))
        except BlockingIOError:
            return unread(reader) == counters[side] and 0 < held() <= bound
        assert held() <= bound
        return False

    await eventually(is_stuck, lambda: (sent, unread(ours), list(counters)))
    got = 0
    while got < sent:
        try:
            got += len(reader.recv(65536))
        except BlockingIOError:
            await eventually(lambda: unread(reader))
    await eventually(lambda: held() == 0)
