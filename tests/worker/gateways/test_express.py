"""The common case needs no task, and what is not common is not lost."""

import pytest
import trio

from cluster.messages import Ack
from cluster.reasons import End
from cluster.routes import GatewayKind
from tests.fakes.engines import ENGINES
from tests.fakes.rig import (
    Linked,
    allow,
    at,
    black_hole,
    eventually,
    exchange,
    rig,
    snapshot,
    sni,
    start_upstream,
    tls_client,
)
from tests.worker.gateways.test_terminating import closed_port
from worker import connection
from worker.settings import Limits
from worker.sweeper import sweep

LIMITS = Limits(hello_timeout_seconds=1.0, handshake_timeout_seconds=0.5)


@pytest.fixture
async def node():
    if "native" not in ENGINES:
        pytest.skip("the native relay engine was not built: it needs a C compiler")
    async with rig(LIMITS, engine=ENGINES["native"]()) as made:
        yield made


@pytest.fixture
async def tasks(monkeypatch):
    """Which coroutines were started for connections."""
    started = []
    resume = connection.Frame.resume

    def counting(self, inbound, serve):
        started.append(serve)
        resume(self, inbound, serve)

    monkeypatch.setattr(connection.Frame, "resume", counting)
    return started


@pytest.fixture
async def site(node, pki, trust, nursery):
    made = Site(node, pki, trust, nursery)
    yield made
    for stream in made.streams:
        await trio.aclose_forcefully(stream)
    nursery.cancel_scope.cancel()


