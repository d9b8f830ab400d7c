import pytest

WEB = {"Name": "web", "Port": 8080, "Check": {"TTL": "30s"}}


async def test_a_service_is_registered_on_the_coordinators_own_node(put, get):
    assert await put("/v1/agent/service/register", WEB) is None
    assert (await get("/v1/agent/services"))["web"]["Port"] == 8080
    (flat,) = await get("/v1/catalog/service/web")
    assert (flat["Node"], flat["Address"]) == ("c1", "127.0.0.1")


async def test_a_check_starts_critical_and_says_what_it_is_told(put, get):
    await put("/v1/agent/service/register", WEB)

    async def status():
        return (await get("/v1/agent/checks"))["service:web"]["Status"]

    assert await status() == "critical"
    for verb, expected in (("pass", "passing"), ("warn", "warning"), ("fail", "critical")):
        await put(f"/v1/agent/check/{verb}/service:web", note="so it is")
        assert await status() == expected
    await put("/v1/agent/check/update/service:web", {"Status": "passing", "Output": "fine"})
    (check,) = await get("/v1/health/checks/web")
    assert (check["Status"], check["Output"]) == ("passing", "fine")


async def test_a_sidecar_gets_a_port_that_is_free_and_keeps_it(put, get):
    with_sidecar = WEB | {"Connect": {"SidecarService": {}}}
    await put("/v1/agent/service/register", with_sidecar)
    await put("/v1/agent/service/register", with_sidecar | {"Name": "api", "ID": "api"})
    await put("/v1/agent/service/register", with_sidecar)
    ports = {i: s["Port"] for i, s in (await get("/v1/agent/services")).items()}
    assert ports["web-sidecar-proxy"] == 21000
    assert ports["api-sidecar-proxy"] == 21001


async def test_deregistering_takes_checks_and_sidecar_along(put, get, api):
    await put("/v1/agent/service/register", WEB | {"Connect": {"SidecarService": {}}})
    await put("/v1/agent/service/deregister/web")
    assert await get("/v1/agent/services") == {}
    assert await get("/v1/health/state/any") == []
    again = await api.put("/v1/agent/service/deregister/web")
    assert (again.status_code, "Unknown service ID" in again.text) == (404, True)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("service/register", {}, 400),
        ("service/register", {"Name": "gw", "Kind": "mesh-gateway"}, 400),
        ("service/register", [1], 400),
        ("check/pass/nobody", None, 404),
        ("check/update/nobody", {"Status": "passing"}, 404),
        ("check/update/nobody", {"Status": "great"}, 400),
    ],
)
async def test_a_bad_write_gets_one_clear_error(api, path, body, status):
    response = await api.put(f"/v1/agent/{path}", json=body)
    assert response.status_code == status
    assert response.text


async def test_self_names_node_and_datacenter(get):
    config = (await get("/v1/agent/self"))["Config"]
    assert config["DefaultIntentionPolicy"] == "deny"
    assert (config["NodeName"], config["Datacenter"], config["Server"]) == ("c1", "dc1", True)
