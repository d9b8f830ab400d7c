"""validate, config, services, catalog."""

import json

EGRESS = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [{ Name = "billing" }]\n'
BILLING = """
service {
  name = "billing"
  port = 5432
  tags = ["pg"]
  check { id = "alive", ttl = "30s", status = "passing" }
  connect { sidecar_service {} }
}
"""
EXTERNAL = json.dumps(
    {"Node": "db1", "Address": "10.0.0.5", "Service": {"Service": "redis", "Port": 6379}}
)
BROKEN = """
Kind = "service-intentions"
Sources = [
  { Name = "web", Action = "maybe" },
  { Action = "allow" },
]
"""


async def test_validate_tells_every_problem_with_file_and_line(alone, file):
    path = file("broken.hcl", BROKEN)
    ended = await alone("validate", path, "--format", "json")
    assert ended.status == 1
    assert ended.json["valid"] is False
    assert len(ended.json["problems"]) == 3
    for problem in ended.json["problems"]:
        assert set(problem) == {"file", "line", "path", "message"}
        assert problem["file"] == str(path)
        assert problem["line"] > 0
    text = await alone("validate", path)
    assert (text.status, text.out, len(text.err.splitlines())) == (1, "", 3)


async def test_validate_accepts_what_is_valid(alone, file):
    files = [file("egress.hcl", EGRESS), file("billing.hcl", BILLING), file("x.json", EXTERNAL)]
    ended = await alone("validate", *files, "-format=json")
    assert ended.json == {"valid": True, "problems": [], "warnings": []}
    assert (await alone("validate", *files)).out == "Valid: 3 definitions\n"


async def test_validate_only_warns_of_what_the_files_alone_cannot_tell(alone, file):
    entry = {
        "Kind": "service-intentions",
        "Name": "billing",
        "Sources": [
            {"Name": "web", "Permissions": [{"Action": "allow", "HTTP": {"PathPrefix": "/"}}]}
        ],
    }
    ended = await alone("validate", file("i.json", json.dumps(entry)), "-format=json")
    assert (ended.status, ended.json["valid"]) == (0, True)
    told = [warning["message"] for warning in ended.json["warnings"]]
    assert sum("as far as these files tell" in message for message in told) == 1


async def test_config_write_read_list_delete(lockgate, file):
    path = file("egress.hcl", EGRESS)
    written = await lockgate("config", "write", path)
    assert written.out == "Config entry written: terminating-gateway/egress\n"
    read = await lockgate("config", "read", "-kind", "terminating-gateway", "-name", "egress")
    assert read.json["Services"] == [{"Name": "billing"}]
    assert read.json["ModifyIndex"] > 0
    listed = await lockgate("config", "list", "--kind=terminating-gateway")
    assert listed.out == "egress\n"
    deleted = await lockgate("config", "delete", "-filename", path)
    assert deleted.out == "Config entry deleted: terminating-gateway/egress\n"
    gone = await lockgate(
        "config", "read", "-kind", "terminating-gateway", "-name", "egress", status=1
    )
    assert "Config entry not found" in gone.err


async def test_config_of_an_entry_without_a_name(lockgate, file):
    path = file("mesh.hcl", 'Kind = "mesh"\nPeering { PeerThroughMeshGateways = true }\n')
    written = await lockgate("config", "write", path)
    assert written.out == "Config entry written: mesh/mesh\n"
    assert "not enforced yet: cluster peering" in written.err
    assert (await lockgate("config", "list", "-kind=mesh")).out == "mesh\n"
    read = await lockgate("config", "read", "-kind=mesh", "-name=mesh")
    assert read.json["Peering"] == {"PeerThroughMeshGateways": True}
    assert (await lockgate("config", "delete", "-filename", path)).out
    assert (await lockgate("config", "list", "-kind=mesh")).out == ""


async def test_config_write_takes_standard_input_and_several_entries(lockgate):
    entries = [
        {"Kind": "service-defaults", "Name": "billing", "Protocol": "http"},
        {"Kind": "proxy-defaults", "Config": {"protocol": "http"}},
    ]
    ended = await lockgate("config", "write", "-", "-format=json", stdin=json.dumps(entries))
    assert ended.json == {
        "written": [
            {"kind": "service-defaults", "name": "billing"},
            {"kind": "proxy-defaults", "name": "global"},
        ]
    }


async def test_config_write_with_cas(lockgate, file):
    path = file("egress.hcl", EGRESS)
    await lockgate("config", "write", "-cas", "-modify-index", "0", path)
    lost = await lockgate("config", "write", "-cas", "-modify-index=0", path, status=1)
    assert "not updated" in lost.err
    await lockgate("config", "write", "-cas=false", path)


