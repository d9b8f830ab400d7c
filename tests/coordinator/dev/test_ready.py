"""Waiting for a development cluster: what counts as serving, and what is refused."""

import httpx
import pytest
import trio

from coordinator.dev.ready import (
    Refused,
    allow_node,
    gateways_of,
    wait_for_coordinator,
    wait_for_node,
    write,
)
from coordinator.dev.wanted import Request

GONE = httpx.ConnectError("gone")
WORKER = {"pid": 1, "generation": 7}
NODE = {"name": "here", "state": "current", "generation": 7, "workers": [WORKER], "problems": []}


def status(*nodes, problems=()):
    return {"generation": 7, "problems": list(problems), "nodes": list(nodes)}


@pytest.fixture
def client():
    """A client whose answers are these, in order; an exception is one that does not come."""

    def client(*answers):
        rest = iter(answers)

        def answer(request):
            found = next(rest)
            if isinstance(found, Exception):
                raise found
            return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

        return httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://x")

    return client


async def test_a_coordinator_that_is_not_there_yet_is_waited_for(client, autojump_clock):
    async with client(GONE, httpx.Response(503), GONE, status()) as asked:
        await wait_for_coordinator(asked)
    assert trio.current_time() > 0


@pytest.mark.parametrize(
    "not_yet",
    [
        status(),
        status(NODE | {"state": "behind"}),
        status(NODE | {"generation": 6}),
        status(NODE | {"workers": []}),
        status(NODE | {"workers": [WORKER, WORKER | {"generation": 6}]}),
        status(NODE | {"workers": [WORKER | {"missing_leaves": ["db"]}]}),
        status(NODE | {"name": "another"}),
        GONE,
    ],
)
async def test_a_node_serves_when_every_worker_has_the_newest(client, not_yet, autojump_clock):
    async with client(not_yet, status(NODE)) as asked:
        assert await wait_for_node(asked, "here") == NODE


@pytest.mark.parametrize(
    "answer",
    [status(problems=["two on one port"]), status(NODE | {"problems": ["two on one port"]})],
)
async def test_what_cannot_be_served_is_told_instead_of_waited_for(client, answer):
    async with client(answer) as asked:
        with pytest.raises(Refused, match="two on one port"):
            await wait_for_node(asked, "here")


async def test_a_write_that_is_refused_names_what_it_was(client):
    writes = [Request(path="/v1/config", body={}, what="kind/name")]
    async with client(httpx.Response(500, text="not so\n")) as asked:
        with pytest.raises(Refused, match=r"^kind/name: not so$"):
            await write(asked, writes)


async def test_a_write_outlives_a_coordinator_that_dies(client, autojump_clock):
    async with client(GONE, True, GONE, True) as asked:
        await allow_node(asked, "here", "key")
        await write(asked, [Request(path="/v1/config", body={}, what="x")])


async def test_the_gateways_of_a_node_with_their_addresses(client):
    egress = {"Service": "egress", "Kind": "terminating-gateway", "Port": 8443}
    found = {
        "Node": {"Address": "10.0.0.1"},
        "Services": [egress, egress | {"Address": "127.0.0.1"}, {"Service": "db", "Port": 1}],
    }
    async with client(found) as asked:
        gateways = await gateways_of(asked, "here")
    assert [one.address for one in gateways] == ["10.0.0.1:8443", "127.0.0.1:8443"]


async def test_an_ingress_gateway_listens_where_its_entry_says(client):
    front = {"Service": "front", "Kind": "ingress-gateway", "Port": 1}
    found = {"Node": {"Address": "127.0.0.1"}, "Services": [front, front | {"Service": "idle"}]}
    entry = {"Listeners": [{"Port": 8080}, {"Port": 8443}]}
    async with client(found, entry, {}) as asked:
        gateways = await gateways_of(asked, "here")
    assert [(one.gateway, one.address) for one in gateways] == [
        ("front", "127.0.0.1:8080"),
        ("front", "127.0.0.1:8443"),
    ]


async def test_a_node_that_nobody_knows_has_no_gateways(client):
    async with client({"Node": None, "Services": None}) as asked:
        assert await gateways_of(asked, "here") == []
