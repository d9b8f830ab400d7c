"""Reads that wait for writing, writes that wait for reading: a made-up TLS library says when.

The loop takes a library as addresses of functions, so a test can be one. Each `SSL` is one side of the flow.
"""

import ctypes
import socket
from array import array
from contextlib import contextmanager, suppress

import pytest
import trio

from tests.fakes.rig import eventually

native = pytest.importorskip("worker.relay.native")
Loop = native.engine.Loop

WANT_READ, WANT_WRITE = 2, 3
CLIENT, UPSTREAM = 0, 1
_Io = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_Call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_Judge = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
_Clear = ctypes.CFUNCTYPE(None)


class Library:
    """Plain sockets behind OpenSSL's calls; `read` and `write` may be replaced. The loop's thread calls."""

    def __init__(self, sock):
        self.sock = sock
        self.error = 0
        self.calls = []
        self._functions = {
            "SSL_read": _Io(self._read),
            "SSL_write": _Io(self._write),
            "SSL_shutdown": _Call(lambda ssl: 1),
            "SSL_get_error": _Judge(lambda ssl, result: self.error),
            "ERR_clear_error": _Clear(lambda: None),
        }

    @property
    def addresses(self):
        return {
            name: ctypes.cast(function, ctypes.c_void_p).value
            for name, function in self._functions.items()
        }

    def _read(self, ssl, into, size):
        self.calls.append("read")
        data = self.read(size)
        if data:
            ctypes.memmove(into, data, len(data))
        return len(data) if data else -1

    def _write(self, ssl, data, size):
        self.calls.append("write")
        return self.write(ctypes.string_at(data, size))

    def read(self, size):
        try:
            return self.sock.recv(size)
        except BlockingIOError:
            self.error = WANT_READ
            return b""

    def write(self, data):
        try:
            return self.sock.send(data)
        except BlockingIOError:
            self.error = WANT_WRITE
            return -1


@contextmanager
def carried(tls_side, cross):
    """A flow one of whose sides is `cross(Library)`'s: the peers of the TLS side and of the plain one."""
    pairs = [socket.socketpair() for _ in range(2)]
    for pair in pairs:
        for sock in pair:
            sock.setblocking(False)
    library = Library(pairs[tls_side][1])
    cross(library)
    ours = []
    for side, (_, sock) in enumerate(pairs):
        ours += [sock.fileno(), 1 if side == tls_side else 0]
    loop = Loop(library.addresses, (), (), 65536)
    loop.relay(*ours, array("Q", (0, 0, 0)), 0, 0, 65536, 0, print, library)
    loop.start()
    try:
        yield library, pairs[tls_side][0], pairs[1 - tls_side][0]
    finally:
        loop.stop()
        loop.reap()
        for pair in pairs:
            for sock in pair:
                sock.close()


def received(sock, data):
    try:
        return sock.recv(65536, socket.MSG_PEEK) == data
    except BlockingIOError:
        return False


@pytest.mark.parametrize("side", [CLIENT, UPSTREAM])
async def test_a_write_that_waits_for_reading_goes_on_once_something_came(side):
    def cross(library):
        plain_write = library.write

        def write(data):
            try:
                library.sock.recv(1)  # the answer that it needs
            except BlockingIOError:
                library.error = WANT_READ
                return -1
            library.write = plain_write
            return plain_write(data)

        library.write = write
        plain_read = library.read
        library.read = lambda size: (
            plain_read(size) if library.write is plain_write else blocked(library)
        )

    def blocked(library):
        library.error = WANT_READ
        return b""

    with carried(side, cross) as (library, tls, plain):
        plain.send(b"data")
        await eventually(lambda: "write" in library.calls)
        assert not received(tls, b"data")
        tls.send(b"+")
        await eventually(lambda: received(tls, b"data"))


@pytest.mark.parametrize("side", [CLIENT, UPSTREAM])
async def test_a_read_that_takes_what_a_write_waits_for_lets_it_try_again(side):
    """Nothing more will come on the socket: only another try can find out."""

    def cross(library):
        plain_write, taken = library.write, []

        def write(data):
            if taken:
                return plain_write(data)
            library.error = WANT_READ
            return -1

        def read(size):
            with suppress(BlockingIOError):
                taken.append(library.sock.recv(1))
            library.error = WANT_READ
            return b""

        library.read, library.write = read, write

    with carried(side, cross) as (library, tls, plain):
        plain.send(b"data")
        await eventually(lambda: "write" in library.calls)
        tls.send(b"+")
        await eventually(lambda: received(tls, b"data"))


@pytest.mark.parametrize("side", [CLIENT, UPSTREAM])
async def test_a_read_that_waits_for_writing_goes_on_once_there_is_room(side):
    def cross(library):
        while True:
            try:
                library.sock.send(bytes(4096))
            except BlockingIOError:
                break
        plain_read = library.read

        def read(size):
            try:
                library.sock.send(b"!")  # what it owes before it can read
            except BlockingIOError:
                library.error = WANT_WRITE
                return b""
            library.read = plain_read
            return plain_read(size)

        library.read = read

    with carried(side, cross) as (library, tls, plain):
        tls.send(b"data")
        await eventually(lambda: library.calls.count("read") >= 2)
        assert not received(plain, b"data")

        def drained():
            with suppress(BlockingIOError):
                tls.recv(65536)
            return received(plain, b"data")

        await eventually(drained)


@pytest.mark.parametrize("side", [CLIENT, UPSTREAM])
async def test_waiting_costs_no_calls(side):
    """A crossed call is tried again when something happened, and not all the time."""

    def cross(library):
        def write(data):
            library.error = WANT_READ
            return -1

        library.write = write

    with carried(side, cross) as (library, _, plain):
        plain.send(b"data")
        await eventually(lambda: "write" in library.calls)
        await trio.sleep(0.05)
        assert len(library.calls) < 12
