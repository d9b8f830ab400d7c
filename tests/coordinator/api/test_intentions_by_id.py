import pytest

PATH = "/v1/connect/intentions"
NEVER = "8f246b77-f3e1-4f88-9b48-8ec93abf3e05"
PAIR = {"SourceName": "web", "DestinationName": "billing", "Action": "allow"}


@pytest.fixture
def create(api):
    """Make an intention; gives its path."""

    async def create(**fields):
        made = await api.post(PATH, json=PAIR | fields)
        assert made.status_code == 200, made.text
        return f"{PATH}/{made.json()['ID']}"

    return create


async def test_one_that_was_made_has_an_id_times_and_metadata(create, get):
    path = await create(Description="why", Meta={"a": "b"}, sourcetype="consul")
    shown = await get(path)
    assert path.endswith(shown["ID"])
    assert (shown["SourceName"], shown["DestinationName"], shown["Action"]) == (
        "web",
        "billing",
        "allow",
    )
    assert (shown["Description"], shown["Meta"]) == ("why", {"a": "b"})
    assert shown["CreatedAt"] == shown["UpdatedAt"] == "2027-01-15T08:00:00.000000Z"
    assert [one["ID"] for one in await get(PATH)] == [shown["ID"]]
    assert (await get("/v1/connect/intentions/check", source="web", destination="billing"))[
        "Allowed"
    ]


async def test_it_is_a_source_of_its_destinations_entry(create, get, put):
    await create()
    await create(SourceName="*", Action="deny")
    entry = await get("/v1/config/service-intentions/billing")
    assert [(s["Name"], "LegacyID" in s) for s in entry["Sources"]] == [("web", True), ("*", True)]
    await put("/v1/config", entry)
    assert [one.get("ID") for one in await get(PATH)] == [None, None]


async def test_it_can_be_changed_but_for_its_destination(create, get, put, api):
    path = await create(Description="why")
    await create(SourceName="*")
    changed = PAIR | {"SourceName": "api", "Action": "deny"}
    assert (await put(path, changed))["ID"] == path.rpartition("/")[2]
    shown = await get(path)
    assert (shown["SourceName"], shown["Action"], "Description" in shown) == ("api", "deny", False)
    elsewhere = await api.put(path, json=PAIR | {"DestinationName": "other"})
    assert (elsewhere.status_code, "cannot modify" in elsewhere.text) == (400, True)
    taken = await api.put(path, json=PAIR | {"SourceName": "*"})
    assert (taken.status_code, "duplicate intention" in taken.text) == (500, True)
    assert len(await get(PATH)) == 2


async def test_it_goes_and_the_last_takes_the_entry_along(create, get, api):
    first, second = await create(), await create(SourceName="api")
    assert (await api.delete(first)).json() is True
    assert [one["SourceName"] for one in await get(PATH)] == ["api"]
    assert (await api.get(first)).status_code == 404
    assert (await api.delete(first)).status_code == 404
    await api.delete(second)
    assert await get("/v1/config/service-intentions") == []


async def test_a_pair_written_by_its_names_has_no_id(create, get, put, api):
    path = await create()
    exact = {"source": "web", "destination": "billing"}
    await put(f"{PATH}/exact", {"Action": "deny"}, **exact)
    assert (await api.get(path)).status_code == 404
    assert "ID" not in await get(f"{PATH}/exact", **exact)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (PAIR | {"ID": NEVER}, 400, "ID must be empty"),
        (PAIR | {"Permissions": [{"Action": "allow"}]}, 400, "Permissions must be omitted"),
        (PAIR | {"Action": "maybe"}, 500, "Action must be allow or deny"),
        (PAIR | {"SourceName": ""}, 500, "SourceName must be set"),
        (PAIR | {"DestinationName": "a*"}, 500, "wildcard"),
        (PAIR | {"SourceNS": "eng"}, 400, "Enterprise"),
        (PAIR | {"SourceType": "x"}, 500, "SourceType must be consul"),
        ([], 400, "expected a JSON object"),
    ],
)
async def test_a_bad_one_gets_one_clear_error(api, get, body, status, text):
    response = await api.post(PATH, json=body)
    assert (response.status_code, text in response.text) == (status, True), response.text
    assert await get(PATH) == []


async def test_one_pair_has_one_intention(create, api, put):
    await create()
    again = await api.post(PATH, json=PAIR)
    assert (again.status_code, "duplicate intention" in again.text) == (500, True)
    await put(f"{PATH}/exact", {"Action": "deny"}, source="api", destination="billing")
    named = await api.post(PATH, json=PAIR | {"SourceName": "api"})
    assert named.status_code == 500


@pytest.mark.parametrize("method", ["get", "delete", "put"])
async def test_an_id_that_is_none_and_one_that_nobody_has(api, method):
    body = {"json": PAIR} if method == "put" else {}
    for identity, status in ((NEVER, 404), ("7", 400)):
        response = await getattr(api, method)(f"{PATH}/{identity}", **body)
        assert response.status_code == status, response.text