async def test_config_write_refuses_what_it_cannot_write_before_it_writes(lockgate, file):
    broken = await lockgate("config", "write", file("broken.hcl", BROKEN), status=1)
    assert len(broken.err.splitlines()) == 1
    assert "broken.hcl:4" in broken.err
    both = [file("egress.hcl", EGRESS), file("billing.hcl", BILLING)]
    mixed = await lockgate("config", "write", *both, status=1)
    assert "use lockgate services register" in mixed.err
    assert (await lockgate("config", "list", "-kind", "terminating-gateway")).out == ""


async def test_a_warning_is_told_and_the_entry_written(lockgate, file):
    text = EGRESS.replace('"billing"', '"billing", CAFile = "/ca.pem"')
    ended = await lockgate("config", "write", file("egress.hcl", text))
    assert "WARNING: " in ended.err


async def test_services_register_and_deregister(lockgate, file):
    files = [file("billing.hcl", BILLING), file("redis.json", EXTERNAL)]
    registered = await lockgate("services", "register", *files)
    assert registered.out == "Registered service: billing\nRegistered service: db1/redis\n"
    services = await lockgate("catalog", "services", "-format", "json")
    assert services.json == {"billing": ["pg"], "billing-sidecar-proxy": ["pg"], "redis": []}
    nodes = await lockgate("catalog", "nodes", "-service", "redis")
    assert nodes.out.splitlines()[1].split() == ["db1", "10.0.0.5", "dc1"]
    await lockgate("services", "deregister", files[1])
    await lockgate("services", "deregister", "-id", "billing")
    assert (await lockgate("catalog", "services", "-format", "json")).json == {}
    unknown = await lockgate("services", "deregister", "-id", "billing", status=1)
    assert "Unknown service ID" in unknown.err


async def test_a_registered_check_keeps_what_the_file_says(lockgate, file, services):
    await lockgate("services", "register", file("billing.hcl", BILLING))
    record = services.wanted.state.get("checks", "c1/alive")
    assert (record.value["Status"], record.value["Definition"]) == ("passing", {"TTL": "30s"})


async def test_an_entry_is_no_service(lockgate, file):
    refused = await lockgate("services", "register", file("egress.hcl", EGRESS), status=1)
    assert "use lockgate config write" in refused.err


async def test_catalog_gateway_services(lockgate, file):
    await lockgate("config", "write", file("egress.hcl", EGRESS))
    table = await lockgate("catalog", "gateway-services", "egress")
    assert table.out.splitlines()[0].split()[:2] == ["Gateway", "Service"]
    assert table.out.splitlines()[1].split()[:3] == ["egress", "billing", "no"]
    every = await lockgate("catalog", "gateway-services", "-format=json")
    assert every.json[0]["Service"] == {"Name": "billing"}


async def test_catalog_gateway_services_of_an_ingress_gateway(lockgate, file):
    listener = 'Listeners = [{ Port = 81 Services = [{ Name = "db" }] }]'
    entry = file("in.hcl", f'Kind = "ingress-gateway"\nName = "in"\n{listener}\n')
    await lockgate("config", "write", entry)
    table = await lockgate("catalog", "gateway-services")
    assert table.out.splitlines()[1].split() == ["in", "db", "81", "tcp", "name"]


async def test_writing_nothing_is_an_error(lockgate, file):
    """An empty pipe is what a script that failed leaves, not what somebody meant."""
    empty = file("empty.hcl", "# nothing\n")
    for command in ("config write", "services register", "services deregister"):
        ended = await lockgate(*command.split(), empty, status=1)
        assert (ended.out, str(empty) in ended.err.splitlines()[-1]) == ("", True)
    assert "nothing to write in -" in (await lockgate("config", "write", "-", status=1)).err


async def test_a_list_can_be_filtered(lockgate, file):
    text = 'Kind = "service-defaults"\nName = "{0}"\nProtocol = "{1}"\n'
    for name, protocol in (("web", "http"), ("db", "tcp")):
        await lockgate("config", "write", file(f"{name}.hcl", text.format(name, protocol)))
    listing = ("config", "list", "-kind", "service-defaults")
    assert (await lockgate(*listing, "-filter", "Protocol == http")).out == "web\n"
    wrong = await lockgate(*listing, "-filter", "Nonsense ==", status=1)
    assert wrong.err.count("\n") == 1
