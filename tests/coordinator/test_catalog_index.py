"""The index of the catalog says what a look at all records says, whatever was committed in whatever order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.catalog import Kind
from coordinator.catalog_index import CatalogIndex, following, is_watched, node_of
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Delete, Put
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES
from coordinator.store.wanted import Wanted

IDS, NAMES, HOSTS = ("i1", "i2", "i3"), ("web", "db"), ("n1", "n2")
KINDS = ("", "connect-proxy", "terminating-gateway")
nodes = st.builds(
    lambda name, address: Put(table=NODES, key=name, value={"Node": name, "Address": address}),
    st.sampled_from(HOSTS),
    st.sampled_from("ab"),
)


@st.composite
def services(draw):
    node, identity = draw(st.sampled_from(HOSTS)), draw(st.sampled_from(IDS))
    value = {"ID": identity, "Service": draw(st.sampled_from(NAMES))}
    value["Kind"] = draw(st.sampled_from(KINDS))
    value["Proxy"] = {"DestinationServiceName": draw(st.sampled_from(NAMES))}
    return Put(table=SERVICES, key=f"{node}/{identity}", value=value)


@st.composite
def checks(draw):
    node, name = draw(st.sampled_from(HOSTS)), draw(st.sampled_from("xyz"))
    value = {"CheckID": name, "ServiceID": draw(st.sampled_from(("", *IDS)))}
    value["Type"] = draw(st.sampled_from(("ttl", "tcp", "alias")))
    value["Status"] = draw(st.sampled_from(("passing", "critical")))
    return Put(table=CHECKS, key=f"{node}/{name}", value=value)


changes = st.one_of(nodes, services(), checks())
commits = st.lists(
    st.lists(
        changes.flatmap(lambda put: st.sampled_from([put, Delete(table=put.table, key=put.key)])),
        max_size=4,
    ),
    max_size=8,
)


def seen(index):
    """Everything the index finds."""
    return {
        "instances": {name: index.instances(name) for name in NAMES},
        "proxies": {name: index.proxies(name) for name in NAMES},
        "gateways": index.of_kind(Kind.TERMINATING_GATEWAY),
        "on": {node: (index.services_on(node), index.checks_on(node)) for node in HOSTS},
        "of": {(node, one): index.checks_of(node, one) for node in HOSTS for one in IDS},
        "watched": sorted(index.watched(), key=lambda record: record.key),
    }


def shown(state, name):
    """All that the API shows of one service."""
    found = []
    for key, record in sorted(state.table(SERVICES).items()):
        if record.value["Service"] == name:
            node = node_of(record)
            about = ("", record.value["ID"])
            own = [c for c in state.under(CHECKS, f"{node}/") if c.value["ServiceID"] in about]
            found.append((record, state.get(NODES, node), sorted(own, key=lambda c: c.key), key))
    return found


@given(commits=commits)
async def test_it_agrees_with_a_look_at_everything(commits):
    wanted = await Wanted.open(MemoryStore())
    index = following(wanted)
    before = {name: (shown(wanted.state, name), index.service_index(name)) for name in NAMES}
    for batch in commits:
        await wanted.commit(batch)
        assert seen(index) == seen(CatalogIndex(wanted.state))
        for record in wanted.state.table(SERVICES).values():
            assert record in index.instances(record.value["Service"])
        for name in NAMES:
            now = shown(wanted.state, name), index.service_index(name)
            if now[0] != before[name][0]:
                assert now[1] == wanted.state.revision
            assert before[name][1] <= now[1] <= max(wanted.state.revision, 0)
            before[name] = now


@pytest.fixture
async def wanted():
    return await Wanted.open(MemoryStore())


async def test_what_happens_to_others_does_not_count(wanted):
    index = following(wanted)
    web = Put(table=SERVICES, key="n1/web", value={"ID": "web", "Service": "web"})
    await wanted.commit([web])
    mine = index.service_index("web")
    other = {"CheckID": "c", "ServiceID": "db", "Status": "passing"}
    db = Put(table=SERVICES, key="n1/db", value={"ID": "db", "Service": "db"})
    await wanted.commit([db, Put(table=CHECKS, key="n1/c", value=other)])
    assert index.service_index("web") == mine
    assert index.service_index("db") == index.node_index("n1") == wanted.state.revision
    await wanted.commit([Put(table=NODES, key="n1", value={"Node": "n1", "Address": "a"})])
    assert index.service_index("web") == wanted.state.revision


async def test_gateways_and_links_count_for_who_dials_through_them(wanted):
    index = following(wanted)
    gateway = {"ID": "gw", "Service": "gw", "Kind": "terminating-gateway"}
    await wanted.commit([Put(table=SERVICES, key="n1/gw", value=gateway)])
    assert index.connect_index("billing") == wanted.state.revision
    link = {"Kind": "terminating-gateway", "Name": "gw"}
    await wanted.commit([Put(table=ENTRIES, key="terminating-gateway/gw", value=link)])
    assert index.connect_index("billing") == wanted.state.revision
    await wanted.commit([Put(table=ENTRIES, key="service-defaults/x", value={"Name": "x"})])
    assert index.connect_index("billing") == wanted.state.revision - 1


async def test_after_a_restart_nothing_is_older_than_what_it_was(wanted):
    """Who was deleted before is not known, so nobody's index may be lower than the tables' were."""
    await wanted.commit([Put(table=SERVICES, key="n1/web", value={"ID": "web", "Service": "web"})])
    await wanted.commit([Delete(table=SERVICES, key="n1/web")])
    assert CatalogIndex(wanted.state).service_index("web") == wanted.state.revision


def test_checks_that_change_by_themselves_are_watched():
    put = Put(
        table=CHECKS, key="n/c", value={"Definition": {"DeregisterCriticalServiceAfter": "1m"}}
    )
    assert is_watched(put)


async def test_names_that_come_and_go_leave_nothing_behind_and_no_index_goes_back():
    wanted = await Wanted.open(MemoryStore())
    index = following(wanted)
    seen = 0
    for number in range(3):
        name = f"job-{number}"
        value = {"ID": name, "Service": name, "Kind": "connect-proxy"}
        value["Proxy"] = {"DestinationServiceName": f"of-{name}"}
        check = {"CheckID": "c", "ServiceID": name, "Status": "passing"}
        put = [
            Put(table=NODES, key=f"host-{number}", value={"Node": f"host-{number}"}),
            Put(table=SERVICES, key=f"host-{number}/{name}", value=value),
            Put(table=CHECKS, key=f"host-{number}/c", value=check),
        ]
        await wanted.commit(put)
        made = index.service_index(name)
        await wanted.commit([Delete(table=one.table, key=one.key) for one in put])
        assert index.service_index(name) == index.node_index(f"host-{number}") > made > seen
        assert index.connect_index(f"of-{name}") > made
        seen = made
    sized = [value for value in vars(index).values() if hasattr(value, "__len__")]
    sized += [value._at for value in vars(index).values() if hasattr(value, "_at")]
    assert len(sized) > 8
    assert not any(sized)
