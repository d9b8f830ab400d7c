"""What a node's configuration file registers: put in place of what it registered before, all or nothing."""

import pytest
import trio

from coordinator.own_services import OwnServices
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Put
from coordinator.store.tables import CHECKS, NODES, SERVICES
from coordinator.store.wanted import Wanted

EGRESS = {"kind": "terminating-gateway", "name": "egress", "address": "10.0.0.1", "port": 8443}
API = {"name": "api", "id": "api-1", "port": 8080, "address": "10.0.0.1"}


@pytest.fixture
async def wanted():
    return await Wanted.open(MemoryStore())


@pytest.fixture
def register(wanted):
    """Register as a node; gives the problems' texts."""

    async def register(node, *definitions):
        problems = await OwnServices(wanted, trio.Lock()).register(node, definitions)
        return [str(problem) for problem in problems]

    return register


def services(wanted):
    return sorted(wanted.state.table(SERVICES))


async def test_definitions_come_into_the_catalog_under_the_nodes_name(wanted, register):
    assert await register("gw1", EGRESS, API) == []
    assert services(wanted) == ["gw1/api-1", "gw1/egress"]
    record = wanted.state.get(SERVICES, "gw1/egress").value
    assert (record["Kind"], record["Port"]) == ("terminating-gateway", 8443)
    assert wanted.state.get(NODES, "gw1").value["Address"] == "10.0.0.1"


async def test_what_is_no_longer_in_the_file_goes(wanted, register):
    await register("gw1", EGRESS, API | {"check": {"tcp": "10.0.0.1:8080", "interval": "10s"}})
    assert len(wanted.state.table(CHECKS)) == 1
    await register("gw1", EGRESS)
    assert services(wanted) == ["gw1/egress"]
    assert wanted.state.table(CHECKS) == {}
    await register("gw1")
    assert services(wanted) == []


async def test_what_others_registered_stays(wanted, register):
    await register("gw2", API)
    other = {"ID": "db", "Service": "db", "Port": 1}
    await wanted.commit([Put(table=SERVICES, key="gw1/db", value=other)])
    await register("gw1", EGRESS)
    await register("gw1")
    assert services(wanted) == ["gw1/db", "gw2/api-1"]


async def test_registering_the_same_again_changes_nothing_that_anybody_waits_for(wanted, register):
    """Every node registers when it connects: a restart of the coordinator must not be a change."""
    await register("gw1", EGRESS)
    index = wanted.state.table_index(SERVICES)
    await register("gw1", EGRESS)
    assert wanted.state.table_index(SERVICES) == index


async def test_one_bad_definition_keeps_the_others_as_they_were(wanted, register):
    await register("gw1", EGRESS)
    told = await register("gw1", API, {"name": "x", "prot": 1}, {"port": 2})
    assert any("prot" in one for one in told)
    assert len(told) >= 2
    assert services(wanted) == ["gw1/egress"]


async def test_a_node_without_an_address_is_told_so(wanted, register):
    (told,) = await register("gw1", {"name": "x", "port": 1})
    assert "Address is required" in told
    assert services(wanted) == []


async def test_the_address_in_the_catalog_is_kept(wanted, register):
    there = {"Node": "gw1", "Address": "192.0.2.1", "Meta": {"zone": "a"}}
    await wanted.commit([Put(table=NODES, key="gw1", value=there)])
    assert await register("gw1", {"name": "x", "port": 1}) == []
    assert wanted.state.get(NODES, "gw1").value == there


async def test_a_sidecar_in_a_definition_is_a_service_of_its_own(wanted, register):
    sidecar = {"sidecar_service": {"port": 21000}}
    assert await register("gw1", API | {"connect": sidecar}) == []
    assert services(wanted) == ["gw1/api-1", "gw1/api-1-sidecar-proxy"]
    await register("gw1", API)
    assert services(wanted) == ["gw1/api-1"]


async def test_two_definitions_with_one_id_are_a_problem_that_names_it(wanted, register):
    told = await register("gw1", API, API | {"port": 8081})
    assert told
    assert "api-1" in told[0]
    assert services(wanted) == []


async def test_registering_again_keeps_what_is_known_of_its_health(wanted, register):
    """A node registers whenever it connects; its services are not ill because of that."""
    probed = API | {"check": {"tcp": "10.0.0.1:8080", "interval": "10s"}}
    await register("gw1", probed)
    (check,) = wanted.state.table(CHECKS).values()
    told = check.value | {"Status": "passing", "Output": "connected"}
    await wanted.commit([Put(table=CHECKS, key=check.key, value=told)])
    await register("gw1", probed | {"port": 8081})
    (check,) = wanted.state.table(CHECKS).values()
    assert (check.value["Status"], check.value["Output"]) == ("passing", "connected")


async def test_it_waits_for_whoever_writes_at_the_moment(wanted, autojump_clock):
    writes = trio.Lock()
    async with writes, trio.open_nursery() as nursery:
        nursery.start_soon(OwnServices(wanted, writes).register, "gw1", (EGRESS,))
        await trio.sleep(1)
        assert services(wanted) == []
        writes.release()
        await trio.sleep(1)
        assert services(wanted) == ["gw1/egress"]
        await writes.acquire()


async def test_sidecars_without_a_port_get_one_each_and_keep_it(wanted, register):
    both = [API | {"id": f"api-{n}", "connect": {"sidecar_service": {}}} for n in (1, 2)]
    for _ in range(2):
        assert await register("gw1", *both) == []
        ports = {
            key: record.value["Port"]
            for key, record in wanted.state.table(SERVICES).items()
            if key.endswith("proxy")
        }
        assert ports == {"gw1/api-1-sidecar-proxy": 21000, "gw1/api-2-sidecar-proxy": 21001}
