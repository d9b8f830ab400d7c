import pytest
import trio

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


async def test_registering_again_is_no_news_of_its_health(put, get):
    await put("/v1/agent/service/register", WEB)
    await put("/v1/agent/check/pass/service:web", note="fine")
    await put("/v1/agent/service/register", WEB | {"Port": 81})
    check = (await get("/v1/agent/checks"))["service:web"]
    assert (check["Status"], check["Output"]) == ("passing", "fine")


async def test_other_checks_go_when_the_definition_is_all_there_is(put, get):
    await put("/v1/agent/service/register", WEB)
    other = {"Name": "extra", "ServiceID": "web", "TTL": "1m"}
    await put("/v1/agent/check/register", other)
    await put("/v1/agent/service/maintenance/web", enable="true")
    await put("/v1/agent/service/register", WEB)
    assert len(await get("/v1/agent/checks")) == 3
    await put("/v1/agent/service/register", WEB, **{"replace-existing-checks": ""})
    assert set(await get("/v1/agent/checks")) == {"service:web", "_service_maintenance:web"}


async def test_a_check_of_its_own_belongs_to_the_node_or_to_a_service(put, get, api):
    await put("/v1/agent/check/register", {"Name": "disk", "Notes": "n", "ttl": 30_000_000_000})
    disk = (await get("/v1/agent/checks"))["disk"]
    assert (disk["Type"], disk["Notes"], disk["ServiceID"]) == ("ttl", "n", "")
    assert disk["Definition"] == {"TTL": "30s"}
    await put("/v1/agent/service/register", WEB | {"Tags": ["a"]})
    http = {"Name": "h", "ID": "h1", "ServiceID": "web", "HTTP": "http://x/", "Interval": "10s"}
    await put("/v1/agent/check/register", http | {"Status": "passing", "Timeout": "2s"})
    h1 = (await get("/v1/agent/checks"))["h1"]
    assert (h1["ServiceName"], h1["ServiceTags"], h1["Status"]) == ("web", ["a"], "passing")
    assert (h1["Interval"], h1["Timeout"]) == ("10s", "2s")
    told = await api.put("/v1/agent/check/pass/h1")
    assert (told.status_code, told.text) == (500, 'CheckID "h1" does not have associated TTL')
    await put("/v1/agent/check/deregister/h1")
    assert "h1" not in await get("/v1/agent/checks")


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("check/register", {"TTL": "1s"}, 400, "Missing check name"),
        ("check/register", {"Name": "x"}, 400, "needs a TTL"),
        ("check/register", {"Name": "x", "TTL": "1s", "ServiceID": "no"}, 400, "no service 'no'"),
        ("check/register", {"Name": "x", "args": ["sh"], "Interval": "1s"}, 400, "script checks"),
        ("service/register", WEB | {"Check": {"udp": "a:1", "interval": "1s"}}, 400, "udp checks"),
        ("check/deregister/nobody", None, 404, "Unknown check ID"),
        ("service/maintenance/nobody?enable=true", None, 404, "Unknown service ID"),
        ("service/maintenance/nobody", None, 400, "Missing value for enable"),
        ("maintenance?enable=maybe", None, 400, "Invalid value for enable"),
    ],
)
async def test_what_cannot_be_done_is_refused(api, path, body, status, text):
    response = await api.put(f"/v1/agent/{path}", json=body)
    assert (response.status_code, text in response.text) == (status, True), response.text


async def test_a_flood_of_reports_is_no_flood_of_writes(put, get, wanted):
    await put("/v1/agent/service/register", WEB)
    await put("/v1/agent/check/pass/service:web")
    before = wanted.state.revision
    for count in range(50):
        await put("/v1/agent/check/pass/service:web", note=f"{count}")
    assert wanted.state.revision == before
    assert (await get("/v1/agent/checks"))["service:web"]["Output"] == "49"
    assert (await get("/v1/health/checks/web"))[0]["Output"] == ""
    await put("/v1/agent/check/fail/service:web", note="x" * 5000)
    (check,) = await get("/v1/health/checks/web")
    assert (check["Status"], "captured 4096 of 5000" in check["Output"]) == ("critical", True)


async def test_maintenance_is_a_critical_check_with_a_reason(put, get):
    await put("/v1/agent/service/register", {"Name": "web", "Port": 80})
    await put("/v1/agent/service/maintenance/web", enable="true", reason="a rest")
    (check,) = (await get("/v1/health/service/web"))[0]["Checks"]
    assert (check["CheckID"], check["Status"]) == ("_service_maintenance:web", "critical")
    assert (check["Name"], check["Notes"]) == ("Service Maintenance Mode", "a rest")
    await put("/v1/agent/service/maintenance/web", enable="false")
    assert (await get("/v1/health/service/web"))[0]["Checks"] == []
    await put("/v1/agent/maintenance", enable="True")
    assert "no reason" in (await get("/v1/agent/checks"))["_node_maintenance"]["Notes"]
    await put("/v1/agent/maintenance", enable="False")
    assert await get("/v1/agent/checks") == {}


