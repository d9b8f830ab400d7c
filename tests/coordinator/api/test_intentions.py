import pytest

EXACT = "/v1/connect/intentions/exact"
ALLOW, DENY = {"Action": "allow"}, {"Action": "deny"}


@pytest.fixture
def pair(put):
    async def pair(source, destination, body=None):
        assert await put(EXACT, body or ALLOW, source=source, destination=destination) is True

    return pair


async def test_a_pair_is_a_source_of_the_destinations_entry(pair, get):
    await pair("web", "billing", {"Action": "allow", "Description": "why"})
    entry = await get("/v1/config/service-intentions/billing")
    assert entry["Sources"] == [
        {
            "Name": "web",
            "Action": "allow",
            "Precedence": 9,
            "Type": "consul",
            "Description": "why",
        }
    ]
    shown = await get(EXACT, source="web", destination="billing")
    assert shown["SourceName"] == "web"
    assert shown["DestinationNS"] == "default"
    assert (shown["Action"], shown["Precedence"], shown["SourceType"]) == ("allow", 9, "consul")


async def test_a_second_put_replaces_the_first_and_keeps_the_others(pair, get):
    await pair("web", "billing")
    await pair("*", "billing", DENY)
    await pair("web", "billing", DENY)
    entry = await get("/v1/config/service-intentions/billing")
    assert [(s["Name"], s["Action"]) for s in entry["Sources"]] == [("web", "deny"), ("*", "deny")]


async def test_delete_is_idempotent_and_the_last_pair_takes_the_entry_along(pair, api, get):
    await pair("web", "billing")
    await pair("api", "billing")
    for source, left in (("web", 1), ("web", 1), ("api", 0)):
        gone = await api.delete(EXACT, params={"source": source, "destination": "billing"})
        assert gone.json() is True
        assert len(await get("/v1/connect/intentions")) == left
    assert await get("/v1/config/service-intentions") == []


async def test_the_list_is_in_order_of_precedence(pair, get):
    await pair("*", "*", DENY)
    await pair("web", "*")
    await pair("*", "billing")
    await pair("web", "billing")
    listed = await get("/v1/connect/intentions")
    assert [i["Precedence"] for i in listed] == [9, 8, 6, 5]


async def test_match_gives_what_could_apply_in_evaluation_order(pair, get):
    await pair("*", "*", DENY)
    await pair("web", "billing")
    await pair("api", "other")
    found = await get("/v1/connect/intentions/match", by="destination", name=["billing", "*"])
    assert [i["Precedence"] for i in found["billing"]] == [9, 5]
    assert [i["Precedence"] for i in found["*"]] == [5]
    by_source = await get("/v1/connect/intentions/match", by="source", name="api")
    assert [i["DestinationName"] for i in by_source["api"]] == ["other", "*"]


async def test_check_follows_precedence_and_the_default(pair, get):
    async def allowed(source, destination):
        answer = await get("/v1/connect/intentions/check", source=source, destination=destination)
        return answer["Allowed"]

    assert await allowed("web", "billing") is False
    await pair("*", "billing", ALLOW)
    assert await allowed("web", "billing") is True
    await pair("web", "billing", DENY)
    assert await allowed("web", "billing") is False
    assert await allowed("api", "billing") is True


async def test_permissions_count_as_deny_in_a_check(put, pair, get):
    await put("/v1/config", {"Kind": "service-defaults", "Name": "billing", "Protocol": "http"})
    body = {"Permissions": [{"Action": "allow", "HTTP": {"PathPrefix": "/"}}]}
    await pair("web", "billing", body)
    answer = await get("/v1/connect/intentions/check", source="web", destination="billing")
    assert answer == {"Allowed": False}


@pytest.mark.parametrize(
    ("uri", "authorized"),
    [
        ("spiffe://anybody.consul/ns/default/dc/dc9/svc/web", True),
        ("spiffe://anybody.consul/ns/default/dc/dc1/svc/api", False),
    ],
)
async def test_authorize_decides_by_the_uri(pair, api, uri, authorized):
    await pair("web", "billing")
    body = {"Target": "billing", "ClientCertURI": uri, "clientcertserial": "1"}
    answer = (await api.post("/v1/agent/connect/authorize", json=body)).json()
    assert answer["Authorized"] is authorized
    assert "billing" in answer["Reason"] or "default policy" in answer["Reason"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "Target service must be specified"),
        ({"Target": "b"}, "not a valid Connect identifier"),
        ({"Target": "b", "ClientCertURI": "http://x"}, "not a valid Connect identifier"),
        ({"Target": "b", "ClientCertURI": "spiffe://a.consul"}, "not a valid Service identifier"),
        ({"Target": 5}, "Target must be a string"),
        (
            {"Target": "b", "ClientCertURI": "spiffe://a.b/ap/x/ns/default/dc/dc1/svc/web"},
            "partition",
        ),
    ],
)
async def test_authorize_refuses_what_is_no_caller(api, body, text):
    response = await api.post("/v1/agent/connect/authorize", json=body)
    assert (response.status_code, text in response.text) == (400, True), response.text


@pytest.mark.parametrize(
    ("params", "body", "status", "text"),
    [
        ({"destination": "b"}, ALLOW, 400, "'source' not set"),
        ({"source": "a"}, ALLOW, 400, "'destination' not set"),
        ({"source": "a/b/c/d", "destination": "b"}, ALLOW, 400, "not a service name"),
        ({"source": "team/a", "destination": "b"}, ALLOW, 400, "Enterprise"),
        ({"source": "a*", "destination": "b"}, ALLOW, 400, "wildcard"),
        ({"source": "a", "destination": "b"}, {}, 500, "Action must be allow or deny"),
        ({"source": "a", "destination": "b"}, {"Action": "maybe"}, 500, "Action"),
        ({"source": "a", "destination": "b"}, {"Action": ["allow"]}, 500, "Action"),
        ({"source": "a", "destination": "b"}, {"Action": "allow", "SourceType": "x"}, 500, "Type"),
        ({"source": "a", "destination": "b"}, [], 400, "expected a JSON object"),
    ],
)
async def test_a_bad_pair_gets_one_clear_error(api, get, params, body, status, text):
    response = await api.put(EXACT, params=params, json=body)
    assert (response.status_code, text in response.text) == (status, True), response.text
    assert await get("/v1/connect/intentions") == []


async def test_an_absent_pair_is_404(api):
    response = await api.get(EXACT, params={"source": "a", "destination": "b"})
    assert (response.status_code, response.text) == (404, "Intention not found")


@pytest.mark.parametrize("params", [{"name": "a"}, {"by": "source"}, {"by": "x", "name": "a"}])
async def test_a_match_that_asks_nothing_is_refused(api, params):
    response = await api.get("/v1/connect/intentions/match", params=params)
    assert response.status_code == 400


async def test_metadata_is_the_whole_entrys(pair, get, api, put):
    await pair("web", "billing", ALLOW | {"Meta": {"owner": "me"}})
    await pair("api", "billing", ALLOW)
    await pair("web", "billing", DENY | {"Meta": {"owner": "me"}})
    entry = await get("/v1/config/service-intentions/billing")
    assert entry["Meta"] == {"owner": "me"}
    assert (await get(EXACT, source="api", destination="billing"))["Meta"] == {"owner": "me"}
    other = await api.put(
        EXACT,
        params={"source": "web", "destination": "billing"},
        json=ALLOW | {"Meta": {"owner": "you"}},
    )
    assert (other.status_code, "Meta must not be specified" in other.text) == (500, True)
    assert await put("/v1/config", entry) is True  # what was read can be written
