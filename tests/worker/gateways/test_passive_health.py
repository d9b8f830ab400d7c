"""Instances that keep failing get no requests, stand-ins take over, and limits are told at once."""

import contextlib

import msgspec
import pytest
import trio

from cluster.balance.ejection import PassiveHealth
from cluster.balance.limits import UpstreamLimits
from cluster.reasons import End
from tests.fakes.http import says
from tests.fakes.http2 import Answer, Http2Server
from tests.fakes.pki import server_context
from tests.fakes.rig import PATIENCE_SECONDS, at, eventually, exchange, start_upstream
from tests.worker.gateways.front import served, until_end
from tests.worker.gateways.test_ingress_requests import API, ask, entry
from tests.worker.gateways.test_ingress_requests import site as inside

__all__ = ["inside"]

HEALTH = PassiveHealth(max_failures=2, base_ejection_seconds=3600.0, max_ejection_percent=100)


@pytest.fixture
def site(inside):
    return inside


def watched(shape, health=HEALTH, **limits):
    return msgspec.structs.replace(shape, health=health, limits=UpstreamLimits(**limits))


def ejections(front, service="api"):
    labels = {"gateway": "front", "service": service}
    return front.node.value("lockgate_endpoint_ejections_total", **labels)


def hangs_up(message):
    return None


@pytest.mark.parametrize("how", [says(status=500), hangs_up], ids=["status", "reset"])
async def test_who_fails_is_left_out(site, front, how):
    bad, good = await site.start("api", how), await site.start("api", says(b"good"))
    front.sets["connect:api"] = (bad.endpoint, good.endpoint)
    await front.serve(watched(site.service("api", API)))
    client = await site.call()
    for _ in range(20):
        await ask(client, API)
    assert len(bad.seen) == 2
    assert ejections(front) == 1
    await front.serve(watched(site.service("api", API)))  # a new view knows
    for _ in range(4):
        assert (await ask(client, API)).body == b"good"


async def test_who_refuses_connections_is_dialled_no_more(site, front):
    good = await site.start("api", says(b"good", Connection="close"))
    front.sets["connect:api"] = (at(1), good.endpoint)
    await front.serve(watched(site.service("api", API)))
    client = await site.call()
    for _ in range(8):
        assert (await ask(client, API)).body == b"good"
    assert ejections(front) == 1


async def test_who_is_silent_is_left_out(site, front):
    async def silent(stream):
        await stream.receive_some()
        await trio.sleep_forever()

    context = server_context(site.folder, site.pki.service("api"), roots=site.pki.pem)
    dead = await start_upstream(front.nursery, silent, context)
    good = await site.start("api", says(b"good"))
    front.sets["connect:api"] = (dead.endpoint, good.endpoint)
    site.entries = [entry("service-resolver", "api", RequestTimeout="3s")]
    await front.serve(watched(site.service("api", API), PassiveHealth(max_failures=1)))
    statuses = [(await ask(await site.call(), API)).status for _ in range(6)]
    assert sorted(statuses) == [200] * 5 + [504]
    assert ejections(front) == 1


async def test_a_stand_in_takes_over_when_all_are_out(site, front):
    bad, spare = await site.start("api", says(status=503)), await site.start("spare")
    site.entries = [
        entry("service-resolver", "api", Failover={"*": {"Targets": [{"Service": "spare"}]}})
    ]
    await front.serve(watched(site.service("api", API)))
    client = await site.call()
    statuses = [(await ask(client, API)).status for _ in range(5)]
    assert statuses == [503, 503, 200, 200, 200]
    assert (len(bad.seen), len(spare.seen)) == (2, 3)


async def test_the_last_resort_is_who_is_out(site, front):
    bad = await site.start("api", says(status=500))
    await front.serve(watched(site.service("api", API)))
    client = await site.call()
    for _ in range(5):
        assert (await ask(client, API)).status == 500
    assert len(bad.seen) == 5


async def test_a_tcp_listener_leaves_out_who_cannot_be_reached(front):
    front.protocol = "tcp"
    upstream = await front.behind()
    live = front.sets["connect:billing"]
    front.sets["connect:billing"] = (at(1), *live)
    await front.serve(watched(served("billing")))
    for _ in range(8):
        await exchange(await front.call())
    assert upstream.accepted == 8
    assert ejections(front, "billing") == 1


# --- limits


