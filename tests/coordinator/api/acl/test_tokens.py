import uuid

import pytest
import trio
import trio.testing

from coordinator.acl.directory import hash_secret
from coordinator.acl_expiry import INTERVAL_SECONDS, forget_expired
from coordinator.store.records import Put
from coordinator.store.tables import ACL_TOKENS, BUS_TOKENS

ANONYMOUS = "00000000-0000-0000-0000-000000000002"
READ_WEB = 'service "web" { policy = "read" }'


async def test_the_first_token_is_had_once(stranger, first, manager):
    assert first["ID"] == first["SecretID"]
    assert [link["Name"] for link in first["Policies"]] == ["global-management"]
    refused = await stranger("PUT", "/v1/acl/bootstrap", status=403)
    assert refused.startswith("Permission denied: ACL bootstrap no longer allowed (reset index: ")
    assert await manager("GET", "/v1/lockgate/nodes") == []


async def test_whoever_writes_to_the_state_directory_may_bootstrap_again(stranger, first, services):
    text = await stranger("PUT", "/v1/acl/bootstrap", status=403)
    index = text.rpartition(" ")[2].removesuffix(")")
    services.access.reset_file.write_text("0")
    await stranger("PUT", "/v1/acl/bootstrap", status=403)
    services.access.reset_file.write_text(f"{index}\n")
    again = await stranger("PUT", "/v1/acl/bootstrap")
    assert again["SecretID"] != first["SecretID"]
    assert not services.access.reset_file.exists()
    await stranger("PUT", "/v1/acl/bootstrap", status=403)


async def test_the_first_secret_may_be_chosen(stranger, bearing):
    secret = str(uuid.uuid4())
    chosen = await stranger("PUT", "/v1/acl/bootstrap", {"BootstrapSecret": secret})
    assert chosen["SecretID"] == secret
    await bearing(secret)("GET", "/v1/acl/tokens")


async def test_the_first_secret_is_a_uuid(stranger):
    text = await stranger("PUT", "/v1/acl/bootstrap", {"BootstrapSecret": "hunter2"}, status=500)
    assert "not a valid UUID" in text


async def test_a_secret_is_shown_once_and_never_stored(manager, services):
    made = await manager("PUT", "/v1/acl/token", {"Description": "ci"})
    secret, accessor = made["SecretID"], made["AccessorID"]
    assert uuid.UUID(secret) != uuid.UUID(accessor)
    assert (await manager("GET", f"/v1/acl/token/{accessor}"))["SecretID"] == "<hidden>"
    shown = await manager("GET", "/v1/acl/tokens")
    assert {one["SecretID"] for one in shown} == {"<hidden>", "anonymous"}
    stored = str([record.value for record in services.wanted.state.table(ACL_TOKENS).values()])
    assert secret not in stored
    assert hash_secret(secret) in stored
    assert hash_secret(secret) not in str(shown)


async def test_a_bearer_reads_its_own_token(with_rules):
    client = await with_rules(READ_WEB)
    own = await client("GET", "/v1/acl/token/self")
    assert own["SecretID"] == client.headers["X-Consul-Token"]
    await client("GET", f"/v1/acl/token/{own['AccessorID']}", status=403)


async def test_nobody_in_particular_is_the_anonymous_token(stranger, manager):
    own = await stranger("GET", "/v1/acl/token/self")
    assert (own["AccessorID"], own["SecretID"]) == (ANONYMOUS, "anonymous")
    text = await stranger("GET", "/v1/lockgate/nodes", status=403)
    assert "anonymous token lacks permission 'operator:read'" in text
    policy = await manager("PUT", "/v1/acl/policy", {"Name": "o", "Rules": 'operator = "read"'})
    body = {"Policies": [{"Name": "o"}], "SecretID": "anonymous"}
    changed = await manager("PUT", f"/v1/acl/token/{ANONYMOUS}", body)
    assert changed["Policies"] == [{"ID": policy["ID"], "Name": "o"}]
    assert await stranger("GET", "/v1/lockgate/nodes") == []
    await manager("DELETE", f"/v1/acl/token/{ANONYMOUS}", status=500)


#: A secret as it may look, that nobody was given.
UNKNOWN = "6f1c8dbe-19a4-4c0e-8f52-ff1f5f2f9b3d"


@pytest.mark.parametrize("secret", ["nope", UNKNOWN, "<hidden>", ANONYMOUS])
async def test_a_secret_that_there_is_not_is_refused(bearing, manager, secret):
    assert await bearing(secret)("GET", "/v1/status/leader", status=403) == "ACL not found"


