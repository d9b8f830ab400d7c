"""explain for a connection, for a request, and for what a change would make of it."""

import pytest

EXPLAIN = "/v1/lockgate/explain"
CLOSED = {
    "id": "gw/1/0/7",
    "node": "gw/1",
    "source": "web",
    "destination": "billing",
    "endpoint": "10.0.0.5:5432",
    "state": "closed",
    "end": "intention_revoked",
    "generation": 5,
    "age_seconds": 3.0,
    "bytes_up": 1,
    "bytes_down": 2,
    "decision": {"allowed": True, "rule": None, "default": True, "precedence": 0, "reason": "r"},
}
PAIR = {"source": "web", "destination": "shop"}


async def test_a_closed_connection_then_and_now(get, put, fleet):
    fleet.ended = [dict(CLOSED)]
    answer = await get(f"{EXPLAIN}/gw/1/0/7")
    assert answer["connection"]["end"] == "intention_revoked"
    assert "changed to deny" in answer["connection"]["look_at"]
    assert (answer["then"]["allowed"], answer["then"]["generation"]) == (True, 5)
    assert (answer["allowed"], answer["decision"]["default"]) == (False, True)


async def test_of_a_mesh_connection_only_what_happened_is_known(get, fleet):
    fleet.ended = [CLOSED | {"source": "", "destination": "", "decision": {"allowed": None}}]
    answer = await get(f"{EXPLAIN}/gw/1/0/7")
    assert answer["then"]["allowed"] is None
    assert "decision" not in answer


@pytest.mark.parametrize(("identity", "status"), [("gw1/0/9", 404), ("x", 400), ("a//b", 400)])
async def test_what_is_no_connection(api, identity, status):
    assert (await api.get(f"{EXPLAIN}/{identity}")).status_code == status


@pytest.fixture
async def shop(put):
    await put("/v1/config", {"Kind": "service-defaults", "Name": "shop", "Protocol": "http"})
    permissions = [
        {"Action": "deny", "HTTP": {"PathPrefix": "/admin"}},
        {"Action": "allow", "HTTP": {"Methods": ["GET"], "Header": [{"Name": "x", "Exact": "1"}]}},
    ]
    source = {"Name": "web", "Permissions": permissions}
    await put("/v1/config", {"Kind": "service-intentions", "Name": "shop", "Sources": [source]})


@pytest.mark.parametrize(
    ("request_", "allowed", "number"),
    [
        ({"path": "/admin/x", "header": "x:1"}, False, 1),
        ({"path": "/", "header": "X: 1"}, True, 2),
        ({"path": "/", "method": "get", "header": "x:1"}, True, 2),
        ({"path": "/", "method": "POST", "header": "x:1"}, False, None),
        ({"header": "x:2"}, False, None),
    ],
)
async def test_the_permission_that_a_request_meets_is_named(
    shop, api, get, request_, allowed, number
):
    answer = (await api.get(EXPLAIN, params=PAIR | request_)).json()
    assert (answer["request"]["allowed"], answer["request"]["number"]) == (allowed, number)
    assert answer["allowed"] is False  # as gateways carry it: without a request
    assert "request" not in await get(EXPLAIN, **PAIR)


async def test_a_request_to_a_service_without_permissions_is_decided_as_the_connection(api, put):
    await put("/v1/connect/intentions/exact", {"Action": "allow"}, **PAIR)
    answer = (await api.get(EXPLAIN, params=PAIR | {"path": "/x"})).json()
    assert answer["request"] == {"allowed": True, "permission": None, "number": None}


async def test_a_header_has_a_name(api, shop):
    assert (await api.get(EXPLAIN, params=PAIR | {"header": "x"})).status_code == 400


async def test_what_a_change_would_make_of_it(api, put, get, wanted):
    await put("/v1/connect/intentions/exact", {"Action": "allow"}, **PAIR)
    revision = wanted.state.revision
    sources = [{"Name": "web", "Action": "deny"}]
    change = {"Kind": "service-intentions", "Name": "shop", "Sources": sources}
    answer = await api.post(EXPLAIN, params=PAIR, json={"entries": [change]})
    assert answer.json()["allowed"] is False
    assert answer.json()["decision"]["rule"]["Action"] == "deny"
    assert (await get(EXPLAIN, **PAIR))["allowed"] is True
    assert wanted.state.revision == revision
    refused = await api.post(EXPLAIN, params=PAIR, json={"entries": [change | {"Sources": []}]})
    assert refused.status_code == 400
    assert "at least one source" in refused.text


async def test_lists_of_live_closed_and_both(get, fleet):
    fleet.live = [{"id": "n/0/2", "source": "web"}]
    fleet.ended = [{"id": "n/0/1", "source": "web", "end": "finished"}]
    path = "/v1/lockgate/connections"
    assert [one["id"] for one in await get(path)] == ["n/0/2"]
    assert [one["id"] for one in await get(path, closed="true")] == ["n/0/1"]
    assert [one["id"] for one in await get(path, recent="true")] == ["n/0/1", "n/0/2"]
