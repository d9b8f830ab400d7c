"""The common case needs no task, and what is not common is not lost."""

import msgspec
import pytest
import trio

from cluster.messages import Ack, Close, Query
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

SOON, PATIENT = 0.5, 60.0  # seconds: a limit that a test waits for, and one that no test reaches
LIMITS = Limits(hello_timeout_seconds=PATIENT, handshake_timeout_seconds=PATIENT)


@pytest.fixture(params=["the engine accepts", "Python accepts"])
def gates(request):
    """Whether the engine accepts for the mesh gateway by itself; everything must look the same."""
    return request.param == "the engine accepts"


@pytest.fixture
def limits():
    return LIMITS


@pytest.fixture
async def node(gates, limits):
    if "native" not in ENGINES:
        pytest.skip("the native relay engine was not built: it needs a C compiler")
    async with rig(limits, engine=ENGINES["native"](), gates=gates) as made:
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

    async def serve(self, *endpoints, dial_timeout=PATIENT):
        upstream = await start_upstream(self.nursery)
        places = endpoints or (upstream.endpoint,)
        linked, meshed = (
            Linked(name, *places, timeout=dial_timeout) for name in ("billing", "api")
        )
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
        await eventually(lambda: tuple(site.node.world.live))  # its place is counted before
        (entry,) = site.node.world.live
        assert entry.describe(0)["state"] == "dial"
        assert entry.end(End.CLOSED_BY_OPERATOR)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await site.node.ended("closed_by_operator")


async def test_an_upstream_that_is_silent_is_given_up_in_time(site, hello_bytes):
    with black_hole() as port:
        await site.serve(at(port), dial_timeout=SOON)
        stream = await trio.open_tcp_stream("127.0.0.1", site.mgw)
        site.streams.append(stream)
        await stream.send_all(hello_bytes(sni("api")))
        await site.node.ended("dial_timeout")


@pytest.mark.parametrize("limits", [Limits(handshake_timeout_seconds=SOON)])
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


@pytest.mark.parametrize("gates", ["Python accepts"], indirect=True)
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
    with trio.fail_after(30):
        async with trio.open_nursery() as serving:
            serving.start_soon(connection.outlast, site.node.world.live, draining)
            await stream.aclose()
    await site.node.ended("finished")


def mesh_meters(node):
    """What is shown of the mesh gateway's service."""
    labels = {"gateway": "mgw", "kind": "mesh", "service": "api"}
    names = ("connections_opened_total", "connections_active", "connection_duration_seconds_count")
    found = {name: node.value(f"lockgate_{name}", **labels) for name in names}
    for direction in ("up", "down"):
        name = "lockgate_connection_bytes_total"
        found[direction] = node.value(name, **labels, direction=direction)
    return found


async def test_who_was_never_looked_at_is_counted_all_the_same(site, hello_bytes):
    await site.serve()
    hello = hello_bytes(sni("api"))
    for _ in range(3):
        stream = await site.mesh_call(hello)
        await stream.aclose()
    await site.node.ended("finished", 3)
    assert mesh_meters(site.node) == {
        "connections_opened_total": 3,
        "connections_active": 0,
        "connection_duration_seconds_count": 3,
        "up": 3 * len(hello),
        "down": 3 * len(hello),
    }
    assert site.node.value("lockgate_client_hello_bytes_sum") == 3 * len(hello)
    assert site.setup_counts()["hello"] == 3
    assert len(site.node.world.live) == 0


async def test_who_is_here_is_shown_with_everything(site, hello_bytes):
    await site.serve()
    hello = hello_bytes(sni("api"))
    await site.mesh_call(hello)
    assert mesh_meters(site.node)["connections_active"] == 1
    answer = await site.node.ask(Query(request=1, what="connections"))
    (shown,) = answer.items
    assert shown["age_seconds"] < 60
    del shown["age_seconds"], shown["endpoint"]
    assert shown == {
        "id": "n1/0/1",
        "node": "n1",
        "worker": 0,
        "gateway": "mgw",
        "kind": "mesh",
        "source": "",
        "destination": "api",
        "sni": sni("api"),
        "state": "relay",
        "bytes_up": len(hello),
        "bytes_down": len(hello),
        "generation": 1,
    }
    await site.node.say(Close(connections=("n1/0/1",), end=End.CLOSED_BY_OPERATOR))
    await site.node.ended("closed_by_operator")
    assert mesh_meters(site.node)["connections_active"] == 0