@pytest.fixture
def slow(site):
    """A server that answers when its gate opens."""

    @contextlib.asynccontextmanager
    async def start(**limits):
        gate = trio.Event()

        async def answer(stream):
            with contextlib.suppress(trio.BrokenResourceError):
                while await stream.receive_some():
                    await gate.wait()
                    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        context = server_context(site.folder, site.pki.service("api"), roots=site.pki.pem)
        server = await start_upstream(site.front.nursery, answer, context)
        site.front.sets["connect:api"] = (server.endpoint,)
        await site.front.serve(watched(site.service("api", API), **limits))
        server.gate = gate
        yield server
        gate.set()

    return start


def room(front):
    gateways = front.node.world.current.view.gateways
    (view,) = [one for one in gateways.values() if one.listener.gateway == "front"]
    return view.routes["api"].targets[0].room


async def test_requests_over_the_limit_are_told(site, front, slow):
    async with slow(requests=1) as server:
        first, second = await site.call(), await site.call()
        await first.send(Host=API)
        await eventually(lambda: server.accepted == 1)
        answer = await ask(second, API)
        assert (answer.status, answer.headers["x-envoy-overloaded"]) == (503, "true")
        server.gate.set()
        assert (await first.answer()).status == 200
        assert (await ask(second, API)).status == 200
    assert room(front).requests == 0


async def test_a_request_waits_for_a_connection_and_only_so_many_do(site, front, slow):
    async with slow(connections=1, pending=1) as server:
        clients = [await site.call() for _ in range(3)]
        await clients[0].send(Host=API)
        await eventually(lambda: server.accepted == 1 and room(front).waiting == 0)
        await clients[1].send(Host=API)
        await eventually(lambda: room(front).waiting == 1)
        assert (await ask(clients[2], API)).status == 503
        server.gate.set()
        for client in clients[:2]:
            assert (await client.answer()).status == 200
        assert server.accepted == 1
        assert (await ask(clients[2], API)).status == 200


async def test_who_waits_is_let_in_and_who_goes_holds_up_nobody(site, front, slow):
    async with slow(connections=1) as server:
        clients = [await site.call() for _ in range(4)]
        await clients[0].send(Host=API)
        await eventually(lambda: server.accepted == 1)
        for number, client in enumerate(clients[1:], 1):
            await client.send(Host=API)
            await eventually(lambda wanted=number: room(front).waiting == wanted)
        assert front.live()[1].end(End.CLOSED_BY_OPERATOR)
        await eventually(lambda: room(front).waiting == 2)
        server.gate.set()
        for client in (clients[0], *clients[2:]):
            assert (await client.answer()).status == 200
    assert (room(front).waiting, room(front).requests) == (0, 0)


async def test_an_idle_connection_elsewhere_makes_room(site, front):
    servers = [await site.start("api", says(str(number).encode())) for number in range(2)]
    front.sets["connect:api"] = tuple(server.endpoint for server in servers)
    await front.serve(watched(site.service("api", API), connections=1))
    client = await site.call()
    bodies = {(await ask(client, API)).body for _ in range(4)}
    assert bodies == {b"0", b"1"}
    assert len(front.node.world.pools) == 1


async def test_tcp_connections_over_the_limit_are_closed(front):
    front.protocol = "tcp"
    await front.behind()
    await front.serve(watched(served("billing"), connections=1))
    first = await front.call()
    await exchange(first)
    second = await front.call()
    assert (await until_end(second))[1] == "reset"
    await first.send_eof()
    with trio.fail_after(PATIENCE_SECONDS):
        assert await first.receive_some() == b""
    await eventually(lambda: not front.live())
    await exchange(await front.call())


async def test_a_grpc_status_counts_where_there_is_nothing_else(site, front):
    headers = (("content-type", "application/grpc"), ("grpc-status", "14"))
    server = Http2Server(lambda asked: Answer(headers=headers), {})
    context = server_context(site.folder, site.pki.service("api"), roots=site.pki.pem)
    context.set_alpn_protocols(["h2"])
    await server.start(front.nursery, context)
    front.protocol = "grpc"
    front.sets["connect:api"] = (server.endpoint,)
    site.entries = [entry("service-defaults", "api", Protocol="grpc")]
    await front.serve(watched(site.service("api", API)))
    client = await site.call()
    for _ in range(2):
        answer = await ask(client, API)
        assert (answer.status, answer.headers["grpc-status"]) == (200, "14")
    assert ejections(front) == 1
