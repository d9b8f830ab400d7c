"""What somebody with few rights, or none any more, must not learn by asking in a roundabout way."""

import msgspec
import pytest
import trio
import trio.testing

EXPLAIN = "/v1/lockgate/explain?source=api&destination=web"
WEB_ONLY = 'service "web" { policy = "write" intentions = "write" }'
INTENTIONS_ONLY = 'service "web" { policy = "deny" intentions = "read" }'
HIDDEN = {"delete": [{"kind": "service-router", "name": "billing"}]}


async def test_a_planned_change_is_no_way_to_ask_for_the_entries_of_others(with_rules):
    weak = await with_rules(WEB_ONLY)
    text = await weak("POST", EXPLAIN, HIDDEN, status=403)
    assert "operator:read" in text


async def test_where_a_service_is_takes_the_right_to_see_it(with_rules):
    weak = await with_rules(INTENTIONS_ONLY)
    assert "service:read" in await weak("GET", EXPLAIN, status=403)
    assert (await (await with_rules(WEB_ONLY))("GET", EXPLAIN))["allowed"] is False


@pytest.mark.parametrize(
    "path",
    [
        "/v1/kv/secret",
        "/v1/internal/ui/gateway-intentions/gw",
        "/v1/internal/ui/gateway-services-nodes/gw",
        "/v1/connect/intentions/2b6a3f0c-0000-4000-8000-000000000000",
    ],
)
async def test_who_may_not_read_is_not_told_when_it_changes(path, services, with_rules):
    weak = await with_rules('service "web" { policy = "deny" }')
    index = services.wanted.state.revision
    with trio.fail_after(30):
        await weak("GET", f"{path}?index={index}&wait=10m", status=403)


async def bearer(manager, bearing):
    made = await manager("PUT", "/v1/acl/token", {"Policies": [{"Name": "global-management"}]})
    return bearing(made["SecretID"]), made["AccessorID"]


async def test_a_token_that_ends_while_its_query_waits_gets_no_key(manager, bearing):
    client, accessor = await bearer(manager, bearing)
    path = "/v1/agent/connect/ca/leaf/web"
    leaf = await client("GET", path)
    async with trio.open_nursery() as nursery:
        waiting = f"{path}?index={leaf['ModifyIndex']}&wait=300ms"
        nursery.start_soon(lambda: client("GET", waiting, status=403))
        await trio.testing.wait_all_tasks_blocked()
        await manager("DELETE", f"/v1/acl/token/{accessor}")


async def test_a_token_that_ends_while_it_listens_hears_no_more(services, manager, bearing):
    client, accessor = await bearer(manager, bearing)
    heard = []

    async def listen():
        url = "/v1/lockgate/monitor?seconds=60"
        answer = await client.http.get(url, headers=client.headers)
        heard.extend(msgspec.json.decode(line) for line in answer.content.splitlines() if line)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.testing.wait_all_tasks_blocked()
            await manager("DELETE", f"/v1/acl/token/{accessor}")
            services.monitor.tell("something")
    assert [one["event"] for one in heard] == ["listening"]


async def test_a_token_that_ends_while_it_waits_for_a_service_is_not_shown_it(manager, bearing):
    client, accessor = await bearer(manager, bearing)
    own = {"Name": "web", "ID": "own"}
    await manager("PUT", "/v1/agent/service/register", own)
    path = "/v1/agent/service/own"
    known = (await client("GET", path))["ContentHash"]
    async with trio.open_nursery() as nursery:
        waiting = f"{path}?hash={known}&wait=10s"
        nursery.start_soon(lambda: client("GET", waiting, status=403))
        await trio.testing.wait_all_tasks_blocked()
        await manager("DELETE", f"/v1/acl/token/{accessor}")
        await manager("PUT", "/v1/agent/service/register", own | {"Port": 1})


async def test_rights_to_a_registration_are_those_to_what_is_overwritten(
    services, manager, with_rules
):
    """The instance is another service's by the time that the registration's turn comes."""
    rules = 'service "web" { policy = "write" } node_prefix "" { policy = "write" }'
    weak = await with_rules(rules)
    place = {"Node": "n1", "Address": "10.0.0.1"}
    mine = place | {"Service": {"ID": "x", "Service": "web"}}
    theirs = place | {"Service": {"ID": "x", "Service": "db"}}
    async with trio.open_nursery() as nursery, services.writes:
        nursery.start_soon(lambda: manager("PUT", "/v1/catalog/register", theirs))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lambda: weak("PUT", "/v1/catalog/register", mine, status=403))
        await trio.testing.wait_all_tasks_blocked()
    found = await manager("GET", "/v1/catalog/node/n1")
    assert found["Services"]["x"]["Service"] == "db"
