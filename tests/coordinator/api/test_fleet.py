"""Status, connections, explain, nodes and history."""

import pytest

from cluster.bus import keygen
from coordinator.distributor import NotConnected
from coordinator.fleet import MAX_ITEMS, QueryFailed

CLOSE = "/v1/lockgate/connections/close"
EXPLAIN = "/v1/lockgate/explain"
LIVE = [
    {"id": "n1/0/1", "source": "web", "destination": "billing", "gateway": "egress"},
    {"id": "n1/0/2", "source": "api", "destination": "billing", "gateway": "egress"},
    {"id": "n1/0/3", "source": "web", "destination": "redis", "gateway": "egress"},
]
EXTERNAL = {
    "Node": "db1",
    "Address": "10.0.0.5",
    "Service": {"Service": "billing", "Port": 5432},
}
GATEWAY = {
    "Node": "gw1",
    "Address": "10.0.0.1",
    "Service": {"Service": "egress", "Kind": "terminating-gateway", "Port": 8443},
}
LINK = {"Kind": "terminating-gateway", "Name": "egress", "Services": [{"Name": "billing"}]}


async def test_status_names_the_datacenter_and_who_leads(get):
    status = await get("/v1/lockgate/status")
    assert (status["datacenter"], status["generation"], status["digest"]) == ("dc1", 7, "d1")
    assert status["coordinators"] == [
        {"name": "c1", "address": "10.0.0.5:7400", "bus_key": "", "leader": True}
    ]
    assert await get("/v1/status/leader") == "10.0.0.5:7400"
    assert await get("/v1/status/peers") == ["10.0.0.5:7400"]


async def test_history_is_what_was_published(get):
    (one,) = await get("/v1/lockgate/history")
    assert (one["generation"], one["digest"]) == (7, "d1")


async def test_connections_are_listed_and_narrowed(get, fleet):
    fleet.live = LIVE
    assert await get("/v1/lockgate/connections") == LIVE
    narrowed = await get("/v1/lockgate/connections", source="web", destination="billing")
    assert [one["id"] for one in narrowed] == ["n1/0/1"]


@pytest.mark.parametrize("error", [NotConnected("node 'n9' is not connected"), QueryFailed("late")])
async def test_a_connection_of_a_node_that_does_not_answer_is_a_503(api, fleet, error, monkeypatch):
    async def query(what, arguments, *, node=None):
        raise error

    monkeypatch.setattr(fleet, "query", query)
    answer = await api.get(f"{EXPLAIN}/n9/0/1")
    assert (answer.status_code, str(error) in answer.text) == (503, True)


async def test_an_unknown_id_is_tried_when_the_list_was_cut_off(put, fleet):
    fleet.live = [LIVE[0]] * MAX_ITEMS
    assert await put(CLOSE, {"ids": ["n2/0/9"]}) == {"closed": ["n2/0/9"]}


@pytest.mark.parametrize(
    ("body", "closed"),
    [
        ({"ids": ["n1/0/2"]}, ["n1/0/2"]),
        ({"source": "web", "destination": "billing"}, ["n1/0/1"]),
        ({"source": "web"}, ["n1/0/1", "n1/0/3"]),
        ({"source": "nobody", "destination": "billing"}, []),
    ],
)
async def test_connections_are_closed_by_id_or_pair(put, fleet, body, closed):
    fleet.live = LIVE
    assert await put(CLOSE, body) == {"closed": closed}
    assert fleet.closed == closed


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"ids": ["n1/0/1"], "source": "web"}, 400),
        ({"ids": "n1/0/1"}, 400),
        ({"ids": [1]}, 400),
        ({"ids": ["nobody"]}, 404),
    ],
)
async def test_an_unclear_close_closes_nothing(api, fleet, body, status):
    fleet.live = LIVE
    response = await api.put(CLOSE, json=body)
    assert (response.status_code, fleet.closed) == (status, [])


@pytest.fixture
async def linked(put):
    for path, body in (("catalog/register", EXTERNAL), ("catalog/register", GATEWAY)):
        await put(f"/v1/{path}", body)
    await put("/v1/config", LINK)


