import pytest

WEB = 'service "web" { policy = "write" }'
MANAGEMENT = "00000000-0000-0000-0000-000000000001"
INSTANCES = [
    {"Node": "n1", "Address": "10.0.0.1", "Service": {"Service": name}} for name in ("web", "db")
]


async def test_a_policy_is_made_read_changed_and_deleted(manager):
    made = await manager("PUT", "/v1/acl/policy", {"name": "web", "rules": WEB})
    assert (made["Name"], made["Rules"]) == ("web", WEB)
    assert await manager("GET", f"/v1/acl/policy/{made['ID']}") == made
    assert await manager("GET", "/v1/acl/policy/name/web") == made
    changed = await manager("PUT", f"/v1/acl/policy/{made['ID']}", {"Name": "w2", "Rules": ""})
    assert changed["Hash"] != made["Hash"]
    listed = await manager("GET", "/v1/acl/policies")
    assert [one["Name"] for one in listed] == [
        "global-management",
        "builtin/global-read-only",
        "w2",
    ]
    assert all("Rules" not in one for one in listed)
    assert await manager("DELETE", f"/v1/acl/policy/{made['ID']}") is True
    await manager("GET", f"/v1/acl/policy/{made['ID']}", status=404)
    await manager("GET", "/v1/acl/policy/name/w2", status=404)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 500, "Invalid Policy: no Name is set"),
        ({"Name": "a b"}, 500, "invalid Name"),
        ({"Name": "global-management"}, 500, "already exists"),
        ({"Name": "x", "Rules": 'service "web" { policy = "wrte" }'}, 500, "found 'wrte'"),
        ({"Name": "x", "Rulez": ""}, 400, "unknown field Rulez, did you mean Rules?"),
        ({"Name": "x", "ID": MANAGEMENT}, 400, "Cannot specify the ID"),
    ],
)
async def test_what_is_no_policy(manager, body, status, text):
    assert text in await manager("PUT", "/v1/acl/policy", body, status=status)


async def test_built_in_policies_stay(manager):
    path = f"/v1/acl/policy/{MANAGEMENT}"
    body = {"Name": "global-management", "Rules": ""}
    assert "not permitted" in await manager("PUT", path, body, status=500)
    assert "not permitted" in await manager("DELETE", path, status=500)
    assert "service_prefix" in (await manager("GET", path))["Rules"]


async def test_a_changed_policy_counts_at_once(manager, with_rules):
    client = await with_rules(WEB)
    await client("PUT", "/v1/config", {"Kind": "service-defaults", "Name": "web"})
    policy = await manager("GET", "/v1/acl/policy/name/p1")
    path = f"/v1/acl/policy/{policy['ID']}"
    await manager("PUT", path, {"Name": "p1", "Rules": ""})
    text = await client(
        "PUT", "/v1/config", {"Kind": "service-defaults", "Name": "web"}, status=403
    )
    assert "lacks permission 'service:write' on \"web\"" in text
    await manager("DELETE", path)
    shown = await manager("GET", "/v1/acl/tokens")
    named = [policy["Name"] for token in shown for policy in token.get("Policies") or ()]
    assert named
    assert "p1" not in named


async def test_a_policy_of_another_datacenter_grants_nothing(manager, bearing):
    for name in ("dc1", "dc2"):
        body = {"Name": name, "Rules": 'operator = "read"', "Datacenters": [name]}
        await manager("PUT", "/v1/acl/policy", body)
        token = await manager("PUT", "/v1/acl/token", {"Policies": [{"Name": name}]})
        status = 200 if name == "dc1" else 403
        await bearing(token["SecretID"])("GET", "/v1/lockgate/nodes", status=status)


