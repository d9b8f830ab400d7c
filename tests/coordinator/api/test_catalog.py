import pytest

EXTERNAL = {
    "Node": "db1",
    "Address": "10.0.0.5",
    "NodeMeta": {"external": "true"},
    "Service": {"Service": "billing", "Port": 5432, "Tags": ["pg"]},
    "Checks": [{"CheckID": "alive", "Name": "alive", "ServiceID": "billing", "Status": "passing"}],
}
GATEWAY = {
    "Node": "gw1",
    "Address": "10.0.0.1",
    "Service": {"Service": "egress", "Kind": "terminating-gateway", "Port": 8443},
}
LINK = {"Kind": "terminating-gateway", "Name": "egress", "Services": [{"Name": "billing"}]}
PROXY = {
    "Name": "web-sidecar-proxy",
    "Kind": "connect-proxy",
    "Port": 21000,
    "Proxy": {"DestinationServiceName": "web"},
}


async def test_a_registration_shows_in_every_view(put, get):
    assert await put("/v1/catalog/register", EXTERNAL) is True
    (node,) = await get("/v1/catalog/nodes")
    assert (node["Node"], node["Address"], node["Datacenter"]) == ("db1", "10.0.0.5", "dc1")
    assert node["Meta"] == {"external": "true"}
    assert await get("/v1/catalog/services") == {"billing": ["pg"]}
    (flat,) = await get("/v1/catalog/service/billing")
    assert (flat["Node"], flat["ServiceID"], flat["ServicePort"]) == ("db1", "billing", 5432)
    assert flat["ServiceWeights"] == {"Passing": 1, "Warning": 1}
    assert list((await get("/v1/catalog/node/db1"))["Services"]) == ["billing"]
    assert (await get("/v1/catalog/node-services/db1"))["Services"][0]["Service"] == "billing"
    assert await get("/v1/catalog/datacenters") == ["dc1"]


async def test_registering_again_updates(put, get):
    await put("/v1/catalog/register", EXTERNAL)
    moved = {"Node": "db1", "Address": "10.0.0.6"}
    await put("/v1/catalog/register", moved)
    assert (await get("/v1/catalog/nodes"))[0]["Address"] == "10.0.0.6"
    assert len(await get("/v1/catalog/service/billing")) == 1


async def test_skip_node_update_keeps_the_node(put, get, api):
    await put("/v1/catalog/register", EXTERNAL)
    other = {"Node": "db1", "SkipNodeUpdate": True, "Service": {"Service": "redis"}}
    await put("/v1/catalog/register", other)
    assert (await get("/v1/catalog/nodes"))[0]["Address"] == "10.0.0.5"
    absent = await api.put("/v1/catalog/register", json=other | {"Node": "db2"})
    assert (absent.status_code, "Address is required" in absent.text) == (400, True)


async def test_health_joins_the_checks_of_node_and_service(put, get):
    await put("/v1/catalog/register", EXTERNAL)
    node_check = {"CheckID": "disk", "Name": "disk", "Status": "warning"}
    await put("/v1/catalog/register", {"Node": "db1", "SkipNodeUpdate": True, "Check": node_check})
    (one,) = await get("/v1/health/service/billing")
    assert {check["CheckID"] for check in one["Checks"]} == {"alive", "disk"}
    assert one["Service"]["Port"] == 5432
    assert one["Node"]["Address"] == "10.0.0.5"
    assert await get("/v1/health/service/billing", passing="") == []
    assert len(await get("/v1/health/service/billing", passing="false")) == 1
    assert len(await get("/v1/health/node/db1")) == 2
    (check,) = await get("/v1/health/checks/billing")
    assert (check["ServiceName"], check["ServiceTags"]) == ("billing", ["pg"])
    assert check["CreateIndex"] == check["ModifyIndex"] > 0
    assert len(await get("/v1/health/state/warning")) == 1
    assert len(await get("/v1/health/state/any")) == 2