async def test_both_headers_bear_a_token(stranger, first):
    for name, value in (
        ("X-Consul-Token", first["SecretID"]),
        ("Authorization", f"Bearer {first['SecretID']}"),
        ("Authorization", f"bearer  {first['SecretID']}"),
    ):
        await stranger("GET", "/v1/acl/tokens", headers={name: value})
    basic = {"Authorization": f"Basic {first['SecretID']}"}
    await stranger("GET", "/v1/acl/tokens", headers=basic, status=403)
    await stranger("GET", "/v1/acl/tokens", params={"token": first["SecretID"]}, status=403)


async def test_an_update_replaces_links_and_description(manager):
    links = {"Policies": [{"Name": "global-management"}], "Description": "a"}
    made = await manager("PUT", "/v1/acl/token", links)
    path = f"/v1/acl/token/{made['AccessorID']}"
    changed = await manager("PUT", path, made | {"Description": "b"})
    assert (changed["Description"], changed["Policies"]) == ("b", made["Policies"])
    assert changed["Hash"] != made["Hash"]
    bare = await manager("PUT", path, {})
    assert "Policies" not in bare


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"AccessorID": str(uuid.uuid4())}, "do not match"),
        ({"SecretID": str(uuid.uuid4())}, "Changing a token's SecretID is not permitted"),
        ({"Local": True}, "Cannot toggle local mode"),
        ({"ExpirationTTL": "1h"}, "Cannot change expiration time"),
        ({"Policies": [{"Name": "no"}]}, 'No such ACL policy with name "no"'),
        ({"Policies": [{"ID": "no"}]}, 'No such ACL policy with ID "no"'),
        ({"Roles": [{"Name": "no"}]}, 'No such ACL role with name "no"'),
        ({"ServiceIdentities": [{"ServiceName": "UP"}]}, "has an invalid name"),
        ({"NodeIdentities": [{"NodeName": "n"}]}, "missing the datacenter"),
    ],
)
async def test_what_cannot_be_changed(manager, body, text):
    made = await manager("PUT", "/v1/acl/token", {})
    assert text in await manager("PUT", f"/v1/acl/token/{made['AccessorID']}", body, status=500)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"Polices": []}, 400, "unknown field Polices"),
        ({"Policies": "x"}, 400, "Token decoding failed"),
        ({"Namespace": "other"}, 400, "Enterprise"),
        ({"SecretID": "short"}, 500, "SecretID - not a valid UUID"),
        ({"AccessorID": ANONYMOUS}, 500, "reserved"),
        ({"ExpirationTTL": "59s"}, 500, "between 1m0s and 24h0m0s"),
        ({"ExpirationTTL": "25h"}, 500, "between 1m0s and 24h0m0s"),
        ({"ExpirationTime": "soon"}, 500, "is no time"),
        ({"ExpirationTime": "2027-01-15T08:00:00"}, 500, "no time zone"),
    ],
)
async def test_what_cannot_be_made(manager, body, status, text):
    assert text in await manager("PUT", "/v1/acl/token", body, status=status)


async def test_ids_may_be_chosen_once(manager):
    ids = {"AccessorID": str(uuid.uuid4()), "SecretID": str(uuid.uuid4())}
    made = await manager("PUT", "/v1/acl/token", ids)
    assert {name: made[name] for name in ids} == ids
    assert "already in use" in await manager("PUT", "/v1/acl/token", ids, status=500)
    again = {"SecretID": ids["SecretID"]}
    assert "already in use" in await manager("PUT", "/v1/acl/token", again, status=500)


async def test_a_clone_has_the_same_links_and_another_secret(manager, bearing):
    links = {"Policies": [{"Name": "global-management"}], "Description": "a"}
    made = await manager("PUT", "/v1/acl/token", links)
    clone = await manager("PUT", f"/v1/acl/token/{made['AccessorID']}/clone", {})
    assert clone["Policies"] == made["Policies"]
    assert clone["SecretID"] not in (made["SecretID"], "<hidden>")
    await bearing(clone["SecretID"])("GET", "/v1/acl/tokens")


async def test_a_clone_does_not_outlive_its_model(manager):
    made = await manager("PUT", "/v1/acl/token", {"ExpirationTTL": "60s"})
    clone = await manager("PUT", f"/v1/acl/token/{made['AccessorID']}/clone", {})
    assert clone["ExpirationTime"] == made["ExpirationTime"]


