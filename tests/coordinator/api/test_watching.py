"""Who watches by blocking queries, as consul-template does, sees every state that lasts, and never spins."""

import random

import httpx
import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from coordinator.api.app import make_app
from tests.fakes.api import make_services
from tests.harness.coordinator import coordinator, place

WATCHED = {
    "key": "/v1/kv/app/1?raw",
    "prefix": "/v1/kv/app/?recurse",
    "keys": "/v1/kv/app/?keys",
    "service": "/v1/health/service/web?passing",
    "entries": "/v1/config/service-defaults",
    "intentions": "/v1/connect/intentions",
}


class Watcher:
    """Asks again and again with the last index; starts over when the index goes back."""

    def __init__(self, client, path):
        self._client = client
        self._path = path
        self.index = 0
        self.asked = 0
        self.seen = []
        self._news = trio.Event()

    async def run(self):
        while True:
            join = "&" if "?" in self._path else "?"
            path = f"{self._path}{join}index={self.index}&wait=5m"
            response = await self._client.get(path)
            self.asked += 1
            index = int(response.headers["X-Consul-Index"])
            assert index >= 1
            self.index = 0 if index < self.index else index
            if not self.seen or self.seen[-1] != response.text:
                self.seen.append(response.text)
                self._news.set()
                self._news = trio.Event()

    async def wait_for(self, text):
        while self.seen[-1:] != [text]:
            await self._news.wait()


class Writer:
    """Makes changes, some of them to what is watched."""

    def __init__(self, client, chance):
        self._client = client
        self._chance = chance

    async def change(self):
        chance = self._chance
        value = str(chance.randrange(1000))
        kind = chance.randrange(6)
        if kind == 0:
            await self._client.put(f"/v1/kv/app/{chance.randrange(3)}", content=value)
        elif kind == 1:
            await self._client.delete(f"/v1/kv/app/{chance.randrange(3)}")
        elif kind == 2:
            await self._client.put(f"/v1/kv/elsewhere/{value}", content=value)
        elif kind == 3:
            status = chance.choice(["passing", "critical"])
            check = {"Name": "up", "ServiceID": "web", "Status": status}
            body = {"Node": "n1", "Address": "10.0.0.1", "Check": check}
            await self._client.put(
                "/v1/catalog/register", json=body | {"Service": {"Service": "web", "Port": 80}}
            )
        elif kind == 4:
            body = {"Kind": "service-defaults", "Name": "web", "MaxInboundConnections": int(value)}
            await self._client.put("/v1/config", json=body)
        else:
            where = "/v1/connect/intentions/exact?source=web&destination=db"
            action = chance.choice(["allow", "deny"])
            await self._client.put(where, json={"Action": action})


async def watch(client, changes, pause):
    """Watch all while so many changes are made; afterwards everybody has seen what is."""
    watchers = {name: Watcher(client, path) for name, path in WATCHED.items()}
    async with trio.open_nursery() as nursery:
        for watcher in watchers.values():
            nursery.start_soon(watcher.run)
        writer = Writer(client, random.Random(7))
        for _ in range(changes):
            await writer.change()
            await pause()
        for name, watcher in watchers.items():
            final = (await client.get(WATCHED[name])).text
            with trio.fail_after(60):
                await watcher.wait_for(final)
        nursery.cancel_scope.cancel()
    return watchers


async def test_every_state_is_seen_on_a_fake_clock(api, autojump_clock):
    watchers = await watch(api, 150, wait_all_tasks_blocked)
    for watcher in watchers.values():
        assert len(watcher.seen) > 3
        assert watcher.asked <= 151
    assert watchers["key"].asked < watchers["prefix"].asked < 120


async def test_a_quiet_hour_costs_a_dozen_questions(api, autojump_clock):
    watcher = Watcher(api, WATCHED["prefix"])
    with trio.move_on_after(3600):
        await watcher.run()
    assert 11 <= watcher.asked <= 14


@pytest.mark.slow
async def test_every_state_is_seen_of_a_real_process():
    with place() as folder, coordinator(folder) as running:
        address = f"http://127.0.0.1:{running.port}"
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:
            watchers = await watch(client, 60, trio.lowlevel.checkpoint)
    assert all(watcher.asked <= 61 for watcher in watchers.values())


async def test_an_index_from_another_history_neither_spins_nor_sticks(api, autojump_clock):
    """The state was replaced by an older one: the next change shows the client a lower index."""
    watcher = Watcher(api, WATCHED["prefix"])
    watcher.index = 1_000_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watcher.run)
        await wait_all_tasks_blocked()
        assert watcher.asked == 0
        await api.put("/v1/kv/app/1", content=b"1")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert watcher.asked == 2  # the lower index, then all anew; the third question waits
    assert len(watcher.seen) == 1


async def test_the_index_is_never_zero_even_of_an_empty_state(autojump_clock):
    services = await make_services()
    transport = httpx.ASGITransport(make_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        for path in WATCHED.values():
            response = await client.get(path)
            assert int(response.headers["X-Consul-Index"]) >= 1


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("stale", 200),
        ("consistent", 200),
        ("cached", 200),
        ("stale&consistent", 400),
        ("ns=default&partition=default&dc=dc1", 200),
        ("ns=team", 400),
        ("partition=p", 400),
        ("dc=elsewhere", 500),
        ("peer=east", 501),
        ("pretty", 200),
    ],
)
@pytest.mark.parametrize(
    "path", ["/v1/catalog/nodes", "/v1/kv/?keys", "/v1/config/service-defaults"]
)
async def test_common_parameters_are_understood_everywhere(api, path, query, status):
    response = await api.get(f"{path}{'&' if '?' in path else '?'}{query}")
    assert response.status_code == status
    assert status == 200 or response.text
