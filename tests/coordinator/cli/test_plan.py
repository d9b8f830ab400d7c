"""plan and simulate, as a person and a pipeline see them."""

import json

import pytest


def intentions(action):
    return (
        'Kind = "service-intentions"\nName = "billing"\n'
        f'Sources = [ {{ Name = "web", Action = "{action}" }} ]\n'
    )


LIVE = {"id": "n1/0/7", "source": "web", "destination": "billing", "age_seconds": 3.2}


@pytest.fixture
async def allowed(lockgate, file):
    await lockgate("config", "write", file("allow.hcl", intentions("allow")))


async def test_plan_says_all_of_it(lockgate, services, file, allowed):
    services.fleet.live = [LIVE]
    services.fleet.unanswered = ["node 'n2' is not connected"]
    out = (await lockgate("plan", file("deny.hcl", intentions("deny")))).out
    assert "Entries: 1\n  ~ service-intentions/billing\n" in out
    assert '    - Sources[web].Action = "allow"\n' in out
    assert "Newly denied: 1\n  - web => billing\n" in out
    assert "Live connections that would be closed: 1\n  x n1/0/7  web => billing" in out
    assert "not all connections are known: node 'n2' is not connected" in out
    found = (await lockgate("plan", "-delete", "service-intentions/billing", "-format=json")).json
    assert found["closes"]["total"] == 1


async def test_exit_statuses(lockgate, file, allowed):
    deny, allow = file("deny.hcl", intentions("deny")), file("again.hcl", intentions("allow"))
    await lockgate("plan", deny)
    await lockgate("plan", "-detailed-exitcode", deny, status=2)
    same = await lockgate("plan", "-detailed-exitcode", allow)
    assert same.out == "Nothing would change.\n"
    assert "say what" in (await lockgate("plan", status=1)).err
    assert "KIND/NAME" in (await lockgate("plan", "-delete", "x", status=1)).err


async def test_problems_are_those_of_validate_with_file_and_line(lockgate, file):
    bad = file("bad.hcl", intentions("maybe"))
    ended = await lockgate("plan", "-detailed-exitcode", bad, status=1)
    assert f"{bad}:3" in ended.err
    found = (await lockgate("plan", "-format=json", bad, status=1)).json
    assert found["valid"] is False
    assert found["problems"][0]["line"] == 3
    l7 = file(
        "l7.hcl",
        'Kind = "service-intentions"\nName = "shop"\n'
        'Sources = [ { Name = "web", Permissions = [ { Action = "allow", '
        'HTTP { PathPrefix = "/" } } ] } ]\n',
    )
    only_the_server_knows = await lockgate("plan", l7, status=1)
    assert f"{l7}:1: service-intentions/shop: Sources[0].Permissions" in only_the_server_knows.err
    service = file("service.hcl", 'service { name = "x" port = 1 }')
    assert "only configuration entries" in (await lockgate("plan", service, status=1)).err


async def test_simulate_reads_json_and_json_lines(lockgate, services, file, allowed):
    deny = file("deny.hcl", intentions("deny"))
    lines = file("flows.jsonl", "\n".join(json.dumps(LIVE | {"id": str(n)}) for n in range(3)))
    out = (await lockgate("simulate", "-flows", lines, deny, status=2)).out
    assert out.startswith("3 connections judged, 0 as they were decided\n")
    assert out.splitlines()[-1].split()[:4] == ["denied", "web", "billing", "3"]
    array = file("flows.json", json.dumps([LIVE]))
    same = await lockgate("simulate", "-flows", array, file("a.hcl", intentions("allow")))
    assert same.out == "1 connections judged, 1 as they were decided\n"
    services.fleet.live = [LIVE]
    asked = (await lockgate("simulate", deny, "-format=json", status=2)).json
    assert asked["differs"][0]["examples"] == ["n1/0/7"]
    broken = file("broken.jsonl", '{"id": 1}\n{\n')
    assert "line 2" in (await lockgate("simulate", "-flows", broken, deny, status=1)).err
    assert "No such file" in (await lockgate("simulate", "-flows", "/nowhere", deny, status=1)).err
