"""History, diff and rollback: entries come back as one revision, or not at all."""

import msgspec
import pytest

from cluster.sections import encode_snapshot
from cluster.snapshot import Trust
from coordinator.compose import compose
from coordinator.store.history import Published, StoredSnapshot
from tests.fakes.api import NODE, NOW

HISTORY, DIFF, ROLLBACK = (f"/v1/lockgate/{name}" for name in ("history", "diff", "rollback"))


def intentions(destination, **sources):
    listed = [{"Name": name, "Action": action} for name, action in sources.items()]
    return {"Kind": "service-intentions", "Name": destination, "Sources": listed}


def published(revision, generation=None):
    return Published(
        epoch="e",
        generation=generation or revision,
        digest=f"d{revision}",
        at=NOW,
        size_bytes=10,
        revision=revision,
    )


@pytest.fixture
async def base(services, wanted, put):
    """The revision after `web` was allowed to reach billing; nothing was published yet."""
    services.history.published = []
    await put("/v1/config", intentions("billing", web="allow"))
    return wanted.state.revision


async def test_each_generation_has_the_commits_that_led_to_it(services, wanted, put, get, base):
    await put("/v1/config", intentions("billing", web="deny"))
    await put("/v1/config", intentions("redis", web="allow"))
    last = wanted.state.revision
    services.history.published = [published(last), published(base)]
    services.fleet.refused = {last: {"n1": ("listeners: taken",)}}
    newest, first = await get(HISTORY)
    assert [change["revision"] for change in newest["changes"]] == [last, last - 1]
    assert newest["changes"][0]["entries"] == [
        {"kind": "service-intentions", "name": "redis", "change": "create"}
    ]
    assert newest["nacked"] == [{"node": "n1", "problems": ["listeners: taken"]}]
    assert (first["generation"], len(first["changes"]), first["nacked"]) == (base, 1, [])


async def test_a_commit_that_was_not_published_is_there_too(put, get, base):
    (one,) = await get(HISTORY)
    assert (one["generation"], one["published"]) == (base, False)


async def test_diff_shows_fields_pairs_and_nothing_else(wanted, put, get, base):
    await put("/v1/config", intentions("billing", web="deny"))
    found = await get(DIFF, **{"from": str(base), "to": str(wanted.state.revision)})
    (entry,) = found["entries"]
    assert (entry["name"], entry["change"]) == ("billing", "update")
    assert entry["fields"] == [{"path": "Sources[web].Action", "before": "allow", "after": "deny"}]
    assert found["newly_denied"] == [{"source": "web", "destination": "billing"}]
    assert (found["newly_allowed"], found["routes"]) == ([], [])
    assert found["catalog"] == "present"
    back = await get(DIFF, **{"from": str(wanted.state.revision), "to": str(base)})
    assert back["newly_allowed"] == found["newly_denied"]
    assert (await get(DIFF, **{"from": str(base)}))["entries"] == found["entries"]


async def test_diff_of_kept_snapshots_shows_what_the_catalog_did(services, put, get, wanted):
    services.history.published, kept = [], {}

    async def keep(_=None):
        trust = Trust(datacenter="dc1", bundle=services.authority.trust_bundle())
        encoded = encode_snapshot(
            compose(wanted.state.snapshot(), default_allow=False, trust=trust).snapshot
        )
        found = msgspec.structs.replace(published(wanted.state.revision), digest=encoded.digest)
        services.history.published.insert(0, found)
        kept[found.generation] = StoredSnapshot(published=found, encoded=encoded)
        return found.generation

    async def kept_one(generation):
        return kept.get(generation)

    services.history.get = kept_one
    link = {"Kind": "terminating-gateway", "Name": "egress", "Services": [{"Name": "billing"}]}
    await put("/v1/config", link)
    before = await keep()
    service = {"Service": "billing", "Port": 5432}
    await put("/v1/catalog/register", {"Node": "db", "Address": "10.0.0.5", "Service": service})
    after = await keep()
    found = await get(DIFF, **{"from": str(before), "to": str(after)})
    assert found["catalog"] == "published"
    assert found["entries"] == []
    named = [(one["section"], one["name"], one["change"]) for one in found["routes"]]
    assert ("terminating", "egress/billing", "create") in named


