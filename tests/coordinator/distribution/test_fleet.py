"""The fleet as operators see it: status, paged questions, closing and draining."""

import pytest
import trio

from cluster.errors import Problem
from cluster.messages import (
    Answer,
    Close,
    Drain,
    Nack,
    NodeStatus,
    Query,
    WorkerStatus,
)
from coordinator.distributor import NotConnected
from coordinator.fleet import MAX_ITEMS, Fleet, QueryFailed


class Published:
    """What a fleet looks at in a publisher."""

    def __init__(self, current=None, problems=()):
        self.current = current
        self.problems = problems


def _fleet(world, published=None) -> Fleet:
    return Fleet(world.distributor, published or Published(), datacenter="dc1")


async def _answer(node, items, *, per_page=2):
    """Answer queries for these items, page by page, until the last page is out."""
    while True:
        query = await node.hear()
        assert isinstance(query, Query)
        start = int(query.cursor or 0)
        end = start + per_page
        cursor = str(end) if end < len(items) else ""
        page = tuple({"id": item} for item in items[start:end])
        await node.say(Answer(request=query.request, items=page, cursor=cursor))
        if not cursor:
            return


async def test_status_of_an_empty_fleet(world_of):
    async with world_of() as world:
        assert _fleet(world).status() == {
            "datacenter": "dc1",
            "generation": 0,
            "digest": "",
            "convergence_seconds": {"p50": None, "p99": None, "last": None},
            "converging": [],
            "problems": [],
            "nodes": [],
        }


async def test_a_node_that_is_offered_too_much_says_so_once_and_refuses_no_content(world_of):
    """It says why in its Nack and with every heartbeat; the generation itself is not to blame."""
    async with world_of() as world, world.node("n1") as node:
        await node.hello()
        world.publish(5)
        offer = await node.hear()
        why = Problem(message="401 came", path="max_changes_per_second")
        await node.say(Nack(id=offer.id, problems=(why,), unread=True))
        await node.say(NodeStatus(node="n1", engine="native", problems=(why,)))
        await world.until(lambda: world.distributor.rollout.nodes["n1"].status)
        fleet = _fleet(world)
        (shown,) = fleet.status()["nodes"]
        assert (shown["state"], shown["refused_content"]) == ("nacked", False)
        assert shown["problems"] == [str(why)]
        assert not fleet.refusals()
        assert world.metric("lockgate_snapshot_nacks_total") == 1


async def test_status_tells_of_nodes_workers_and_problems(world_of):
    async with world_of() as world, world.node("n2") as good, world.node("n1") as bad:
        await good.hello()
        await bad.hello()
        await world.until(lambda: len(world.distributor.connected) == 2)
        published = world.publish(5)
        await good.accept()
        worker = WorkerStatus(index=0, pid=42, generation=5, connections=3, restarts=1)
        await good.say(NodeStatus(node="n2", engine="native", workers=(worker,), pid=41))
        offer = await bad.hear()
        await bad.say(Nack(id=offer.id, problems=(Problem(message="no key", path="x"),)))
        nodes = world.distributor.rollout.nodes
        await world.until(lambda: world.distributor.rollout.nodes["n2"].status)
        await world.until(lambda: world.distributor.rollout.nodes["n1"].rejected)
        assert len(nodes) == 2
        status = _fleet(world, Published(published, (Problem(message="half"),))).status()
    assert (status["generation"], status["digest"]) == (5, published.id.digest)
    assert status["problems"] == ["half"]
    first, second = status["nodes"]
    assert (first["name"], first["state"], first["generation"]) == ("n1", "nacked", 0)
    assert first["problems"] == ["x: no key"]
    assert (first["refused_content"], second["refused_content"]) == (True, False)
    assert first["behind_seconds"] >= 0
    assert (second["name"], second["state"], second["generation"]) == ("n2", "current", 5)
    assert (second["engine"], second["pid"]) == ("native", 41)
    assert second["workers"] == [
        {
            "index": 0,
            "pid": 42,
            "generation": 5,
            "connections": 3,
            "restarts": 1,
            "missing_leaves": 0,
            "draining": False,
        }
    ]


async def test_a_query_asks_all_nodes_and_follows_cursors(world_of):
    async with (
        world_of() as world,
        world.node("n1") as one,
        world.node("n2") as two,
        trio.open_nursery() as nursery,
    ):
        await one.hello()
        await two.hello()
        await world.until(lambda: len(world.distributor.connected) == 2)
        nursery.start_soon(_answer, one, ["a", "b", "c", "d", "e"])
        nursery.start_soon(_answer, two, ["f"])
        found = await _fleet(world).query("connections", {"source": "web"})
    assert found == [
        {"id": name, "node": node}
        for node, names in (("n1", "abcde"), ("n2", "f"))
        for name in names
    ]


async def test_a_node_that_does_not_answer_is_left_out(world_of):
    async with (
        world_of() as world,
        world.node("n1") as one,
        world.node("n2") as two,
        trio.open_nursery() as nursery,
    ):
        await one.hello()
        await two.hello()
        await world.until(lambda: len(world.distributor.connected) == 2)
        nursery.start_soon(_answer, one, ["a"])
        fleet = _fleet(world)
        assert await fleet.query("connections", {}, timeout_seconds=3) == [
            {"id": "a", "node": "n1"}
        ]
        with pytest.raises(QueryFailed, match="'n2' did not answer within"):
            await fleet.query("connections", {}, node="n2", timeout_seconds=0.05)


