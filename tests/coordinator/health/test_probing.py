"""Probes go to the hosts, verdicts into the catalog: on a fake clock, over a real store."""

import pytest
import trio

from cluster.catalog import Health
from cluster.errors import LockgateError
from cluster.messages import Verdicts
from cluster.probes import Verdict
from coordinator.health import probing
from coordinator.health.probes import assigned
from coordinator.health.probing import OUTPUT_SECONDS, Probing
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Delete, Put, StoreFull
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES
from coordinator.store.wanted import Wanted

ENTRY = {"Kind": "terminating-gateway", "Name": "egress", "Services": [{"Name": "shop"}]}
LINK = "terminating-gateway/egress"


class Site:
    """A catalog with `egress` on two hosts, and what each host was told last."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.told, self.away = {}, set()
        self.messages = 0
        self.probing = Probing(wanted, trio.Lock(), self._send, self._connected)

    def _connected(self):
        return tuple(host for host in ("gw1", "gw2") if host not in self.away)

    def _send(self, node, message):
        if node in self.away:
            raise LockgateError("it is away")
        self.messages += 1
        self.told[node] = [probe.check for probe in message.probes]

    async def put(self, table, key, value):
        await self.wanted.commit([Put(table=table, key=key, value=value)])

    async def fill(self):
        for host in ("gw1", "gw2"):
            gateway = {"ID": "egress", "Service": "egress", "Kind": "terminating-gateway"}
            await self.put(NODES, host, {"Node": host, "Address": "10.0.0.1"})
            await self.put(SERVICES, f"{host}/egress", gateway | {"Port": 8443})
        await self.put(NODES, "out", {"Node": "out", "Address": "10.0.0.2"})
        await self.put(SERVICES, "out/shop", {"ID": "shop", "Service": "shop", "Port": 80})
        await self.put(ENTRIES, LINK, ENTRY)

    async def check(self, name="c", **definition):
        definition = {"TCP": "10.0.0.2:80", "Interval": "10s", "Timeout": "2s"} | definition
        value = {"CheckID": name, "Status": "critical", "ServiceID": "shop"}
        await self.put(CHECKS, f"out/{name}", value | {"Definition": definition})

    async def workload(self):
        """A service with a sidecar on a host of its own, and a check of an agent's kind."""
        await self.put(NODES, "app", {"Node": "app", "Address": "10.0.0.3"})
        await self.put(SERVICES, "app/web", {"ID": "web", "Service": "web", "Port": 80})
        value = {"CheckID": "w", "Status": "critical", "ServiceID": "web", "Type": "tcp"}
        definition = {"TCP": "10.0.0.3:80", "Interval": "10s"}
        await self.put(CHECKS, "app/w", value | {"Definition": definition})

    def heard(self, node, status, output="", check="out/c"):
        verdict = Verdict(check=check, status=Health(status), output=output)
        self.probing.heard(node, Verdicts(verdicts=(verdict,)))

    def record(self, check="out/c"):
        return self.wanted.state.get(CHECKS, check)

    def seen(self):
        value = self.record().value
        return value["Status"], value.get("Output", "")


@pytest.fixture
async def site(nursery):
    found = Site(await Wanted.open(MemoryStore()))
    await found.fill()
    nursery.start_soon(found.probing.run)
    return found


async def test_hosts_are_told_when_something_changes_and_not_otherwise(site, autojump_clock):
    await trio.sleep(5)
    assert site.messages == 0
    await site.check()
    await trio.sleep(2)
    assert site.told == {"gw1": ["out/c"], "gw2": ["out/c"]}
    site.heard("gw1", "passing")
    await trio.sleep(200)
    assert site.messages == 2
    await site.wanted.commit([Delete(table=ENTRIES, key=LINK)])
    await trio.sleep(2)
    assert site.told == {"gw1": [], "gw2": []}


async def test_a_host_that_says_hello_is_told_again(site, autojump_clock):
    await site.check()
    site.away.add("gw1")
    await trio.sleep(2)
    assert site.told == {"gw2": ["out/c"]}
    site.away.clear()
    site.probing.greeted("gw1")
    assert site.told["gw1"] == ["out/c"]
    site.told.clear()
    site.probing.greeted("gw1")
    site.probing.greeted("gw3")
    assert site.told == {"gw1": ["out/c"]}


async def test_what_is_found_is_written_with_its_output(site, autojump_clock):
    await site.check()
    await trio.sleep(2)
    site.heard("gw1", "passing", "it is well")
    await trio.sleep(1)
    assert site.seen() == ("passing", "it is well")
    assert site.record().value["Definition"]["TCP"] == "10.0.0.2:80"


async def test_nobody_is_believed_about_what_they_were_not_told_to_probe(site, autojump_clock):
    await site.check()
    await site.put(CHECKS, "out/own", {"CheckID": "own", "Status": "passing", "ServiceID": ""})
    await trio.sleep(2)
    site.heard("gw3", "passing")
    site.heard("gw1", "critical", check="out/own")
    site.heard("gw1", "critical", check="no/such")
    await trio.sleep(2)
    assert site.seen() == ("critical", "")
    assert site.record("out/own").value["Status"] == "passing"


