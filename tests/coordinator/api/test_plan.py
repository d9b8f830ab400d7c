"""plan and simulate: everything that a change would do, and nothing written."""

import pytest

PLAN, SIMULATE = "/v1/lockgate/plan", "/v1/lockgate/simulate"


def intentions(destination, **sources):
    listed = [{"Name": name, "Action": action} for name, action in sources.items()]
    return {"Kind": "service-intentions", "Name": destination, "Sources": listed}


@pytest.fixture
def post(api, wanted):
    """POST a change; nothing may have been written by it."""

    async def post(path, status=200, **body):
        revision = wanted.state.revision
        response = await api.post(path, json=body)
        assert response.status_code == status, response.text
        assert wanted.state.revision == revision
        return response.json() if status == 200 else response.text

    return post


@pytest.fixture
async def billing(put):
    """billing is outside, linked to a gateway, and open to web and api."""
    link = {"Kind": "terminating-gateway", "Name": "egress", "Services": [{"Name": "billing"}]}
    await put("/v1/config", link)
    service = {"Service": "billing", "Port": 5432}
    await put("/v1/catalog/register", {"Node": "db", "Address": "10.0.0.5", "Service": service})
    await put("/v1/config", intentions("billing", web="allow", api="allow"))


async def test_a_deny_lists_exactly_what_it_would_close(post, fleet, billing):
    fleet.live = [
        {"id": "n1/0/1", "source": "web", "destination": "billing"},
        {"id": "n1/0/2", "source": "api", "destination": "billing"},
        {"id": "n1/0/3", "source": "web", "destination": "redis"},
        {"id": "n1/0/4", "source": "", "destination": "billing"},
    ]
    found = await post(PLAN, entries=[intentions("billing", web="deny", api="allow")])
    assert found["valid"] is True
    (entry,) = found["entries"]
    assert (entry["kind"], entry["name"], entry["change"]) == (
        "service-intentions",
        "billing",
        "update",
    )
    assert found["newly_denied"] == [{"source": "web", "destination": "billing"}]
    assert found["newly_allowed"] == []
    assert found["closes"]["total"] == 1
    assert [one["id"] for one in found["closes"]["connections"]] == ["n1/0/1"]
    assert found["closes"]["complete"] is True


async def test_keys_may_be_in_any_case_as_everywhere(post, billing):
    sources = [{"name": "web", "action": "deny"}, {"name": "api", "action": "allow"}]
    entry = {"kind": "service-intentions", "name": "billing", "sources": sources}
    assert (await post(PLAN, entries=[entry]))["newly_denied"]


async def test_a_wildcard_reaches_the_services_that_are_known(post, put, billing):
    shop = {"Service": "shop", "Port": 80}
    await put("/v1/catalog/register", {"Node": "s1", "Address": "10.0.0.6", "Service": shop})
    sidecar = {
        "Service": "shop-proxy",
        "Kind": "connect-proxy",
        "Port": 2000,
        "Proxy": {"DestinationServiceName": "shop"},
    }
    await put("/v1/catalog/register", {"Node": "s1", "Address": "10.0.0.6", "Service": sidecar})
    wildcard = {"Name": "*", "Action": "allow"}
    change = intentions("billing", web="allow", api="allow")
    change["Sources"].append(wildcard)
    found = await post(PLAN, entries=[change])
    assert {one["source"] for one in found["newly_allowed"]} == {"billing", "shop"}


async def test_a_node_that_does_not_answer_is_named(post, fleet, billing):
    fleet.unanswered = ["node 'n2' did not answer within 2 s"]
    found = await post(PLAN, delete=[{"kind": "service-intentions", "name": "billing"}])
    assert [one["change"] for one in found["entries"]] == ["delete"]
    assert found["closes"]["complete"] is False
    assert found["closes"]["unanswered"] == ["node 'n2' did not answer within 2 s"]
    fleet.unanswered = []
    quiet = await post(PLAN, entries=[intentions("redis", web="allow")])
    assert quiet["closes"] == {"total": 0, "connections": [], "complete": True, "unanswered": []}


async def test_routes_go_with_their_link(post, billing):
    found = await post(PLAN, delete=[{"kind": "terminating-gateway", "name": "egress"}])
    named = {(one["section"], one["name"], one["change"]) for one in found["routes"]}
    assert ("terminating", "egress/billing", "delete") in named


async def test_the_same_again_changes_nothing(post, billing):
    found = await post(PLAN, entries=[intentions("billing", api="allow", web="allow")])
    assert [one["path"] for one in found["entries"][0]["fields"]] == ["Sources"]  # the order
    found = await post(PLAN, entries=[intentions("billing", web="allow", api="allow")])
    assert (found["entries"], found["routes"], found["newly_denied"]) == ([], [], [])


L7 = {"Name": "web", "Permissions": [{"Action": "allow", "HTTP": {"PathPrefix": "/"}}]}
BILLING = {"kind": "service-intentions", "name": "billing"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"entries": [intentions("x", web="maybe")]}, "service-intentions/x: Sources[0].Action"),
        (
            {"entries": [{"Kind": "service-intentions", "Name": "x", "Sources": [L7]}]},
            "service-intentions/x: Sources[0].Permissions",
        ),
        ({"entries": [{"Kind": "cake", "Name": "x"}]}, "cake/x: Kind"),
        ({"entries": [intentions("x", web="deny")] * 2}, "service-intentions/x"),
        ({"delete": [{"kind": "service-intentions", "name": "x"}]}, "service-intentions/x"),
        (
            {"entries": [intentions("billing", web="deny")], "delete": [BILLING]},
            "service-intentions/billing",
        ),
    ],
)
async def test_what_would_be_refused_is_told_as_validate_tells_it(post, billing, change, problem):
    for path in (PLAN, SIMULATE):
        found = await post(path, **change)
        assert found["valid"] is False
        assert [one["path"] for one in found["problems"]] == [problem]
    assert (await post(PLAN, **change))["entries"] == []


@pytest.mark.parametrize(
    "change", [{"entries": 3}, {"entries": [3]}, {"delete": [{}]}, {"flows": 3, "entries": []}]
)
async def test_what_is_no_change_is_refused(post, change):
    await post(SIMULATE, status=400, **change)


async def test_recorded_flows_are_judged_by_what_would_be(post, billing):
    flows = [
        {"id": "a", "source": "web", "destination": "billing", "end": "finished"},
        {"id": "b", "source": "cron", "destination": "billing", "end": "denied"},
        {"id": "c", "source": "api", "destination": "billing"},
    ]
    change = [intentions("billing", cron="allow", api="allow")]
    found = await post(SIMULATE, entries=change, flows=flows)
    assert (found["flows"], found["same"]) == (3, 1)
    assert [(one["source"], one["was"], one["now"]) for one in found["differs"]] == [
        ("cron", False, True),
        ("web", True, False),
    ]


async def test_without_flows_the_nodes_are_asked(post, fleet, billing):
    fleet.live = [{"id": "n1/0/1", "source": "web", "destination": "billing"}]
    fleet.ended = [{"id": "n1/0/0", "source": "web", "destination": "billing", "end": "denied"}]
    fleet.unanswered = ["node 'n2' is not connected"]
    found = await post(SIMULATE, entries=[intentions("billing", web="deny")])
    assert (found["flows"], found["same"]) == (2, 1)
    assert found["unanswered"] == ["node 'n2' is not connected"]
