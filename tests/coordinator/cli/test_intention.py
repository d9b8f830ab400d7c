import httpx


async def test_create_get_list_match_delete(lockgate):
    created = await lockgate("intention", "create", "web", "billing")
    assert created.out == "Created: web => billing (allow)\n"
    await lockgate("intention", "create", "-deny", "-description", "by default", "*", "*")
    listed = (await lockgate("intention", "list")).out.splitlines()
    assert [line.split() for line in listed[1:]] == [
        ["web", "allow", "billing", "9"],
        ["*", "deny", "*", "5"],
    ]
    matched = await lockgate("intention", "match", "billing")
    assert matched.out == "web => billing (allow)\n* => * (deny)\n"
    assert (await lockgate("intention", "match", "-source", "api")).out == "* => * (deny)\n"
    got = await lockgate("intention", "get", "*", "*")
    assert "by default" in got.out
    assert (await lockgate("intention", "delete", "web", "billing")).out == "Intention deleted.\n"
    gone = await lockgate("intention", "get", "web", "billing", status=1)
    assert "there is no intention web => billing" in gone.err


async def test_an_existing_pair_is_replaced_only_when_asked_to(lockgate):
    await lockgate("intention", "create", "web", "billing")
    again = await lockgate("intention", "create", "-deny", "web", "billing", status=1)
    assert "exists already" in again.err
    await lockgate("intention", "create", "-deny=true", "-replace", "web", "billing")
    assert (await lockgate("intention", "get", "web", "billing", "-format=json")).json[
        "Action"
    ] == "deny"


async def test_check_answers_with_its_exit_status(lockgate):
    assert (await lockgate("intention", "check", "web", "billing", status=1)).out == "Denied\n"
    await lockgate("intention", "create", "web", "billing")
    assert (await lockgate("intention", "check", "web", "billing")).out == "Allowed\n"
    assert (await lockgate("intention", "check", "web", "billing", "-format=json")).json == {
        "allowed": True
    }


async def test_an_empty_list_has_status_2(lockgate):
    ended = await lockgate("intention", "list", status=2)
    assert (ended.out, ended.err) == ("", "There are no intentions.\n")
    assert (await lockgate("intention", "list", "-format=json", status=2)).json == []


async def test_meta_is_kept(lockgate):
    await lockgate("intention", "create", "-meta", "owner=me", "-meta=team=x", "web", "billing")
    got = await lockgate("intention", "get", "web", "billing", "-format", "json")
    assert got.json["Meta"] == {"owner": "me", "team": "x"}


async def test_an_intention_for_a_while_says_when_it_ends(lockgate, file):
    created = await lockgate("intention", "create", "-expires-in", "2h", "web", "billing")
    assert "(allow until 2" in created.out
    (one,) = (await lockgate("intention", "list", "-format=json")).json
    assert one["ExpiresAt"].endswith("Z")
    assert f"allow until {one['ExpiresAt']}" in (await lockgate("intention", "list")).out
    text = (
        'Kind = "service-intentions"\nName = "old"\nSources = '
        '[{ Name = "web", Action = "allow", ExpiresAt = "2020-01-01T01:00:00+01:00" }]\n'
    )
    await lockgate("config", "write", file("old.hcl", text))
    assert "allow expired 2020-01-01T00:00:00Z" in (await lockgate("intention", "list")).out
    assert (await lockgate("intention", "check", "web", "old", status=1)).out == "Denied\n"
    assert (
        "no time"
        in (await lockgate("validate", file("x.hcl", text.replace("+01:00", "")), status=1)).err
    )
    for wrong in ("2", "-1h", "0s"):
        refused = await lockgate("intention", "create", f"-expires-in={wrong}", "a", "b", status=1)
        assert "-expires-in" in refused.err


async def test_intentions_in_files_are_consuls_json(lockgate, file, alone):
    both = [
        file("a.json", '{"SourceName": "web", "DestinationName": "billing", "Action": "allow"}'),
        file("b.json", '{"SourceName": "*", "DestinationName": "billing", "Action": "deny"}'),
    ]
    made = await lockgate("intention", "create", "-file", *both)
    assert made.out == "Created: web => billing (allow)\nCreated: * => billing (deny)\n"
    again = await lockgate("intention", "create", "-file", both[0], status=1)
    assert "exists already" in again.err
    await lockgate("intention", "create", "-file", "-replace", both[0])
    for name, text in (("c.json", "[1]"), ("d.json", "{}"), ("e.json", "x")):
        bad = await alone("intention", "create", "-file", file(name, text))
        assert (bad.status, name in bad.err, bad.err.count("\n")) == (1, True, 1), bad


async def test_an_intention_with_an_id_is_found_by_it(lockgate, admin):
    transport = httpx.AsyncHTTPTransport(uds=admin.removeprefix("unix://"))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        body = {"SourceName": "web", "DestinationName": "billing", "Action": "allow"}
        identity = (await client.post("/v1/connect/intentions", json=body)).json()["ID"]
    assert identity in (await lockgate("intention", "get", identity)).out
    await lockgate("intention", "delete", identity)
    gone = await lockgate("intention", "get", identity, status=1)
    assert "there is no intention" in gone.err
    assert "Invalid intention ID" in (await lockgate("intention", "get", "7", status=1)).err


async def test_exit_statuses_are_consuls(lockgate, alone):
    for arguments, status in (
        (("check", "web"), 2),
        (("check", "web", "a b*"), 2),
        (("create", "web"), 1),
        (("create", "-allow", "-deny", "web", "db"), 1),
        (("get", "a", "b", "c"), 1),
        (("get", "a", "b"), 1),
        (("match", "-source", "-destination", "web"), 1),
        (("match", "web*"), 1),
        (("delete", "a", "b"), 0),
        (("list",), 2),
    ):
        ended = await lockgate("intention", *arguments, status=status)
        assert status == 0 or ended.err.count("\n") == 1, ended
    unreachable = await alone("intention", "check", "web", "db")
    assert (unreachable.status, "cannot reach" in unreachable.err) == (2, True)