async def test_it_takes_as_many_in_a_row_as_the_check_asks_for(site, autojump_clock):
    await site.check(SuccessBeforePassing=2, FailuresBeforeCritical=2)
    await trio.sleep(2)
    seen = []
    for status in ("passing", "passing", "critical", "passing", "critical", "critical"):
        site.heard("gw1", status)
        await trio.sleep(5)
        seen.append(site.seen()[0])
    assert seen == ["critical", "passing", "passing", "passing", "passing", "critical"]


async def test_one_of_two_hosts_is_no_majority_until_the_other_falls_silent(site, autojump_clock):
    await site.check()
    await trio.sleep(2)
    site.heard("gw1", "passing")
    site.heard("gw2", "passing")
    await trio.sleep(1)
    for _ in range(3):
        site.heard("gw1", "critical", "refused")
        await trio.sleep(10)
        assert site.seen()[0] == "passing"
    await trio.sleep(10)  # gw2's result is older than three rounds now
    site.heard("gw1", "critical", "refused")
    await trio.sleep(1)
    assert site.seen() == ("critical", "refused")


async def test_a_workloads_check_has_one_host_and_moves_when_it_goes(site, autojump_clock):
    await site.workload()
    await trio.sleep(2)
    ((first, told),) = site.told.items()
    assert told == ["app/w"]
    site.heard(first, "passing")
    await trio.sleep(1)
    assert site.record("app/w").value["Status"] == "critical"  # it was about another check
    site.heard(first, "passing", check="app/w")
    await trio.sleep(1)
    assert site.record("app/w").value["Status"] == "passing"

    (second,) = {"gw1", "gw2"} - {first}
    site.away.add(first)
    await trio.sleep(2)
    assert site.told[second] == ["app/w"]
    site.heard(first, "critical", check="app/w")
    await trio.sleep(1)
    assert site.record("app/w").value["Status"] == "passing"  # not its task any more
    site.heard(second, "critical", "refused", check="app/w")
    await trio.sleep(1)
    assert site.record("app/w").value["Output"] == "refused"

    site.away.clear()
    site.probing.greeted(first)
    await trio.sleep(2)
    assert site.told == {first: ["app/w"], second: []}


async def test_a_status_is_no_reason_to_look_who_asks(site, autojump_clock, monkeypatch):
    await site.check()
    await trio.sleep(2)
    looked = []
    monkeypatch.setattr(probing, "assigned", lambda *given: looked.append(1) or assigned(*given))
    for status in ("passing", "critical", "passing"):
        site.heard("gw1", status)
        site.heard("gw2", status)
        await trio.sleep(2)
        assert site.seen()[0] == status
    assert looked == []
    await site.check(Interval="20s")
    await trio.sleep(2)
    assert looked == [1]


async def test_silence_changes_nothing(site, autojump_clock):
    await site.check()
    await trio.sleep(2)
    site.heard("gw1", "passing")
    await trio.sleep(86_400)
    assert site.seen()[0] == "passing"


async def test_an_output_alone_is_written_now_and_then(site, autojump_clock):
    await site.check()
    await trio.sleep(2)
    site.heard("gw1", "passing", "took 1 ms")
    await trio.sleep(1)
    index = site.record().modify_index
    for at in range(28):
        site.heard("gw1", "passing", f"took {at} ms")
        await trio.sleep(10)
    assert site.record().modify_index == index
    await trio.sleep(OUTPUT_SECONDS)
    site.heard("gw1", "passing", "took long")
    await trio.sleep(1)
    assert site.seen() == ("passing", "took long")


async def test_an_output_is_cut_to_a_length(site, autojump_clock):
    await site.check()
    await trio.sleep(2)
    site.heard("gw1", "passing", "ä" * 10_000)
    await trio.sleep(1)
    assert site.seen() == ("passing", "ä" * 2048)


async def test_a_new_registration_counts_its_results_anew_once_it_is_probed_again(
    site, autojump_clock
):
    await site.check(FailuresBeforeCritical=3)
    await trio.sleep(2)
    site.heard("gw1", "passing")
    site.heard("gw1", "critical")
    site.heard("gw1", "critical")
    await trio.sleep(1)
    await site.wanted.commit([Delete(table=CHECKS, key="out/c")])
    await trio.sleep(2)
    await site.check(FailuresBeforeCritical=3)
    await trio.sleep(2)
    site.heard("gw1", "passing")
    site.heard("gw1", "critical")
    await trio.sleep(1)
    assert site.seen()[0] == "passing"


async def test_a_store_that_fails_is_tried_again(site, autojump_clock, monkeypatch):
    await site.check()
    await trio.sleep(2)
    commit, failures = site.wanted.commit, [StoreFull("no room"), StoreFull("no room")]

    async def failing(changes, *arguments, **options):
        if failures:
            raise failures.pop()
        return await commit(changes, *arguments, **options)

    monkeypatch.setattr(site.wanted, "commit", failing)
    site.heard("gw1", "passing")
    await trio.sleep(10)
    assert not failures
    assert site.seen()[0] == "passing"