async def test_explain_without_an_intention_names_the_default(linked, get):
    answer = await get(EXPLAIN, source="web", destination="billing")
    assert answer["allowed"] is False
    assert answer["decision"]["rule"] is None
    assert answer["decision"]["default"] is True
    assert "default policy" in answer["decision"]["reason"]
    assert answer["generation"] == 7


async def test_explain_names_rule_route_and_endpoints(linked, put, get, authority):
    pair = {"source": "web", "destination": "billing"}
    await put("/v1/connect/intentions/exact", {"Action": "allow"}, **pair)
    answer = await get(EXPLAIN, **pair)
    assert answer["allowed"] is True
    assert answer["decision"]["rule"]["SourceName"] == "web"
    assert answer["decision"]["precedence"] == 9
    sni = f"billing.default.dc1.internal.{authority.trust_domain}"
    assert (answer["route"]["gateway"], answer["route"]["sni"]) == ("egress", sni)
    assert answer["route"]["chain"] == []
    assert answer["route"]["dialled"] == [
        {"address": "10.0.0.1:8443", "healthy": True, "weight": 1}
    ]
    assert answer["endpoints"] == [{"address": "10.0.0.5:5432", "healthy": True, "weight": 1}]
    assert await get(EXPLAIN, source="web", sni=sni.upper()) == answer


async def test_explain_follows_an_unserved_name_nowhere(linked, get):
    answer = await get(EXPLAIN, source="web", sni="example.com")
    assert answer["allowed"] is False
    assert answer["route"]["gateway"] == ""
    assert "unrecognized_name" in answer["decision"]["reason"]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"source": "web"},
        {"destination": "billing"},
        {"source": "web", "destination": "billing", "sni": "x"},
        {"source": "a/b/c/d", "destination": "billing"},
    ],
)
async def test_explain_wants_a_source_and_one_place(api, params):
    assert (await api.get(EXPLAIN, params=params)).status_code == 400


async def test_nodes_are_allowed_listed_and_revoked(put, get, api):
    key = keygen().public_key
    assert await put("/v1/lockgate/nodes/gw1", {"Public_Key": key}) is True
    (node,) = await get("/v1/lockgate/nodes")
    assert (node["name"], node["public_key"]) == ("gw1", key)
    assert (await get("/v1/lockgate/nodes/gw1"))["public_key"] == key
    assert (await api.delete("/v1/lockgate/nodes/gw1")).json() is True
    assert await get("/v1/lockgate/nodes") == []
    for verb in ("GET", "DELETE"):
        assert (await api.request(verb, "/v1/lockgate/nodes/gw1")).status_code == 404


async def test_one_key_is_one_node(put, api):
    key = keygen().public_key
    await put("/v1/lockgate/nodes/gw1", {"public_key": key})
    other = await api.put("/v1/lockgate/nodes/gw2", json={"public_key": key})
    assert (other.status_code, "already the one of node gw1" in other.text) == (400, True)


@pytest.mark.parametrize("body", [{}, {"public_key": "short"}, {"public_key": 4}, [], None])
async def test_what_is_no_key_is_refused(api, body):
    assert (await api.put("/v1/lockgate/nodes/gw1", json=body)).status_code == 400


async def test_a_node_that_is_gone_is_named(api, fleet, monkeypatch):
    async def close(connections):
        raise NotConnected("not connected: n1")

    fleet.live = LIVE
    monkeypatch.setattr(fleet, "close", close)
    response = await api.put(CLOSE, json={"ids": ["n1/0/1"]})
    assert (response.status_code, response.text) == (500, "not connected: n1")


@pytest.mark.parametrize("name", ["a/b", "a%2Fb", "", "x" * 129, "a%1Bb"])
async def test_a_name_that_no_node_can_have_is_refused_by_its_rule(api, name):
    body = {"public_key": keygen().public_key}
    refused = await api.put(f"/v1/lockgate/nodes/{name}", json=body)
    assert refused.status_code == 400
    assert "node's name" in refused.text