async def test_who_has_passed_is_told_of_with_everything(site, hello_bytes):
    await site.serve()
    hello = hello_bytes(sni("api"))
    for _ in range(3):
        await (await site.mesh_call(hello)).aclose()
    await site.node.ended("finished", 3)
    answer = await site.node.ask(Query(request=1, what="closed"))
    assert len({shown["id"] for shown in answer.items}) == 3
    for shown in answer.items:
        assert (shown["destination"], shown["sni"], shown["end"]) == ("api", sni("api"), "finished")
        assert (shown["bytes_up"], shown["bytes_down"]) == (len(hello), len(hello))
        assert (shown["gateway"], shown["generation"], shown["state"]) == ("mgw", 1, "closed")
        assert shown["endpoint"]
        assert shown["opened_at"] <= shown["closed_at"] <= site.node.world.wall_clock()
    query = Query(request=2, what="connection", arguments={"id": answer.items[1]["id"]})
    (one,) = (await site.node.ask(query)).items
    assert one["closed_at"] == pytest.approx(answer.items[1]["closed_at"], abs=0.01)
    again = await site.node.ask(Query(request=3, what="closed"))
    assert [shown["id"] for shown in again.items] == [shown["id"] for shown in answer.items]


async def test_a_route_that_was_withdrawn_is_not_used_any_more(site, hello_bytes):
    upstream = await site.serve()
    stream = await site.mesh_call(hello_bytes(sni("api")))
    mesh = site.node.listener(site.mgw, GatewayKind.MESH, "mgw")
    for _ in range(20):
        assert isinstance(await site.node.offer(snapshot(site.pki.bundle, [mesh])), Ack)
        came = upstream.accepted
        late = await trio.open_tcp_stream("127.0.0.1", site.mgw)
        site.streams.append(late)
        await late.send_all(hello_bytes(sni("api")))
        with trio.fail_after(30):
            assert (await late.receive_some())[:1] == b"\x15"  # an alert
        assert upstream.accepted == came
        back = snapshot(site.pki.bundle, [mesh], mesh=[Linked("api", upstream.endpoint)])
        assert isinstance(await site.node.offer(back), Ack)
        await site.mesh_call(hello_bytes(sni("api")))
    await exchange(stream, b"still here")
    assert site.node.value("lockgate_client_hello_rejected_total", reason="unknown_sni") == 20


async def test_a_wildcard_leads_where_no_name_does(site, hello_bytes):
    upstream = await site.serve()
    mesh = site.node.listener(site.mgw, GatewayKind.MESH, "mgw")
    route = msgspec.structs.replace(Linked("api").mesh_route, server_name="*.example")
    shot = snapshot(site.pki.bundle, [mesh], mesh=[Linked("api", upstream.endpoint)])
    assert isinstance(await site.node.offer(msgspec.structs.replace(shot, mesh=(route,))), Ack)
    await site.mesh_call(hello_bytes("some.example"))
    (entry,) = site.node.world.live
    assert entry.server_name == "some.example"


async def test_a_listener_may_change_its_kind(site, hello_bytes):
    """The engine accepts for one kind, and Python for the other."""
    upstream = await site.serve()
    for kind in (GatewayKind.TERMINATING, GatewayKind.MESH, GatewayKind.TERMINATING):
        listener = site.node.listener(site.mgw, kind, "egress")
        services = [Linked("billing", upstream.endpoint)]
        mesh = [Linked("api", upstream.endpoint)]
        shot = snapshot(
            site.pki.bundle, [listener], *services, mesh=mesh, rules=[allow("web", "*")]
        )
        assert isinstance(await site.node.offer(shot), Ack)
        if kind is GatewayKind.MESH:
            await site.mesh_call(hello_bytes(sni("api")))
        else:
            await exchange(await site.call(site.mgw))


@pytest.mark.parametrize("limits", [Limits(max_connections=2)])
async def test_no_more_than_the_limit_are_admitted(site, hello_bytes):
    await site.serve()
    first = await site.mesh_call(hello_bytes(sni("api")))
    await exchange(await site.call())
    for _ in range(3):
        stream = await trio.open_tcp_stream("127.0.0.1", site.mgw)
        site.streams.append(stream)
        await stream.send_all(hello_bytes(sni("api")))
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
    await site.node.ended("overload", 3)
    assert len(site.node.world.live) == 2
    await first.aclose()
    await site.node.ended("finished")
    await site.mesh_call(hello_bytes(sni("api")))


async def test_the_sweep_takes_in_who_is_here(site, hello_bytes):
    await site.serve()
    await site.mesh_call(hello_bytes(sni("api")))
    site.nursery.start_soon(sweep, site.node.world)
    await eventually(lambda: mesh_meters(site.node)["up"] > 0)
    assert site.node.world.live.get(1) is not None
