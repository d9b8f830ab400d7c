"""TTL checks expire, aliases follow, critical services go: on a fake clock, over a real store."""

import pytest
import trio

from coordinator.catalog_index import following
from coordinator.health.heartbeats import Heartbeats
from coordinator.health.upkeep import OUTPUT_SECONDS, Upkeep
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Put, StoreFull
from coordinator.store.tables import CHECKS, SERVICES
from coordinator.store.wanted import Wanted


class Site:
    """Checks that are told, and what the store says of them."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.writes = trio.Lock()
        self.heartbeats = Heartbeats()

    def upkeep(self):
        catalog = following(self.wanted)
        return Upkeep(self.wanted, catalog, self.writes, self.heartbeats, node="c1")

    async def check(self, name, *, status="passing", service="", kind="ttl", **definition):
        value = {"CheckID": name, "Name": name, "Status": status, "ServiceID": service}
        value |= {"Type": kind, "Definition": definition}
        await self.wanted.commit([Put(table=CHECKS, key=f"c1/{name}", value=value)])

    async def service(self, name):
        value = {"ID": name, "Service": name}
        await self.wanted.commit([Put(table=SERVICES, key=f"c1/{name}", value=value)])

    def tell(self, name, status="passing", output=""):
        return self.heartbeats.told(self.record(name), status, output, trio.current_time())

    def record(self, name):
        return self.wanted.state.get(CHECKS, f"c1/{name}")

    def status(self, name):
        return self.record(name).value["Status"]


@pytest.fixture
async def site():
    return Site(await Wanted.open(MemoryStore()))


@pytest.fixture
def run(site, nursery):
    return lambda: nursery.start_soon(site.upkeep().run)


async def test_a_check_expires_when_nobody_tells_it(site, run, autojump_clock):
    await site.check("a", TTL="10s")
    run()
    await trio.sleep(9.5)
    assert site.status("a") == "passing"
    await trio.sleep(1)
    assert site.status("a") == "critical"
    assert site.record("a").value["Output"] == "TTL expired"


async def test_reports_keep_it_alive_without_a_write(site, run, autojump_clock):
    await site.check("a", TTL="10s")
    run()
    before = site.wanted.state.revision
    for _ in range(20):
        await trio.sleep(6)
        assert not site.tell("a", output="still")
    assert (site.status("a"), site.wanted.state.revision) == ("passing", before)
    await trio.sleep(11)
    expected = "TTL expired (last output before timeout follows): still"
    assert site.record("a").value["Output"] == expected


async def test_a_check_that_comes_later_expires_too(site, run, autojump_clock):
    run()
    await trio.sleep(100)
    await site.check("a", TTL="1s")
    await trio.sleep(1.5)
    assert site.status("a") == "critical"


async def test_a_new_output_is_written_in_the_end(site, run, autojump_clock):
    await site.check("a", TTL="2h")
    run()
    await trio.sleep(1)
    site.tell("a", output="new")
    await trio.sleep(1)
    assert "Output" not in site.record("a").value
    await trio.sleep(OUTPUT_SECONDS)
    assert (site.record("a").value["Output"], site.status("a")) == ("new", "passing")


async def test_checks_of_other_nodes_do_not_expire_here(site, run, autojump_clock):
    value = {"CheckID": "b", "Status": "passing", "Type": "ttl", "Definition": {"TTL": "1s"}}
    await site.wanted.commit([Put(table=CHECKS, key="n2/b", value=value)])
    run()
    await trio.sleep(60)
    assert site.wanted.state.get(CHECKS, "n2/b").value["Status"] == "passing"


async def test_an_alias_follows_its_service(site, run, autojump_clock):
    await site.check("mirror", kind="alias", AliasService="web", service="proxy", status="critical")
    run()
    await trio.sleep(0.3)
    assert "could not be found" in site.record("mirror").value["Output"]
    await site.service("web")
    await site.check("w", service="web", TTL="1h", status="warning")
    await trio.sleep(0.3)
    assert site.status("mirror") == "warning"
    assert 'Aliased check "w" failing' in site.record("mirror").value["Output"]
    await site.check("w", service="web", TTL="1h")
    await trio.sleep(0.3)
    assert site.status("mirror") == "passing"
    await site.check("node", status="critical")
    await trio.sleep(0.3)
    assert site.status("mirror") == "critical"


async def test_a_service_that_is_critical_for_too_long_goes(site, run, autojump_clock):
    await site.service("web")
    wanted = {"TTL": "1h", "DeregisterCriticalServiceAfter": "1m30s"}
    await site.check("w", service="web", status="critical", **wanted)
    run()
    await trio.sleep(80)
    await site.check("w", service="web", status="passing", **wanted)
    await trio.sleep(1)
    await site.check("w", service="web", status="critical", **wanted)
    await trio.sleep(89)
    assert site.wanted.state.get(SERVICES, "c1/web")
    await trio.sleep(2)
    assert site.wanted.state.get(SERVICES, "c1/web") is None
    assert site.record("w") is None


async def test_it_waits_a_minute_at_least(site, run, autojump_clock):
    await site.service("web")
    await site.check(
        "w", service="web", status="critical", TTL="1h", DeregisterCriticalServiceAfter="1s"
    )
    run()
    await trio.sleep(59)
    assert site.wanted.state.get(SERVICES, "c1/web")
    await trio.sleep(2)
    assert site.wanted.state.get(SERVICES, "c1/web") is None


async def test_a_full_disk_is_tried_again(site, run, autojump_clock, monkeypatch):
    await site.check("a", TTL="1s")
    commit, refused = site.wanted.commit, []

    async def full(changes, expect=()):
        if changes and not refused:
            refused.append(changes)
            raise StoreFull("no room")
        return await commit(changes, expect)

    monkeypatch.setattr(site.wanted, "commit", full)
    run()
    await trio.sleep(1.5)
    assert (site.status("a"), len(refused)) == ("passing", 1)
    await trio.sleep(1)
    assert site.status("a") == "critical"


async def test_a_report_while_it_expires_is_not_lost(site, run, autojump_clock, monkeypatch):
    """The present still says passing, so nothing but the write under way tells that it must be written."""
    await site.check("a", TTL="10s")
    commit = site.wanted.commit

    async def slow(changes, expect=()):
        if changes:
            await trio.sleep(5)
        return await commit(changes, expect)

    monkeypatch.setattr(site.wanted, "commit", slow)
    run()
    await trio.sleep(12)
    assert site.status("a") == "passing"
    assert site.tell("a")
    await trio.sleep(5)
    assert site.status("a") == "critical"
    assert site.tell("a")
