"""`lockgate acl` against a real API whose access control lists are on."""

import dataclasses
from functools import partial

import pytest

from coordinator.api.serve import serve
from coordinator.audit.entry import announce
from coordinator.audit.log import AuditLog
from tests.coordinator.cli.conftest import run_lockgate
from tests.fakes.api import make_access

RULES = 'operator = "write"\nservice_prefix "" { policy = "read" }\n'


@pytest.fixture
async def admin(services, tmp_path, nursery):
    serving = dataclasses.replace(services, access=make_access(services.wanted))
    bound = await nursery.start(partial(serve, serving, unix_path=tmp_path / "admin.sock"))
    return bound.unix


async def test_from_the_first_token_to_one_that_may_little(lockgate, admin, file):
    first = (await lockgate("acl", "bootstrap", "--format", "json")).json
    assert "no longer allowed" in (await lockgate("acl", "bootstrap", status=1)).err
    rules = file("ops.hcl", RULES)
    await lockgate("acl", "policy", "create", "-name", "ops", "-rules", f"@{rules}")
    made = (
        await lockgate(
            *("acl", "token", "create", "-policy-name=ops", "-description", "on call"),
            *("-service-identity", "web:dc1", "-node-identity=n1:dc1", "-expires-ttl", "8h"),
            *("--format", "json"),
        )
    ).json
    assert [one["Name"] for one in made["Policies"]] == ["ops"]
    token = {"LOCKGATE_HTTP_TOKEN": made["SecretID"]}
    ended = await run_lockgate("nodes", "list", address=admin, env=token)
    assert ended.status == 0, ended
    ended = await run_lockgate("acl", "token", "list", address=admin, env=token)
    assert (ended.status, "lacks permission 'acl:read'" in ended.err) == (1, True)
    ended = await run_lockgate("acl", "token", "read", "-self", address=admin, env=token)
    assert "on call" in ended.out
    listed = (await lockgate("acl", "token", "list")).out
    assert made["AccessorID"] in listed
    assert first["SecretID"] not in listed
    assert made["SecretID"] not in listed
    deleted = await lockgate("acl", "token", "delete", "-id", made["AccessorID"])
    assert deleted.out == f"Token '{made['AccessorID']}' deleted successfully\n"
    ended = await run_lockgate("nodes", "list", address=admin, env=token)
    assert (ended.status, ended.err) == (1, "lockgate: ACL not found\n")


async def test_links_are_replaced_or_merged_by_an_update(lockgate):
    for name in ("a", "b"):
        await lockgate("acl", "policy", "create", "-name", name, "-rules", RULES)
    created = await lockgate("acl", "token", "create", "-policy-name", "a", "--format", "json")
    update = ("acl", "token", "update", "-id", created.json["AccessorID"], "--format", "json")
    merged = (await lockgate(*update, "-policy-name", "b", "-merge-policies")).json
    assert [one["Name"] for one in merged["Policies"]] == ["a", "b"]
    replaced = (await lockgate(*update, "-policy-name", "b", "-description", "x")).json
    assert [one["Name"] for one in replaced["Policies"]] == ["b"]
    kept = (await lockgate(*update, "-service-identity", "web")).json
    assert [one["Name"] for one in kept["Policies"]] == ["b"]
    assert kept["Description"] == "x"
    clone = await lockgate("acl", "token", "clone", "-id", created.json["AccessorID"])
    assert "b, service web" in clone.out


async def test_policies_and_roles(lockgate):
    piped = await lockgate("acl", "policy", "create", "-name", "p", "-rules", "-", stdin=RULES)
    assert "Rules:\n" + RULES.rstrip() in piped.out
    await lockgate("acl", "policy", "update", "-name", "p", "-rules", 'operator = "read"')
    assert 'operator = "read"' in (await lockgate("acl", "policy", "read", "-name", "p")).out
    assert "global-management" in (await lockgate("acl", "policy", "list")).out
    wrong = await lockgate("acl", "policy", "create", "-name", "q", "-rules", "x = 1", status=1)
    assert "no such resource" in wrong.err
    await lockgate("acl", "role", "create", "-name", "r", "-policy-name", "p")
    role = (await lockgate("acl", "role", "read", "-name", "r", "--format", "json")).json
    assert role["Policies"][0]["Name"] == "p"
    assert "r" in (await lockgate("acl", "role", "list")).out
    await lockgate("acl", "role", "delete", "-id", role["ID"])
    await lockgate("acl", "policy", "delete", "-name", "p")
    assert (await lockgate("acl", "role", "list", "--format", "json")).json == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["token", "read"], "say which token"),
        (["policy", "read"], "either -id or -name"),
        (["token", "create", "-node-identity", "n1"], "-node-identity is NODE:DC"),
        (["policy", "create", "-name", "x", "-rules", "@/no/file"], "/no/file: No such file"),
    ],
)
async def test_what_is_missing_is_named(lockgate, arguments, text):
    ended = await lockgate("acl", *arguments, status=1)
    assert text in ended.err
    assert len(ended.err.splitlines()) == 1


async def test_the_audit_log_is_shown(services, tmp_path, nursery):
    log = AuditLog(tmp_path)
    services.wanted.precede(announce)
    serving = dataclasses.replace(services, audit=log, access=make_access(services.wanted))
    bound = await nursery.start(partial(serve, serving, unix_path=tmp_path / "audited.sock"))
    await run_lockgate("acl", "policy", "create", "-name=p", "-rules=", address=bound.unix)
    shown = await run_lockgate("audit", "-n", "5", address=bound.unix)
    assert "PUT /v1/acl/policy" in shown.out
    assert "acl_policies/" in shown.out
    (call,) = (await run_lockgate("audit", "--format", "json", address=bound.unix)).json
    assert call["from"].startswith("unix uid ")
    assert call["who"].startswith("uid ")
    log.close()