async def test_the_connect_view_holds_proxies_and_linked_gateways(put, get):
    await put("/v1/catalog/register", EXTERNAL)
    await put("/v1/catalog/register", GATEWAY)
    assert await get("/v1/health/connect/billing") == []
    await put("/v1/config", LINK)
    (gateway,) = await get("/v1/health/connect/billing")
    assert gateway["Service"]["Kind"] == "terminating-gateway"
    assert gateway["Node"]["Address"] == "10.0.0.1"
    await put("/v1/agent/service/register", PROXY)
    (proxy,) = await get("/v1/catalog/connect/web")
    assert (proxy["Node"], proxy["ServicePort"]) == ("c1", 21000)


async def test_gateway_services_shows_links_and_nothing_for_strangers(put, get):
    wildcard = LINK | {"Services": [{"Name": "*", "SNI": "x.example"}]}
    await put("/v1/config", wildcard)
    await put("/v1/catalog/register", EXTERNAL)
    (row,) = await get("/v1/catalog/gateway-services/egress")
    assert row["Service"] == {"Name": "billing"}
    assert row["FromWildcard"] is True
    assert row["SNI"] == "x.example"
    assert await get("/v1/catalog/gateway-services/nobody") == []


async def test_narrowing_by_tag_and_node_meta(put, get, api):
    await put("/v1/catalog/register", EXTERNAL)
    assert len(await get("/v1/catalog/service/billing", tag="PG")) == 1
    assert await get("/v1/catalog/service/billing", tag="mysql") == []
    assert len(await get("/v1/catalog/nodes", **{"node-meta": "external:true"})) == 1
    assert await get("/v1/catalog/nodes", **{"node-meta": "external:false"}) == []
    assert (await api.get("/v1/catalog/nodes?node-meta=x")).status_code == 400


async def test_absent_nodes_and_services_are_empty_answers(get):
    assert await get("/v1/catalog/node/nobody") is None
    assert await get("/v1/catalog/service/nobody") == []
    assert await get("/v1/health/service/nobody") == []


@pytest.mark.parametrize(
    ("body", "services_left", "checks_left"),
    [
        ({"Node": "db1", "CheckID": "alive"}, 1, 0),
        ({"node": "db1", "serviceid": "billing"}, 0, 0),
        ({"Node": "db1"}, 0, 0),
        ({"Node": "other"}, 1, 1),
    ],
)
async def test_deregistering_takes_what_hangs_on_it(put, get, body, services_left, checks_left):
    await put("/v1/catalog/register", EXTERNAL)
    assert await put("/v1/catalog/deregister", body) is True
    assert len(await get("/v1/catalog/service/billing")) == services_left
    assert len(await get("/v1/health/state/any")) == checks_left


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("register", {}, "Node is required"),
        ("register", {"Node": "a/b", "Address": "1"}, "slash"),
        (
            "register",
            EXTERNAL | {"Service": {"Service": "x", "Port": "many"}},
            "expected an integer",
        ),
        ("register", EXTERNAL | {"Service": {"Service": "x", "Kind": "huh"}}, "unknown kind"),
        ("register", EXTERNAL | {"Service": {"Service": "y"}}, "there is no service 'billing'"),
        ("register", EXTERNAL | {"Checks": "no"}, "Checks"),
        ("deregister", {}, "Must provide node"),
        ("deregister", {"Node": 5}, "Node must be a string"),
    ],
)
async def test_a_bad_registration_gets_one_clear_error(api, get, path, body, text):
    response = await api.put(f"/v1/catalog/{path}", json=body)
    assert (response.status_code, text in response.text) == (400, True), response.text
    assert await get("/v1/catalog/nodes") == []


async def test_another_datacenter_is_not_ours_to_write(api):
    response = await api.put("/v1/catalog/register", json=EXTERNAL | {"Datacenter": "dc2"})
    assert (response.status_code, "No path to datacenter" in response.text) == (500, True)