class Site:
    """A terminating and a mesh gateway in front of one upstream that echoes."""

    def __init__(self, node, pki, trust, nursery):
        self.node, self.pki, self.nursery = node, pki, nursery
        self.web = trust(pki.service("web"))
        self.egress, self.mgw = node.listen(), node.listen()
        self.streams = []

    async def serve(self, *endpoints):
        upstream = await start_upstream(self.nursery)
        places = endpoints or (upstream.endpoint,)
        linked, meshed = (Linked(name, *places, timeout=0.5) for name in ("billing", "api"))
        await self.node.keys(self.pki.service("billing"))
        listeners = [
            self.node.listener(self.egress),
            self.node.listener(self.mgw, GatewayKind.MESH, "mgw"),
        ]
        shot = snapshot(
            self.pki.bundle, listeners, linked, mesh=[meshed], rules=[allow("web", "*")]
        )
        assert isinstance(await self.node.offer(shot), Ack)
        return upstream

    async def call(self, port=None):
        stream = await tls_client(port or self.egress, self.web, sni("billing"))
        self.streams.append(stream)
        return stream

    async def mesh_call(self, hello):
        """A hello to the mesh gateway; the upstream echoes it."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.mgw)
        self.streams.append(stream)
        await exchange(stream, hello)
        return stream

    def setup_counts(self):
        return {
            phase: self.node.value("lockgate_setup_duration_seconds_count", phase=phase)
            for phase in ("hello", "handshake", "dial", "total")
        }


async def test_a_caller_of_a_terminating_gateway_needs_no_task(site, tasks):
    await site.serve()
    stream = await site.call()
    await exchange(stream, b"z" * 100_000)
    (entry,) = site.node.world.live
    assert entry.describe(0)["state"] == "relay"
    assert tasks == []
    await stream.aclose()
    await site.node.ended("finished")


async def test_a_connection_through_a_mesh_gateway_needs_no_task(site, tasks, hello_bytes):
    await site.serve()
    stream = await site.mesh_call(hello_bytes(sni("api")))
    assert tasks == []
    await stream.aclose()
    await site.node.ended("finished")


async def test_times_that_the_engine_measured_are_in_the_histograms(site, hello_bytes):
    await site.serve()
    site.nursery.start_soon(sweep, site.node.world)
    await exchange(await site.call())
    await site.mesh_call(hello_bytes(sni("api")))
    await eventually(lambda: site.setup_counts()["total"] == 2, site.setup_counts)
    assert site.setup_counts() == {"hello": 2, "handshake": 1, "dial": 2, "total": 2}
    assert site.node.value("lockgate_upstream_connect_seconds_count") == 2


@pytest.mark.parametrize("kind", ["terminating", "mesh"])
async def test_the_next_endpoint_is_tried_when_the_first_refuses(site, tasks, hello_bytes, kind):
    """The weight makes the dead one the first choice, but for one time in a million."""
    upstream = await start_upstream(site.nursery)
    await site.serve(at(closed_port(), weight=1_000_000), upstream.endpoint)
    if kind == "mesh":
        await site.mesh_call(hello_bytes(sni("api")))
    else:
        await exchange(await site.call())
    assert len(tasks) == 1
    (entry,) = site.node.world.live
    assert entry.endpoint == upstream.endpoint


async def test_all_addresses_that_were_tried_are_named(site, tasks, monkeypatch):
    first, second = closed_port(), closed_port()
    told = []
    monkeypatch.setattr(connection.log, "debug", lambda _, **what: told.append(what))
    await site.serve(at(first), at(second))
    stream = await site.call()
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    await site.node.ended("dial_refused")
    assert len(tasks) == 1
    assert all(f":{port}: Connection refused" in told[-1]["detail"] for port in (first, second))


async def test_while_it_dials_it_says_so_and_can_be_ended(site, hello_bytes):
    with black_hole() as port:
        await site.serve(at(port))
        stream = await trio.open_tcp_stream("127.0.0.1", site.mgw)
        site.streams.append(stream)
        await stream.send_all(hello_bytes(sni("api")))
        await eventually(lambda: len(site.node.world.live) == 1)
        (entry,) = site.node.world.live
        assert entry.describe(0)["state"] == "dial"
        assert entry.end(End.CLOSED_BY_OPERATOR)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await site.node.ended("closed_by_operator")


async def test_an_upstream_that_is_silent_is_given_up_in_time(site, hello_bytes):
    with black_hole() as port:
        await site.serve(at(port))
        stream = await trio.open_tcp_stream("127.0.0.1", site.mgw)
        site.streams.append(stream)
        await stream.send_all(hello_bytes(sni("api")))
        await site.node.ended("dial_timeout")


async def test_a_handshake_that_is_not_finished_ends_in_time(site, hello_bytes):
    await site.serve()
    stream = await trio.open_tcp_stream("127.0.0.1", site.egress)
    site.streams.append(stream)
    await stream.send_all(hello_bytes(sni("billing")))
    await site.node.ended("handshake_timeout")


async def test_a_handshake_under_way_can_be_ended(site, hello_bytes):
    await site.serve()
    stream = await trio.open_tcp_stream("127.0.0.1", site.egress)
    site.streams.append(stream)
    await stream.send_all(hello_bytes(sni("billing")))
    await eventually(lambda: [entry.state for entry in site.node.world.live] == ["handshake"])
    (entry,) = site.node.world.live
    assert entry.end(End.CLOSED_BY_OPERATOR)
    await site.node.ended("closed_by_operator")


async def test_a_bug_costs_its_own_connection_only(site, tasks, hello_bytes, monkeypatch):
    await site.serve()
    launcher = site.node.world.launcher
    launch = launcher.launch

    def broken(*arguments, **options):
        monkeypatch.setattr(launcher, "launch", launch)
        raise RuntimeError("a bug")

    monkeypatch.setattr(launcher, "launch", broken)
    first = await trio.open_tcp_stream("127.0.0.1", site.mgw)
    site.streams.append(first)
    await first.send_all(hello_bytes(sni("api")))
    await site.node.ended("internal")
    await site.mesh_call(hello_bytes(sni("api")))
    assert tasks == []


async def test_draining_waits_for_connections_without_a_task_and_then_ends_them(site, hello_bytes):
    await site.serve()
    stream = await site.mesh_call(hello_bytes(sni("api")))
    live, draining, outlasted = site.node.world.live, trio.Event(), []
    async with trio.open_nursery() as serving:

        async def outlast():
            try:
                await connection.outlast(live, draining)
            finally:
                outlasted.append(len(live))

        serving.start_soon(outlast)
        draining.set()
        await exchange(stream, b"still here")
        assert outlasted == []
        serving.cancel_scope.cancel()
    assert outlasted == [0]
    await site.node.ended("drained")
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()


async def test_draining_without_any_grace_ends_them_too(site, hello_bytes):
    await site.serve()
    stream = await site.mesh_call(hello_bytes(sni("api")))
    live, draining = site.node.world.live, trio.Event()
    async with trio.open_nursery() as serving:
        serving.start_soon(connection.outlast, live, draining)
        draining.set()
        serving.cancel_scope.cancel()
    assert len(live) == 0
    await site.node.ended("drained")
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()


async def test_draining_is_over_when_the_last_connection_is(site, hello_bytes):
    await site.serve()
    stream = await site.mesh_call(hello_bytes(sni("api")))
    draining = trio.Event()
    draining.set()
    with trio.fail_after(5):
        async with trio.open_nursery() as serving:
            serving.start_soon(connection.outlast, site.node.world.live, draining)
            await stream.aclose()
    await site.node.ended("finished")
