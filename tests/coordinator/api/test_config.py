import httpx
import pytest

DEFAULTS = {"Kind": "service-defaults", "Name": "billing", "Protocol": "http"}
WITH_PERMISSIONS = {
    "Kind": "service-intentions",
    "Name": "billing",
    "Sources": [{"Name": "web", "Permissions": [{"Action": "allow", "HTTP": {"PathPrefix": "/"}}]}],
}


async def test_an_entry_is_written_read_listed_and_deleted(put, get, api):
    assert await put("/v1/config", DEFAULTS) is True
    read = await get("/v1/config/service-defaults/billing")
    assert read["Protocol"] == "http"
    assert read["CreateIndex"] == read["ModifyIndex"] > 0
    assert await get("/v1/config/service-defaults") == [read]
    deleted = await api.delete("/v1/config/service-defaults/billing")
    assert deleted.json() == {}
    assert await get("/v1/config/service-defaults") == []


async def test_an_absent_entry_is_404_with_an_index_to_wait_for(api):
    response = await api.get("/v1/config/service-defaults/billing")
    assert response.status_code == 404
    assert response.text == 'Config entry not found for "service-defaults" / "billing"'
    assert int(response.headers["X-Consul-Index"]) >= 1


async def test_keys_are_read_in_any_case_and_in_snake_case(put, get):
    body = {"kind": "terminating-gateway", "name": "egress", "services": [{"NAME": "billing"}]}
    await put("/v1/config", body)
    read = await get("/v1/config/terminating-gateway/egress")
    assert read["Services"] == [{"Name": "billing"}]


async def test_the_mesh_entry_is_addressed_by_a_name_that_it_does_not_hold(put, get, api):
    assert await put("/v1/config", {"Kind": "mesh", "ValidateClusters": True}) is True
    read = await get("/v1/config/mesh/mesh")
    assert read.keys() == {"Kind", "ValidateClusters", "CreateIndex", "ModifyIndex"}
    assert await put("/v1/config", read, cas=str(read["ModifyIndex"])) is True
    assert [entry["Kind"] for entry in await get("/v1/config/mesh")] == ["mesh"]
    assert (await api.delete("/v1/config/mesh/mesh")).json() == {}
    assert await get("/v1/config/mesh") == []


async def test_cas_writes_only_at_the_expected_index(put, get):
    assert await put("/v1/config", DEFAULTS, cas="5") is False
    assert await put("/v1/config", DEFAULTS, cas="0") is True
    assert await put("/v1/config", DEFAULTS | {"Protocol": "grpc"}, cas="0") is False
    index = (await get("/v1/config/service-defaults/billing"))["ModifyIndex"]
    assert await put("/v1/config", DEFAULTS | {"Protocol": "grpc"}, cas=str(index)) is True


async def test_cas_deletes_only_at_the_expected_index(put, get, api):
    await put("/v1/config", DEFAULTS)
    path = "/v1/config/service-defaults/billing"
    assert (await api.delete(path, params={"cas": "1000"})).json() is False
    index = (await get(path))["ModifyIndex"]
    assert (await api.delete(path, params={"cas": str(index)})).json() is True


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "the body is empty"),
        (b"{", 400, "Request decode failed"),
        (b"[1]", 400, "expected a JSON object, found a list"),
        (b'"x"', 400, "expected a JSON object, found a string"),
        (b"\xff{}", 400, "Request decode failed"),
        (b"{}", 400, "Kind is required"),
        (b'{"Kind": 5}', 400, "Kind must be a string"),
        (b'{"Kind": "nonsense", "Name": "x"}', 400, "unknown kind"),
        (b'{"Kind": "http-route", "Name": "x"}', 400, "not supported yet"),
        (b'{"Kind": "service-defaults", "Name": "x", "Nope": 1}', 400, "unknown field Nope"),
        (b'{"Kind": "service-defaults", "Name": {"a": 1}}', 400, "Name: expected a string"),
        (b'{"Kind": "service-defaults"}', 500, "Name is required"),
        (b'{"Kind": "service-intentions", "Name": "x"}', 500, "at least one source"),
        (b'{"a":' * 100_000, 400, "Request decode failed"),
    ],
)
async def test_a_bad_body_gets_one_clear_error(api, body, status, text):
    response = await api.put("/v1/config", content=body)
    assert (response.status_code, text in response.text) == (status, True), response.text
    assert response.headers["content-type"].startswith("text/plain")