async def test_rollback_is_one_revision_and_leaves_the_catalog(wanted, put, get, base):
    await put("/v1/config", intentions("billing", web="deny", api="allow"))
    await put("/v1/config", intentions("redis", web="allow"))
    await put("/v1/catalog/register", {"Node": "db", "Address": "10.0.0.5"})
    last = wanted.state.revision
    done = await put(ROLLBACK, {"generation": base})
    assert done["revision"] == wanted.state.revision == last + 1
    assert [(e["name"], e["change"]) for e in done["entries"]] == [
        ("billing", "update"),
        ("redis", "delete"),
    ]
    (entry,) = await get("/v1/config/service-intentions")
    assert [(s["Name"], s["Action"]) for s in entry["Sources"]] == [("web", "allow")]
    assert [node["Node"] for node in await get("/v1/catalog/nodes")] == ["db"]
    newest = (await get(HISTORY))[0]
    assert newest["changes"][0]["note"] == f"rollback to generation {base}"
    undone = await put(ROLLBACK, {"generation": last})
    assert [e["change"] for e in undone["entries"]] == ["update", "create"]


async def test_a_dry_run_writes_nothing_and_tells_whom_it_would_close(
    services, wanted, put, fleet, base
):
    await put("/v1/config", intentions("billing", web="allow", api="allow"))
    fleet.live = [
        {"id": "n1/0/1", "source": "api", "destination": "billing"},
        {"id": "n1/0/2", "source": "web", "destination": "billing"},
    ]
    fleet.unanswered = ["node 'n2' is not connected"]
    revision = wanted.state.revision
    told = await put(ROLLBACK, {"generation": base, "dry_run": True})
    assert wanted.state.revision == told["revision"] == revision
    assert [one["id"] for one in told["closes"]["connections"]] == ["n1/0/1"]
    assert told["closes"]["unanswered"] == ["node 'n2' is not connected"]
    assert told["closes"]["complete"] is False


async def test_the_generation_counts_and_not_the_revision_where_they_differ(
    services, wanted, put, base
):
    """The same state composed otherwise after an upgrade, so the numbers are apart."""
    await put("/v1/config", intentions("billing", web="deny"))
    services.history.published = [published(base, generation=base + 1)]
    done = await put(ROLLBACK, {"generation": base + 1})
    assert [e["fields"][0]["after"] for e in done["entries"]] == ["allow"]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("Protocol", "tcp", "service-intentions/shop: Sources[0].Permissions"),
        ("Bogus", 1, "service-defaults/shop: Bogus: unknown field Bogus"),
    ],
)
async def test_a_rollback_that_would_not_fit_is_refused_with_the_reasons(
    api, wanted, put, base, field, value, reason
):
    """As after an upgrade whose rules are stricter: what an older one kept is doctored."""
    http = {"Kind": "service-defaults", "Name": "shop", "Protocol": "http"}
    await put("/v1/config", http)
    l7 = {"Name": "web", "Permissions": [{"Action": "allow", "HTTP": {"PathPrefix": "/"}}]}
    await put("/v1/config", {"Kind": "service-intentions", "Name": "shop", "Sources": [l7]})
    good = wanted.state.revision
    await api.delete("/v1/config/service-intentions/shop")
    await put("/v1/config", http | {"Protocol": "grpc"})
    newest = wanted.state.get("versions", f"{wanted.state.revision:020d}")
    newest.value["changes"][0]["before"][field] = value
    revision = wanted.state.revision
    refused = await api.put(ROLLBACK, json={"generation": good})
    assert refused.status_code == 409
    assert reason in refused.text
    assert wanted.state.revision == revision


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"generation": "x"}, 400), ({"generation": -1}, 400), ({"generation": 999}, 404)],
)
async def test_what_is_no_generation_is_refused(api, base, body, status):
    answer = await api.put(ROLLBACK, json=body)
    assert answer.status_code == status, answer.text


async def test_nodes_that_refuse_are_told_the_way_back(fleet, wanted, put, get, base):
    refusing = {"state": "nacked", "refused_content": True, "problems": ["no"]}
    fleet.nodes = [NODE | refusing | {"generation": base}]
    assert (await get("/v1/lockgate/status"))["rollback"] is None  # the entries are the same
    await put("/v1/config", intentions("billing", web="deny"))
    back = (await get("/v1/lockgate/status"))["rollback"]
    assert back == {
        "generation": base,
        "nodes": ["n1"],
        "command": f"lockgate rollback {base}",
    }


async def test_nobody_is_sent_back_for_changes_that_came_too_fast(fleet, put, get, base):
    """A node that refused them unread would refuse the older ones too."""
    await put("/v1/config", intentions("billing", web="deny"))
    fleet.nodes = [NODE | {"state": "nacked", "refused_content": False, "generation": base}]
    assert (await get("/v1/lockgate/status"))["rollback"] is None