async def test_what_a_node_says_with_an_error_is_kept(world_of):
    """One of its workers hangs; the connections of the others are there all the same."""
    async with world_of() as world, world.node() as node, trio.open_nursery() as nursery:
        await node.hello()
        await world.until(lambda: world.distributor.connected)

        async def answer_in_part():
            query = await node.hear()
            items = ({"id": "n1/0/1"},)
            await node.say(Answer(request=query.request, items=items, error="worker 1 is silent"))

        nursery.start_soon(answer_in_part)
        found = await _fleet(world).query("connections", {})
    assert found == [{"id": "n1/0/1", "node": "n1"}]


async def test_an_error_of_a_named_node_is_raised(world_of):
    async with world_of() as world, world.node() as node, trio.open_nursery() as nursery:
        await node.hello()
        await world.until(lambda: world.distributor.connected)

        async def fail():
            query = await node.hear()
            await node.say(Answer(request=query.request, error="what?"))

        nursery.start_soon(fail)
        with pytest.raises(QueryFailed, match="'n1': what"):
            await _fleet(world).query("nonsense", {}, node="n1")
        with pytest.raises(NotConnected, match="'n9' is not connected"):
            await _fleet(world).query("connections", {}, node="n9")


async def test_another_nodes_answer_is_not_taken(world_of):
    async with (
        world_of() as world,
        world.node("n1") as one,
        world.node("n2") as two,
        trio.open_nursery() as nursery,
    ):
        await one.hello()
        await two.hello()
        await world.until(lambda: len(world.distributor.connected) == 2)

        async def forge():
            query = await one.hear()
            await two.say(Answer(request=query.request, items=({"id": "forged"},)))
            await two.say(NodeStatus(node="n2", engine="x"))
            await world.until(lambda: world.distributor.rollout.nodes["n2"].status)
            await one.say(Answer(request=query.request, items=({"id": "real"},)))

        nursery.start_soon(forge)
        found = await _fleet(world).query("connections", {}, node="n1")
        assert found == [{"id": "real", "node": "n1"}]


async def test_an_answer_without_an_end_is_cut(world_of):
    async with world_of() as world, world.node() as node, trio.open_nursery() as nursery:
        await node.hello()
        await world.until(lambda: world.distributor.connected)
        page = tuple({"id": str(number)} for number in range(MAX_ITEMS // 4))

        async def go_on():
            while True:
                query = await node.hear()
                await node.say(Answer(request=query.request, items=page, cursor="more"))

        nursery.start_soon(go_on)
        found = await _fleet(world).query("connections", {}, timeout_seconds=10)
        assert len(found) == MAX_ITEMS
        nursery.cancel_scope.cancel()


async def test_closing_goes_to_the_nodes_that_the_ids_name(world_of):
    async with world_of() as world, world.node("n1") as one, world.node("n2") as two:
        await one.hello()
        await two.hello()
        await world.until(lambda: len(world.distributor.connected) == 2)
        fleet = _fleet(world)
        await fleet.close(["n1/0/5", "n2/1/7", "n1/0/6"])
        assert await one.hear() == Close(connections=("n1/0/5", "n1/0/6"))
        assert await two.hear() == Close(connections=("n2/1/7",))
        with pytest.raises(NotConnected, match="not connected: n3"):
            await fleet.close(["n1/0/5", "n3/0/1"])
        await one.hear_nothing(0.05)


async def test_the_node_of_a_connection_is_all_but_the_last_two_parts(world_of):
    async with world_of() as world:
        with pytest.raises(NotConnected, match="not connected: rack/gw1"):
            await _fleet(world).close(["rack/gw1/0/5"])


async def test_draining_a_node(world_of):
    async with world_of() as world, world.node() as node:
        await node.hello()
        await world.until(lambda: world.distributor.connected)
        await _fleet(world).drain("n1", 2.5)
        assert await node.hear() == Drain(grace_seconds=2.5)
        with pytest.raises(NotConnected):
            await _fleet(world).drain("n2", 2.5)


async def test_who_a_generation_waits_for_is_named_and_who_refused_it(world_of, endpoints):
    async with world_of() as world, world.node("n1") as quick, world.node("n2") as slow:
        for node in (quick, slow):
            await node.hello()
        await world.until(lambda: len(world.distributor.connected) == 2)
        first = world.publish(41, endpoints=endpoints("a", 1))
        await quick.accept()
        await world.until(lambda: world.has("n1", 41))
        (one,) = _fleet(world).status()["converging"]
        assert (one["generation"], one["waiting"]) == (41, ["n2"])
        assert one["seconds"] >= 0
        await slow.hear()
        await slow.say(Nack(id=first.id, problems=(Problem(message="no room"),)))
        await world.until(lambda: _fleet(world).refusals())
        assert _fleet(world).refusals() == {41: {"n2": ("no room",)}}
        assert _fleet(world).status()["nodes"][1]["state"] == "nacked"
