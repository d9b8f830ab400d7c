"""`/v1/discovery-chain`: the chain out of the stored entries, with overrides, and as a blocking query."""

import pytest
import trio

DEFAULTS = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
RESOLVER = {"Kind": "service-resolver", "Name": "web", "ConnectTimeout": "9s"}
PATH = "/v1/discovery-chain/web"


async def test_a_service_nobody_knows_has_the_default_chain(get):
    chain = (await get(PATH))["Chain"]
    assert (chain["ServiceName"], chain["Default"], chain["Protocol"]) == ("web", True, "tcp")
    (target,) = chain["Targets"].values()
    assert target["SNI"].startswith("web.default.dc1.internal.")


async def test_stored_entries_make_the_chain(put, get):
    await put("/v1/config", DEFAULTS)
    await put("/v1/config", RESOLVER)
    chain = (await get(PATH))["Chain"]
    assert chain["Protocol"] == "http"
    (node,) = chain["Nodes"].values()
    assert node["Resolver"]["ConnectTimeout"] == "9s"


async def test_it_is_compiled_for_another_datacenter(get):
    chain = (await get(PATH, **{"compile-dc": "east"}))["Chain"]
    assert (chain["Datacenter"], list(chain["Targets"])) == ("east", ["web.default.default.east"])


@pytest.mark.parametrize(
    "body",
    [
        {"OverrideConnectTimeout": "7s"},
        {"overrideconnecttimeout": 7_000_000_000},
    ],
)
async def test_overrides_of_the_connect_timeout(api, body):
    chain = (await api.post(PATH, json=body)).json()["Chain"]
    assert len(chain["CustomizationHash"]) == 8
    (target,) = chain["Targets"].values()
    assert target["ConnectTimeout"] == "7s"


async def test_overrides_of_protocol_and_mesh_gateway(api, put):
    await put("/v1/config", DEFAULTS)
    body = {"OverrideProtocol": "GRPC", "OverrideMeshGateway": {"Mode": "remote"}}
    chain = (await api.post(PATH, json=body)).json()["Chain"]
    (target,) = chain["Targets"].values()
    assert (chain["Protocol"], target["MeshGateway"]) == ("grpc", {"Mode": "remote"})


async def test_overrides_that_ask_for_nothing(api):
    body = {"OverrideProtocol": "", "OverrideMeshGateway": {}, "OverrideConnectTimeout": ""}
    assert "CustomizationHash" not in (await api.post(PATH, json=body)).json()["Chain"]


@pytest.mark.parametrize(
    "body",
    [
        {"OverrideConnectTimeout": "soon"},
        {"OverrideConnectTimeout": True},
        {"OverrideConnectTimeout": 2**70},
        {"OverrideMeshGateway": {"Mode": "far"}},
        {"OverrideMeshGateway": "local"},
        {"OverrideProtocol": 7},
    ],
)
async def test_overrides_that_cannot_be_read(api, body):
    response = await api.post(PATH, json=body)
    assert response.status_code == 400
    assert next(iter(body)) in response.text


async def test_a_query_waits_for_an_entry(put, api):
    first = await api.get(PATH)
    index = first.headers["X-Consul-Index"]
    answers = []

    async def ask(verb, **more):
        params = {"index": index, "wait": "10s"}
        answers.append(await api.request(verb, PATH, params=params, **more))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "GET")
            await trio.testing.wait_all_tasks_blocked()
            await put("/v1/config", DEFAULTS)
        await api.post(PATH, json={}, params={"index": "1", "wait": "10s"})
    assert answers[0].json()["Chain"]["Protocol"] == "http"