async def test_every_problem_is_told(api):
    sources = [{"Name": ""}, {"Name": "a*", "Action": "maybe"}]
    body = {"Kind": "service-intentions", "Name": "x", "Sources": sources}
    lines = (await api.put("/v1/config", json=body)).text.splitlines()
    assert len(lines) >= 3


async def test_a_warning_does_not_stop_the_write(api):
    body = {
        "Kind": "terminating-gateway",
        "Name": "egress",
        "Services": [{"Name": "billing", "CAFile": "/ca.pem"}],
    }
    response = await api.put("/v1/config", json=body)
    assert response.json() is True
    assert "without SNI" in response.headers["X-Lockgate-Warning"]


async def test_a_write_that_breaks_a_rule_between_entries_changes_nothing(api, put, get):
    response = await api.put("/v1/config", json=WITH_PERMISSIONS)
    assert response.status_code == 500
    assert "incompatible with L7 permissions" in response.text
    assert await get("/v1/config/service-intentions") == []
    await put("/v1/config", DEFAULTS)
    assert await put("/v1/config", WITH_PERMISSIONS) is True


async def test_a_lost_cas_is_told_before_a_broken_rule(put):
    assert await put("/v1/config", WITH_PERMISSIONS, cas="99") is False


async def test_a_delete_that_breaks_a_rule_between_entries_changes_nothing(api, put, get):
    await put("/v1/config", DEFAULTS)
    await put("/v1/config", WITH_PERMISSIONS)
    response = await api.delete("/v1/config/service-defaults/billing")
    assert response.status_code == 500
    assert (await get("/v1/config/service-defaults/billing"))["Protocol"] == "http"


async def test_kinds_in_the_path_are_known_or_refused(api, get):
    assert await get("/v1/config/service-router") == []
    for verb in ("GET", "DELETE"):
        response = await api.request(verb, "/v1/config/nonsense/x")
        assert (response.status_code, "invalid config entry kind" in response.text) == (400, True)


@pytest.mark.parametrize("cas", ["x", "-1", "1.5", ""])
async def test_a_cas_that_is_no_index_is_refused(api, cas):
    response = await api.put("/v1/config", params={"cas": cas}, json=DEFAULTS)
    assert (response.status_code, "cas" in response.text) == (400, True)


async def test_unknown_paths_say_whether_we_will_have_them(api):
    assert (await api.get("/v1/nope")).status_code == 404
    later = await api.get("/v1/session/key")
    assert (later.status_code, "not supported yet" in later.text) == (501, True)
    wrong: httpx.Response = await api.post("/v1/config")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "PUT")


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"dc": "dc2"}, 500),
        ({"ns": "team"}, 400),
        ({"partition": "p"}, 400),
        ({"filter": "Name x"}, 400),
        ({"peer": "east"}, 501),
        ({"stale": "", "consistent": ""}, 400),
        ({"dc": "dc1", "ns": "default", "stale": ""}, 200),
    ],
)
async def test_parameters_that_would_change_the_answer_are_not_ignored(api, params, status):
    assert (await api.get("/v1/config/mesh", params=params)).status_code == status


async def test_pretty_is_indented(api):
    assert (await api.get("/v1/config/mesh")).text == "[]"
    text = (await api.get("/v1/agent/self", params={"pretty": ""})).text
    assert text.startswith('{\n    "Config": {\n')
