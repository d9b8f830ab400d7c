"""The real worker process, with the test as its node."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import trio

from cluster.bus import serve
from cluster.messages import (
    Ack,
    Drain,
    Hello,
    Keys,
    Metrics,
    WorkerStatus,
    pack,
    unpack,
)
from cluster.routes import GatewayKind, Listener
from tests.fakes.pki import Pki, client_context
from tests.fakes.rig import (
    Linked,
    allow,
    eventually,
    exchange,
    offer,
    snapshot,
    sni,
    start_upstream,
    tls_client,
)
from worker.descriptors import Slot, receive_present, receive_slots, send_slots
from worker.net.sockets import listening_socket
from worker.settings import Limits, WorkerSettings, link_endpoint, render, sockets_path

SETTINGS = WorkerSettings(
    node="n1", runtime_dir="", index=0, limits=Limits(drain_grace_seconds=20.0)
)
PATIENCE_SECONDS = 20


class Node:
    """The node's sockets, and what a worker said on them."""

    def __init__(self, folder):
        self.folder = folder
        self.said = []
        self.peer = None
        self.present = None
        self.exchange = None
        self.brought = {}

    @contextlib.asynccontextmanager
    async def open(self):
        """Both sockets, until the block ends, as if the node was killed then."""
        path = sockets_path(self.folder)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.said, self.peer, self.exchange = [], None, None
        with contextlib.ExitStack() as stack:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.enter_context(listener)
            stack.callback(self._hang_up)
            listener.bind(path)
            listener.setblocking(False)
            listener.listen()
            async with serve(link_endpoint(self.folder)) as bus, trio.open_nursery() as nursery:
                self.bus = bus
                nursery.start_soon(self._hear)
                nursery.start_soon(self._meet, listener)
                yield self
                nursery.cancel_scope.cancel()

    def _hang_up(self):
        if self.exchange is not None:
            self.exchange.close()

    async def _hear(self):
        async for incoming in self.bus.incoming:
            message = unpack(incoming.body)
            if isinstance(message, Hello):
                self.peer = incoming.peer
            self.said.append(message)

    async def _meet(self, listener):
        await trio.lowlevel.wait_readable(listener)
        self.exchange, _ = listener.accept()
        self.exchange.setblocking(False)
        self.present = await receive_present(self.exchange)
        self.brought = await receive_slots(self.exchange)

    async def greeted(self):
        await eventually(lambda: self.peer is not None and self.present is not None)
        return next(message for message in self.said if isinstance(message, Hello))

    async def say(self, message):
        await self.bus.send(self.peer, pack(message))

    def last(self, kind):
        return next((m for m in reversed(self.said) if isinstance(m, kind)), None)


@contextlib.asynccontextmanager
async def worker(folder, *arguments, settings=SETTINGS, before="", **options):
    """The process, which must be over by the end of the block or is killed.

    It runs the Python code `before` first.
    """
    settings = WorkerSettings(
        node=settings.node,
        runtime_dir=str(folder),
        index=settings.index,
        limits=settings.limits,
        log_level=settings.log_level,
    )
    command = [sys.executable, "-I", "-c", before + _MAIN, "--settings", render(settings)]
    command += arguments
    process = await trio.lowlevel.open_process(command, stderr=subprocess.PIPE, **options)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stderr.aclose()


