"""`?filter=` at the endpoints that list something."""

import pytest
import trio

from coordinator.store.records import Put

REGISTRATION = {"Address": "10.0.0.1", "NodeMeta": {"rack": "r1"}}
#: An expression that keeps some rows and one that keeps none, for each endpoint that filters.
FILTERED = {
    "/v1/catalog/nodes": ("Meta.rack == r1", "Meta.rack == r2"),
    "/v1/catalog/service/web": ("ServicePort == 80", "ServicePort == 81"),
    "/v1/catalog/connect/web": ("ServiceConnect.Native == true", "ServiceKind == x"),
    "/v1/catalog/gateway-services/egress": ("Service.Name == web", "Service.Name == other"),
    "/v1/health/service/web": ("Checks.Status == passing", "Checks.Status == critical"),
    "/v1/health/connect/web": ("Node.Node == n1", "Node.Node == n2"),
    "/v1/health/node/n1": ("Name == up", "Name == down"),
    "/v1/health/checks/web": ("Status == passing", "Status == warning"),
    "/v1/health/state/any": ("ServiceName == web", "ServiceName == db"),
    "/v1/agent/services": ('"blue" in Tags', '"green" in Tags'),
    "/v1/agent/checks": ("ServiceID == web", "ServiceID == db"),
    "/v1/connect/intentions": ("SourceName == web", "Action == deny"),
    "/v1/config/service-intentions": ("Sources.Name == web", "Sources.Name == db"),
}


@pytest.fixture
async def filled(put):
    for node in ("n1", "c1"):
        service = {"Service": "web", "Port": 80, "Tags": ["blue"], "Connect": {"Native": True}}
        check = {"Name": "up", "ServiceID": "web", "Status": "passing"}
        body = REGISTRATION | {"Node": node, "Service": service, "Check": check}
        await put("/v1/catalog/register", body)
    gateway = {"Service": "egress", "Kind": "terminating-gateway", "Port": 8443}
    await put("/v1/catalog/register", REGISTRATION | {"Node": "n1", "Service": gateway})
    egress = {"Kind": "terminating-gateway", "Name": "egress", "Services": [{"Name": "web"}]}
    await put("/v1/config", egress)
    await put(
        "/v1/connect/intentions/exact", {"Action": "allow"}, source="web", destination="billing"
    )


@pytest.mark.parametrize(("path", "expressions"), FILTERED.items())
async def test_rows_are_kept_that_match(path, expressions, filled, get):
    some, none = expressions
    every = await get(path)
    assert 0 < len(await get(path, filter=some)) <= len(every)
    assert len(await get(path, filter=none)) == 0
    assert len(await get(path, filter=f"not ({none})")) == len(every)


@pytest.mark.parametrize("path", FILTERED)
async def test_an_expression_that_cannot_be_read_is_a_400_at_once(
    path, filled, api, autojump_clock
):
    query = {"filter": "Nonsense ==", "index": "100000"}
    response = await api.get(path, params=query)
    assert (response.status_code, trio.current_time()) == (400, 0)
    assert response.text.startswith("Failed to create boolean expression evaluator: ")


async def test_the_services_of_a_node_are_filtered_where_they_lie(filled, get):
    found = await get("/v1/catalog/node/n1", filter="Service == egress")
    assert (found["Node"]["Node"], list(found["Services"])) == ("n1", ["egress"])
    listed = await get("/v1/catalog/node-services/n1", filter="Service == egress")
    assert [one["Service"] for one in listed["Services"]] == ["egress"]
    nowhere = await get("/v1/catalog/node-services/none", filter="Service == egress")
    assert nowhere == {"Node": None, "Services": None}


@pytest.mark.parametrize("path", ["/v1/agent/self", "/v1/config/service-intentions/billing"])
async def test_where_nothing_is_listed_the_parameter_is_refused(path, filled, api):
    response = await api.get(path, params={"filter": "a == b"})
    assert (response.status_code, "'filter' is not supported" in response.text) == (400, True)


async def test_others_get_their_turn_while_a_large_list_is_filtered(put, get, wanted):
    rows = [
        Put(table="nodes", key=f"n{n}", value={"Node": f"n{n}", "Address": "10.0.0.1"})
        for n in range(3000)
    ]
    await wanted.commit(rows)
    turns = 0

    async def count():
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        kept = await get("/v1/catalog/nodes", filter="Node matches `^n29`")
        nursery.cancel_scope.cancel()
    assert (len(kept), turns > 3) == (111, True)