async def test_a_role_joins_policies_and_identities(manager, bearing):
    await manager("PUT", "/v1/acl/policy", {"Name": "op", "Rules": 'operator = "read"'})
    body = {
        "Name": "team",
        "Policies": [{"Name": "op"}],
        "ServiceIdentities": [{"ServiceName": "web"}],
        "NodeIdentities": [{"NodeName": "n1", "Datacenter": "dc1"}],
    }
    role = await manager("PUT", "/v1/acl/role", body)
    assert await manager("GET", "/v1/acl/role/name/team") == role
    assert await manager("GET", f"/v1/acl/role/{role['ID']}") == role
    assert await manager("GET", "/v1/acl/roles") == [role]
    token = await manager("PUT", "/v1/acl/token", {"Roles": [{"Name": "team"}]})
    client = bearing(token["SecretID"])
    await client("GET", "/v1/lockgate/nodes")
    await client("PUT", "/v1/catalog/register", INSTANCES[0])
    text = await client("PUT", "/v1/catalog/register", INSTANCES[1], status=403)
    assert "'service:write' on \"db\"" in text
    await manager("DELETE", f"/v1/acl/role/{role['ID']}")
    await client("GET", "/v1/lockgate/nodes", status=403)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 500, "Invalid Role: no Name is set"),
        ({"Name": "a b"}, 500, "invalid Name"),
        ({"Name": "x", "Policies": [{"Name": "no"}]}, 500, "No such ACL policy"),
        ({"Name": "x", "ID": "y"}, 400, "Cannot specify the ID"),
    ],
)
async def test_what_is_no_role(manager, body, status, text):
    assert text in await manager("PUT", "/v1/acl/role", body, status=status)


async def test_lists_show_what_one_may_see(manager, with_rules):
    for instance in INSTANCES:
        await manager("PUT", "/v1/catalog/register", instance)
    client = await with_rules(WEB + ' node_prefix "" { policy = "read" }')
    assert await client("GET", "/v1/catalog/services") == {"web": []}
    assert await client("GET", "/v1/catalog/service/db") == []
    assert list((await client("GET", "/v1/catalog/node/n1"))["Services"]) == ["web"]
    blind = await with_rules(WEB)
    assert await blind("GET", "/v1/catalog/node/n1") is None
    assert await blind("GET", "/v1/catalog/nodes") == []
    assert await blind("GET", "/v1/health/service/web") == []


async def test_an_instance_is_not_taken_over_by_another_service(manager, with_rules):
    """Who may write `web` may not put it in the place of an instance of `db`."""
    await manager("PUT", "/v1/catalog/register", INSTANCES[1])
    client = await with_rules(WEB)
    body = {"Node": "n1", "SkipNodeUpdate": True, "Service": {"ID": "db", "Service": "web"}}
    text = await client("PUT", "/v1/catalog/register", body, status=403)
    assert "'service:write' on \"db\"" in text


async def test_off_means_off(services):
    import dataclasses

    import httpx

    from coordinator.api.app import make_app
    from coordinator.api.services import OpenAccess

    app = make_app(dataclasses.replace(services, access=OpenAccess()))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://api"
    ) as client:
        for verb, path in (("PUT", "bootstrap"), ("GET", "tokens"), ("GET", "token/self")):
            answer = await client.request(verb, f"/v1/acl/{path}")
            assert (answer.status_code, answer.text) == (401, "ACL support disabled")
        assert (await client.get("/v1/lockgate/nodes")).status_code == 200


async def test_a_sidecar_reads_the_keys_of_the_tokens_that_it_verifies(bearing, manager):
    """As in Consul since 1.16.1: a service identity has no right to the mesh, and needs none for this."""
    keys = {"Local": {"Filename": "/etc/okta.jwks.json"}}
    okta = {"Kind": "jwt-provider", "Name": "okta", "Issuer": "o", "JSONWebKeySet": keys}
    await manager("PUT", "/v1/config", okta)
    identity = {"ServiceIdentities": [{"ServiceName": "web"}]}
    sidecar = bearing((await manager("PUT", "/v1/acl/token", identity))["SecretID"])
    (found,) = await sidecar("GET", "/v1/config/jwt-provider")
    assert (await sidecar("GET", "/v1/config/jwt-provider/okta"))["Issuer"] == found["Issuer"]
    assert "mesh:write" in await sidecar("PUT", "/v1/config", okta, status=403)
    assert await sidecar("GET", "/v1/config/exported-services") == []


async def test_who_is_no_service_reads_no_keys_without_the_right_to_the_mesh(with_rules):
    seeing = await with_rules('service_prefix "" { policy = "read" }')
    assert "mesh:read" in await seeing("GET", "/v1/config/jwt-provider/okta", status=403)
