"""What OpenSSL does of its own accord during a flow, with OpenSSL's own tools as the peer."""

import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import termios
from contextlib import asynccontextmanager

import pytest
import trio

from cluster.reasons import End
from tests.contracts.relay_wire import (
    certificates,
    open_wire,
    plain,
    receive_all,
    receive_exactly,
    tcp_pair,
)
from tests.fakes.rig import eventually
from tests.worker.relay.launching import NO_LIMITS, PATIENCE_SECONDS
from worker.net.sockets import listening_socket
from worker.relay.engine import Flow
from worker.tls.contexts import origination_context, server_context
from worker.tls.handshake import accept, connect

native = pytest.importorskip("worker.relay.native")
pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None and os.environ.get("LOCKGATE_REQUIRE") != "1",
    reason="needs the Debian package openssl",
)


@pytest.fixture
async def engine(nursery):
    made = native.NativeEngine()
    await nursery.start(made.attend)
    return made


@pytest.fixture
def files(tmp_path):
    """openssl's arguments for a certificate and for whom to believe."""
    made = certificates()
    for name, data in (("root", made.root), ("chain", made.chain), ("key", made.key)):
        (tmp_path / name).write_bytes(data)
    return ["-cert", tmp_path / "chain", "-key", tmp_path / "key", "-CAfile", tmp_path / "root"]


#: What s_server writes amid what it received.
_ASIDE = re.compile(rb"Read BLOCK\n|SSL_do_handshake -> 1\n")


class Tool:
    """A running `openssl s_client` or `s_server`, which takes single letters as commands."""

    def __init__(self, process):
        self.process = process
        self.said = b""

    async def type(self, line):
        await self.process.stdin.send_all(line + b"\n")

    async def says(self, pattern):
        with trio.fail_after(PATIENCE_SECONDS):
            while not (found := re.search(pattern, self.said)):
                part = await self.process.stdout.receive_some()
                assert part, self.said
                self.said = _ASIDE.sub(b"", self.said + part)
        self.said = self.said[found.end() :]
        return found


@asynccontextmanager
async def openssl(*arguments):
    environment = {name: text for name, text in os.environ.items() if name != "LD_PRELOAD"}
    process = await trio.lowlevel.open_process(
        ["openssl", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
    )
    try:
        yield Tool(process)
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdin.aclose()
            await process.stdout.aclose()


class Carried:
    """A flow of one TLS leg to the tool and one plain leg to the test."""

    def __init__(self, begin=None):
        self.flow, self.end, self.over = Flow(), None, trio.Event()
        self._begin = begin

    async def run(self, engine, client, upstream):
        if self._begin is not None:
            await self._begin.wait()
        self.end = await engine.run(client, upstream, self.flow, NO_LIMITS)
        self.over.set()


@asynccontextmanager
async def from_s_client(engine, files, *options, begin=None):
    """The tool is the client: (tool, plain upstream peer, Carried), which waits for the event `begin`."""
    made, carried = certificates(), Carried(begin)
    context = server_context(made.chain, made.key, [made.root], check_peer=lambda uris: None)
    with listening_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        async with openssl("s_client", "-connect", f"127.0.0.1:{port}", *files, *options) as tool:
            await trio.lowlevel.wait_readable(listener)
            inner, _ = listener.accept()
            inner.setblocking(False)
            leg = await accept(inner, context, timeout_seconds=30)
            peer, upstream = await plain(*tcp_pair())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(carried.run, engine, leg, upstream)
                yield tool, peer, carried
                nursery.cancel_scope.cancel()
            for one in (leg, upstream, peer):
                one.close()


@pytest.mark.parametrize("command", [b"k", b"K"])
async def test_a_key_update_of_the_peer_goes_unnoticed(engine, files, command):
    """`K` asks for ours too: OpenSSL answers as part of a read or a write (RFC 8446 section 4.6.3)."""
    async with from_s_client(engine, files, "-tls1_3") as (tool, peer, carried):
        for number in range(3):
            words = b"before %d\n" % number
            await tool.type(words[:-1])
            assert await receive_exactly(peer, len(words)) == words
            await tool.type(command)
            await tool.says(b"KEYUPDATE")
            await peer.send(b"answer %d\n" % number * 5000)
            await tool.says(b"(answer %d\n){5000}" % number)
        assert not carried.over.is_set()


@pytest.mark.parametrize("command", [b"k", b"K"])
async def test_a_key_update_amid_bulk_goes_unnoticed(engine, files, command):
    """All is there before it is read, so it is read in large pieces (`test_native_bulk`)."""
    begin, lines = trio.Event(), b"0123456789 is a line\n" * 10_000
    async with from_s_client(engine, files, "-tls1_3", begin=begin) as (tool, peer, carried):
        await tool.type(lines[:-1])
        await eventually(lambda: unread(tool.process.stdin) == 0)
        await tool.type(command)
        await tool.says(b"KEYUPDATE")
        await tool.type(lines[:-1])
        begin.set()
        assert await receive_exactly(peer, 2 * len(lines)) == 2 * lines
        await peer.send(b"answer\n" * 5000)
        await tool.says(b"(answer\n){5000}")
        assert not carried.over.is_set()


def unread(pipe):
    return struct.unpack("i", fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4)))[0]