async def test_health_in_one_word(put, api):
    async def asked(path, **params):
        answer = await api.get(f"/v1/agent/health/service/{path}", params=params)
        return answer.status_code, answer

    assert (await asked("id/web"))[0] == 404
    assert (await asked("name/web"))[0] == 404
    await put("/v1/agent/service/register", WEB)
    for verb, code, word in (
        ("fail", 503, "critical"),
        ("warn", 429, "warning"),
        ("pass", 200, "passing"),
    ):
        await put(f"/v1/agent/check/{verb}/service:web")
        status, answer = await asked("id/web")
        assert (status, answer.json()["AggregatedStatus"]) == (code, word)
        assert answer.json()["Service"]["ID"] == "web"
    await put("/v1/agent/service/register", {"Name": "web", "ID": "web-2"})
    await put("/v1/agent/service/maintenance/web-2", enable="true")
    status, answer = await asked("name/web", format="text")
    assert (status, answer.text) == (503, "maintenance")
    assert len((await asked("name/web"))[1].json()) == 2


async def test_one_service_with_the_hash_of_its_content(put, get, api, autojump_clock):
    await put("/v1/agent/service/register", WEB)
    found = await get("/v1/agent/service/web")
    assert (found["Service"], found["Datacenter"]) == ("web", "dc1")
    same = await get("/v1/agent/service/web", hash=found["ContentHash"], wait="5s")
    assert same["ContentHash"] == found["ContentHash"]
    seen = []
    async with trio.open_nursery() as nursery:

        async def wait():
            seen.append(await get("/v1/agent/service/web", hash=found["ContentHash"], wait="1m"))

        nursery.start_soon(wait)
        await trio.sleep(5)
        assert seen == []
        await put("/v1/agent/service/register", WEB | {"Port": 81})
    assert seen[0]["Port"] == 81
    assert trio.current_time() < 20
    assert (await api.get("/v1/agent/service/nobody")).status_code == 404


async def test_members_are_the_coordinator_and_the_gateway_hosts(get, fleet):
    fleet.nodes.append({"name": "n1", "state": "gone"})
    own, host = await get("/v1/agent/members")
    assert (own["Name"], own["Addr"], own["Status"]) == ("c1", "127.0.0.1", 1)
    assert (host["Name"], host["Status"]) == ("n1", 4)
    assert [one["Name"] for one in await get("/v1/agent/members", wan="1")] == ["c1.dc1"]


async def test_metrics_in_both_forms(get, api):
    found = await get("/v1/agent/metrics")
    assert found["Timestamp"] == "2027-01-15 08:00:00 +0000 UTC"
    assert "lockgate_snapshot_nacks_total" in [one["Name"] for one in found["Counters"]]
    page = await api.get("/v1/agent/metrics?format=prometheus")
    assert "# TYPE lockgate_build_info gauge" in page.text


async def test_a_sidecar_is_as_well_as_its_service_unless_it_says_otherwise(put, get):
    await put("/v1/agent/service/register", WEB | {"Connect": {"SidecarService": {}}})
    alias = (await get("/v1/agent/checks"))["service:web-sidecar-proxy"]
    assert (alias["Type"], alias["Definition"]) == ("alias", {"AliasService": "web"})
    assert alias["Name"] == "Connect Sidecar Aliasing web"
    own = {"SidecarService": {"Check": {"CheckID": "mine", "TTL": "1m"}}}
    api = {"Name": "api", "Connect": own}
    await put("/v1/agent/service/register", api)
    about = [c["CheckID"] for c in await get("/v1/health/checks/api-sidecar-proxy")]
    assert about == ["mine"]


@pytest.mark.parametrize(
    ("method", "path", "instead"),
    [
        ("PUT", "join/10.0.0.1", "lockgate nodes allow"),
        ("PUT", "leave", "lockgate drain"),
        ("PUT", "force-leave/gw1", "lockgate nodes revoke"),
        ("PUT", "reload", "restart the coordinator"),
        ("GET", "monitor", "/v1/lockgate/monitor"),
        ("GET", "host", "monitoring"),
        ("PUT", "token/agent", "no tokens of its own"),
        ("GET", "version", "not supported yet"),
    ],
)
async def test_what_only_an_agent_of_consul_does_says_what_there_is_instead(
    api, method, path, instead
):
    answer = await api.request(method, f"/v1/agent/{path}")
    assert (answer.status_code, instead in answer.text) == (501, True)