#: As `-I -m worker`, of this checkout, whether it is installed or not.
_MAIN = f"""
import sys; sys.path.insert(0, {str(Path.cwd())!r})
from worker.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory() as name:  # short: a unix path holds 107 bytes
        yield Path(name)


@pytest.fixture(scope="module")
def pki():
    return Pki()


async def ended(process):
    with trio.fail_after(PATIENCE_SECONDS):
        return await process.wait()


class Site:
    """A node with one worker that serves billing."""

    def __init__(self, node, pki, tmp_path):
        self.node, self.pki = node, pki
        self.context = client_context(tmp_path, pki.service("web"), pki.pem)
        self.sock = listening_socket("127.0.0.1", 0)
        self.port = self.sock.getsockname()[1]
        self.slot = Slot(address="127.0.0.1", port=self.port, index=0)

    async def serve(self, upstream):
        await self.node.greeted()
        listener = Listener(
            node="n1",
            gateway="egress",
            kind=GatewayKind.TERMINATING,
            address="127.0.0.1",
            port=self.port,
        )
        shot = snapshot(
            self.pki.bundle,
            [listener],
            Linked("billing", upstream.endpoint),
            rules=[allow("web", "*")],
        )
        await self.node.say(Keys(leaves=(self.pki.service("billing"),)))
        await self.node.say(offer(shot))
        await eventually(lambda: self.node.last(Ack) is not None)
        await send_slots(self.node.exchange, {self.slot: self.sock})

    async def call(self):
        return await tls_client(self.port, self.context, sni("billing"))


@pytest.fixture
def make_site(pki, tmp_path):
    made = []

    def make(node):
        made.append(Site(node, pki, tmp_path))
        return made[-1]

    yield make
    for site in made:
        site.sock.close()


async def test_it_serves_and_drains(folder, make_site):
    node = Node(folder)
    async with trio.open_nursery() as nursery, node.open(), worker(folder) as process:
        hello = await node.greeted()
        assert (hello.sender, hello.have) == ("0", None)
        assert (node.present.index, node.present.pid) == (0, process.pid)
        assert node.present.incarnation == hello.incarnation
        site = make_site(node)
        await site.serve(await start_upstream(nursery))
        stream = await site.call()
        await exchange(stream)
        await node.say(Drain(grace_seconds=15))
        await eventually(lambda: node.last(WorkerStatus).draining)
        await exchange(stream)  # who is there may finish
        transport, _ = await stream.unwrap()
        await transport.aclose()
        assert await ended(process) == 0
        closed = {
            (sample.labels["service"], sample.labels["end"]): sample.value
            for family in node.last(Metrics).families
            for sample in family.samples
            if sample.name == "lockgate_connections_closed_total"
        }
        assert closed == {("billing", "finished"): 1}  # the last account came before the end
        nursery.cancel_scope.cancel()


async def test_a_second_signal_ends_what_is_left_at_once(folder, make_site):
    node = Node(folder)
    async with trio.open_nursery() as nursery, node.open(), worker(folder) as process:
        site = make_site(node)
        await site.serve(await start_upstream(nursery))
        stream = await site.call()
        await exchange(stream)
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: node.last(WorkerStatus).draining)
        await exchange(stream)
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(30), pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await trio.aclose_forcefully(stream)
        assert await ended(process) == 0
        nursery.cancel_scope.cancel()


async def test_a_signal_after_the_nodes_word_does_not_cut_the_grace_short(folder, make_site):
    node = Node(folder)
    async with trio.open_nursery() as nursery, node.open(), worker(folder) as process:
        site = make_site(node)
        await site.serve(await start_upstream(nursery))
        stream = await site.call()
        await node.say(Drain(grace_seconds=15))
        await eventually(lambda: node.last(WorkerStatus).draining)
        process.send_signal(signal.SIGTERM)
        before = len(node.said)
        await eventually(lambda: len(node.said) > before + 1)
        await exchange(stream)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


async def test_the_grace_ends_with_a_reset_on_both_sides(folder, make_site):
    ends = []

    async def watch(stream):
        try:
            async for chunk in stream:
                await stream.send_all(chunk)
            ends.append("in order")
        except trio.BrokenResourceError:
            ends.append("reset")

    node = Node(folder)
    async with trio.open_nursery() as nursery, node.open(), worker(folder) as process:
        site = make_site(node)
        await site.serve(await start_upstream(nursery, watch))
        stream = await site.call()
        await exchange(stream)
        await node.say(Drain(grace_seconds=0.2))
        with trio.fail_after(30), pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await trio.aclose_forcefully(stream)
        assert await ended(process) == 0
        await eventually(lambda: ends == ["reset"], lambda: ends)
        nursery.cancel_scope.cancel()


async def test_it_outlives_its_node_and_brings_the_sockets_to_the_next(folder, make_site):
    node = Node(folder)
    async with trio.open_nursery() as nursery, worker(folder) as process:
        async with node.open():
            site = make_site(node)
            await site.serve(await start_upstream(nursery))
            stream = await site.call()
            await exchange(stream)
            incarnation = node.present.incarnation
        site.sock.close()  # the killed node's
        await exchange(stream)
        other = await site.call()
        await exchange(other)
        node.present = None
        async with node.open():
            hello = await node.greeted()
            assert hello.incarnation == node.present.incarnation == incarnation
            assert hello.have.generation == 1
            await eventually(lambda: list(node.brought) == [site.slot])
            assert node.brought[site.slot].getsockname() == ("127.0.0.1", site.port)
            await eventually(
                lambda: (said := node.last(WorkerStatus)) is not None and said.connections == 2
            )
            node.brought[site.slot].close()
            for one in (stream, other):
                await exchange(one)
                await trio.aclose_forcefully(one)
        process.kill()
        nursery.cancel_scope.cancel()


async def test_without_a_node_a_signal_is_enough(folder):
    async with worker(folder) as process:
        node = Node(folder)
        async with node.open():
            await node.greeted()  # so it has got as far as listening for signals
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0


async def test_it_leaves_when_the_tether_is_cut(folder):
    read_end, write_end = os.pipe()
    node = Node(folder)
    async with (
        node.open(),
        worker(folder, "--tether", str(read_end), pass_fds=(read_end,)) as process,
    ):
        os.close(read_end)
        await node.greeted()
        assert process.poll() is None
        os.close(write_end)
        assert await ended(process) == 0


async def test_a_tether_that_cannot_be_watched_does_not_keep_it_from_serving(folder):
    node = Node(folder)
    async with node.open(), worker(folder, "--tether", "777") as process:
        await node.greeted()
        await eventually(lambda: node.last(WorkerStatus) is not None)
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0
        assert b"cannot watch the tether" in await process.stderr.receive_some(65536)


def counted(node, end):
    """How many connections ended so, by the worker's last account."""
    accounts = [message.families for message in node.said if isinstance(message, Metrics)]
    return sum(
        sample.value
        for family in (accounts[-1] if accounts else ())
        for sample in family.samples
        if sample.name == "lockgate_connections_closed_total" and sample.labels["end"] == end
    )


async def test_the_limit_of_connections_holds(folder, make_site):
    node, settings = (
        Node(folder),
        WorkerSettings(node="n1", runtime_dir="", index=0, limits=Limits(max_connections=1)),
    )
    async with (
        trio.open_nursery() as nursery,
        node.open(),
        worker(folder, settings=settings) as process,
    ):
        site = make_site(node)
        await site.serve(await start_upstream(nursery))
        stream = await site.call()
        await exchange(stream)
        with pytest.raises((trio.BrokenResourceError, OSError)):
            await site.call()
        await exchange(stream)
        await eventually(lambda: counted(node, "overload") == 1)
        await trio.aclose_forcefully(stream)
        process.kill()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('{"node": "n1"}', "runtime_dir"),
        ("{", "--settings"),
        (render(WorkerSettings(node="n", runtime_dir="/x", index=0, log_level="loud")), "loud"),
        (render(WorkerSettings(node="n", runtime_dir="/" + "x" * 200, index=0)), "xxx"),
    ],
)
def test_what_it_cannot_boot_with_is_one_line_and_78(settings, reason):
    result = subprocess.run(
        [sys.executable, "-I", "-c", _MAIN, "--settings", settings],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert result.returncode == 78
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1
