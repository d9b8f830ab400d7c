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