async def test_an_unknown_state_is_refused(api):
    assert (await api.get("/v1/health/state/poorly")).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/v1/catalog/nodes",
        "/v1/catalog/service/billing",
        "/v1/health/service/billing",
        "/v1/catalog/connect/billing",
        "/v1/health/connect/billing",
    ],
)
async def test_node_metadata_narrows_every_view_of_instances(put, get, path):
    """Whoever asks for one zone and is given all of them dials the wrong one."""
    connect = {"Service": "billing", "Connect": {"Native": True}}
    for zone in ("a", "b"):
        node = {"Node": f"db-{zone}", "Address": "10.0.0.1", "NodeMeta": {"zone": zone, "x": "y"}}
        await put("/v1/catalog/register", node | {"Service": connect})
    assert len(await get(path)) == 2
    (one,) = await get(path, **{"node-meta": ["zone:a", "x:y"]})
    node = one["Node"]
    assert (node if isinstance(node, str) else node["Node"]) == "db-a"
    assert await get(path, **{"node-meta": "zone:c"}) == []


@pytest.mark.parametrize(
    "path", ["/v1/catalog/services", "/v1/health/checks/billing", "/v1/health/state/any"]
)
async def test_node_metadata_narrows_lists_of_names_and_checks(put, get, path):
    for zone in ("a", "b"):
        node = {"Node": f"db-{zone}", "Address": "10.0.0.1", "NodeMeta": {"zone": zone}}
        check = {"CheckID": "c", "ServiceID": "billing", "Status": "passing"}
        service = {"Service": "billing", "Tags": [zone]}
        await put("/v1/catalog/register", node | {"Service": service, "Check": check})
    narrowed = await get(path, **{"node-meta": "zone:a"})
    if path.endswith("services"):
        assert narrowed == {"billing": ["a"]}
    else:
        assert [check["Node"] for check in narrowed] == ["db-a"]
    assert not await get(path, **{"node-meta": "zone:c"})


async def test_parameters_that_only_ask_for_an_order_are_taken(put, get):
    await put("/v1/catalog/register", EXTERNAL)
    for path in ("/v1/catalog/nodes", "/v1/catalog/service/billing", "/v1/health/service/billing"):
        assert len(await get(path, near="_agent", stale="", cached="")) == 1


async def test_the_central_configuration_is_merged_on_request(put, get):
    """The registration's own word counts more than the service's entry, and that more than all proxies'."""
    everybody = {"Config": {"a": 1, "b": 1, "protocol": "tcp"}, "MeshGateway": {"Mode": "local"}}
    await put("/v1/config", {"Kind": "proxy-defaults", "Name": "global"} | everybody)
    entry = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
    await put("/v1/config", entry | {"MaxInboundConnections": 7})
    proxy = PROXY | {"Proxy": PROXY["Proxy"] | {"Config": {"b": 2}}}
    await put("/v1/agent/service/register", proxy)
    (plain,) = await get("/v1/health/connect/web")
    assert plain["Service"]["Proxy"]["Config"] == {"b": 2}
    (merged,) = await get("/v1/health/connect/web", **{"merge-central-config": ""})
    shown = merged["Service"]["Proxy"]
    assert shown["Config"] == {"a": 1, "b": 2, "protocol": "http", "max_inbound_connections": 7}
    assert shown["MeshGateway"] == {"Mode": "local"}
    (flat,) = await get("/v1/catalog/connect/web", **{"merge-central-config": "1"})
    assert flat["ServiceProxy"] == shown


async def test_a_wildcard_link_leads_to_what_is_outside_the_mesh_only(put, get):
    await put("/v1/catalog/register", EXTERNAL)
    await put("/v1/catalog/register", GATEWAY)
    native = {"Name": "api", "Port": 1, "Connect": {"Native": True}}
    await put("/v1/agent/service/register", native)
    await put("/v1/config", LINK | {"Services": [{"Name": "*"}]})
    assert [one["ServiceName"] for one in await get("/v1/catalog/connect/billing")] == ["egress"]
    assert [one["ServiceName"] for one in await get("/v1/catalog/connect/api")] == ["api"]
    assert await get("/v1/catalog/connect/nobody") == []
    named = LINK | {"Services": [{"Name": "nobody"}]}
    await put("/v1/config", named)
    assert [one["ServiceName"] for one in await get("/v1/catalog/connect/nobody")] == ["egress"]
