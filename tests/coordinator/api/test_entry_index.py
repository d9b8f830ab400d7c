"""The index of entries follows every commit, whoever makes it, and a write stays quick among many."""

import time

from coordinator.api.entry_index import following
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Delete, Put
from coordinator.store.tables import ENTRIES, NODES
from coordinator.store.wanted import Wanted

ROUTER = {"Kind": "service-router", "Name": "web", "Routes": []}


async def test_commits_are_followed():
    wanted = await Wanted.open(MemoryStore())
    await wanted.commit([Put(table=ENTRIES, key="service-router/web", value=ROUTER)])
    index = following(wanted)
    assert index.get("service-router", "web") == ROUTER
    other = {"Kind": "service-router", "Name": "api"}
    await wanted.commit(
        [
            Delete(table=ENTRIES, key="service-router/web"),
            Put(table=ENTRIES, key="service-router/api", value=other),
            Put(table=NODES, key="n1", value={"Node": "n1"}),
        ]
    )
    assert list(index.keys()) == [("service-router", "api")]


async def test_a_refused_write_leaves_nothing_behind(api, services):
    refused = await api.put("/v1/config", json=ROUTER)
    assert (refused.status_code, "advanced routing" in refused.text) == (500, True)
    assert list(services.entries.keys()) == []
    assert (await api.get("/v1/config/service-router/web")).status_code == 404


async def test_a_delete_that_breaks_others_is_refused(api, put):
    await put("/v1/config", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
    await put("/v1/config", ROUTER)
    refused = await api.delete("/v1/config/service-defaults/web")
    assert (refused.status_code, "service-router/web" in refused.text) == (500, True)
    assert (await api.get("/v1/config/service-defaults/web")).status_code == 200


async def test_judging_a_write_takes_no_longer_among_many_entries(api, put, services):
    """Asked in a ratio, because a slow machine is slow with both."""
    few = await _quickest_write(put)
    for number in range(3000):
        name = f"svc{number}"
        services.entries.put({"Kind": "service-defaults", "Name": name, "Protocol": "http"})
        services.entries.put({"Kind": "service-router", "Name": name, "Routes": []})
        services.entries.put({"Kind": "service-intentions", "Name": name, "Sources": []})
    many = await _quickest_write(put)
    assert many < 3 * few + 0.002


async def _quickest_write(put):
    taken = []
    for number in range(30):
        entry = {"Kind": "service-defaults", "Name": "web", "Protocol": "tcp"}
        began = time.perf_counter()
        await put("/v1/config", entry | {"Meta": {"number": str(number)}})
        taken.append(time.perf_counter() - began)
    return min(taken)