async def test_renegotiation_is_refused(engine, files):
    """TLS 1.2 only. It costs the peer that asks for it the connection, as it does with OpenSSL alone."""
    async with from_s_client(engine, files, "-tls1_2") as (tool, peer, carried):
        await tool.type(b"before")
        assert await receive_exactly(peer, 7) == b"before\n"
        await tool.type(b"R")
        await tool.says(b"RENEGOTIATING")
        await tool.says(b"no renegotiation")
        with trio.fail_after(PATIENCE_SECONDS):
            await carried.over.wait()
        assert carried.end is End.CLIENT_RESET


async def test_what_openssl_has_decrypted_before_arrives_whole(engine):
    """Several records right behind the handshake, of which one byte was read."""
    for pair in ("tls-plain", "tls-tls"):
        wire = await open_wire(pair)
        data = os.urandom(50_000)
        await wire.client.send(data)
        await wire.client.half_close()
        await trio.lowlevel.wait_readable(wire.client_leg.sock)
        first = bytearray(1)
        assert wire.client_leg.recv_into(memoryview(first)) == 1
        assert wire.client_leg.pending() > 0
        carried = Carried()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carried.run, engine, wire.client_leg, wire.upstream_leg)
            with trio.fail_after(PATIENCE_SECONDS):
                assert bytes(first) + await receive_all(wire.upstream) == data
                await wire.upstream.half_close()
                assert await receive_all(wire.client) == b""
                await carried.over.wait()
        assert carried.end is End.FINISHED
        wire.close()


async def test_a_key_update_of_the_upstream_goes_unnoticed(engine, files):
    carried, with_port = Carried(), re.compile(rb"ACCEPT .*?:(\d+)\n")
    arguments = ("-accept", "127.0.0.1:0", "-tls1_3", *files)
    async with openssl("s_server", *arguments) as tool:
        port = int((await tool.says(with_port)).group(1))
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        context = origination_context(certificates().root)
        leg = await connect(sock, context, server_name="leaf.test", timeout_seconds=30)
        peer, client = await plain(*tcp_pair())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carried.run, engine, client, leg)
            for number in range(3):
                await tool.type(b"K")  # which it reads before what comes from us
                await peer.send(b"ask %d\n" % number * 5000)
                await tool.says(b"(ask %d\n){5000}" % number)
                await tool.type(b"answer %d" % number)
                assert await receive_exactly(peer, 9) == b"answer %d\n" % number
            assert not carried.over.is_set()
            nursery.cancel_scope.cancel()
        for one in (leg, client, peer):
            one.close()