async def test_a_deleted_token_ends_at_once(manager, bearing):
    made = await manager("PUT", "/v1/acl/token", {})
    client, path = bearing(made["SecretID"]), f"/v1/acl/token/{made['AccessorID']}"
    await client("GET", "/v1/status/leader")
    assert await manager("DELETE", path) is True
    assert await client("GET", "/v1/status/leader", status=403) == "ACL not found"
    assert "Cannot find token to delete" in await manager("DELETE", path, status=404)
    await manager("GET", path, status=404)


async def test_nobody_deletes_the_token_that_asks(manager, first):
    path = f"/v1/acl/token/{first['AccessorID']}"
    assert "not permitted" in await manager("DELETE", path, status=500)


async def test_a_token_ends_when_its_time_is_over(manager, bearing, clock, services):
    made = await manager("PUT", "/v1/acl/token", {"ExpirationTTL": "60s"})
    assert made["ExpirationTime"].startswith("2027-01-15T08:01:00")
    assert made["CreateTime"].startswith("2027-01-15T08:00:00")
    client, path = bearing(made["SecretID"]), f"/v1/acl/token/{made['AccessorID']}"
    clock.now += 59.9
    await client("GET", "/v1/status/leader")
    clock.now += 0.1
    assert await client("GET", "/v1/status/leader", status=403) == "ACL not found"
    await manager("GET", path, status=404)
    assert made["AccessorID"] not in str(await manager("GET", "/v1/acl/tokens"))
    assert made["AccessorID"] in services.wanted.state.table(ACL_TOKENS)


async def test_what_is_over_is_swept(manager, clock, services, autojump_clock, nursery):
    made = await manager("PUT", "/v1/acl/token", {"ExpirationTTL": "60s"})
    kept = await manager("PUT", "/v1/acl/token", {"ExpirationTTL": "1h"})
    nursery.start_soon(forget_expired, services.wanted, services.writes, lambda: clock.now)
    clock.now += 61
    await trio.sleep(INTERVAL_SECONDS + 1)
    table = services.wanted.state.table(ACL_TOKENS)
    assert made["AccessorID"] not in table
    assert kept["AccessorID"] in table


async def test_a_token_that_is_made_anew_meanwhile_is_not_swept(services, autojump_clock, nursery):
    """Whoever makes one holds the lock; the sweep looks when it has it."""
    clock, now = (lambda: now), 1_000.0
    old, new = ({"public_key": "k", "expires": expires} for expires in (now - 1, now + 60))
    await services.wanted.commit([Put(table=BUS_TOKENS, key="gw1", value=old)])
    nursery.start_soon(forget_expired, services.wanted, services.writes, clock)
    async with services.writes:
        await trio.sleep(INTERVAL_SECONDS + 1)
        await services.wanted.commit([Put(table=BUS_TOKENS, key="gw1", value=new)])
    await trio.testing.wait_all_tasks_blocked()
    assert services.wanted.state.get(BUS_TOKENS, "gw1").value == new


async def test_lists_are_narrowed_by_links(manager):
    policy = await manager("PUT", "/v1/acl/policy", {"Name": "p", "Rules": READ_WEB})
    role = await manager("PUT", "/v1/acl/role", {"Name": "r", "Policies": [{"Name": "p"}]})
    linked = await manager("PUT", "/v1/acl/token", {"Policies": [{"Name": "p"}]})
    by_role = await manager("PUT", "/v1/acl/token", {"Roles": [{"Name": "r"}]})
    found = await manager("GET", "/v1/acl/tokens", params={"policy": policy["ID"]})
    assert [one["AccessorID"] for one in found] == [linked["AccessorID"]]
    found = await manager("GET", "/v1/acl/tokens", params={"role": role["ID"]})
    assert [one["AccessorID"] for one in found] == [by_role["AccessorID"]]


async def test_a_waiting_query_ends_with_its_token(manager, with_rules):
    """The token is looked up again after the wait."""
    client = await with_rules('operator = "read"')
    own = (await client("GET", "/v1/acl/token/self"))["AccessorID"]
    index = {"index": "1000", "wait": "5m"}
    answers = []

    async def wait():
        answers.append(await client("GET", "/v1/lockgate/nodes", params=index, status=403))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await manager("DELETE", f"/v1/acl/token/{own}")
        key = {"public_key": "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"}
        await manager("PUT", "/v1/lockgate/nodes/n1", key)
    assert answers == ["ACL not found"]
