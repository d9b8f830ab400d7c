"""The list of intentions follows every commit, and costs little where nothing has changed."""

from coordinator.api.pair_index import PairIndex
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Delete, Put
from coordinator.store.tables import ENTRIES
from coordinator.store.wanted import Wanted


def entry(name, *sources):
    found = [{"Name": one, "Action": "allow", "Precedence": 9} for one in sources]
    return Put(
        table=ENTRIES,
        key=f"service-intentions/{name}",
        value={"Kind": "service-intentions", "Name": name, "Sources": found},
    )


def shown(index):
    return [(p.shown["SourceName"], p.shown["DestinationName"]) for p in index.all()]


async def test_what_was_there_and_every_commit_since_in_evaluation_order():
    wanted = await Wanted.open(MemoryStore())
    await wanted.commit([entry("db", "web", "api")])
    index = PairIndex(wanted)
    await wanted.commit([entry("*", "web")])
    assert shown(index) == [("api", "db"), ("web", "db"), ("web", "*")]
    await wanted.commit([entry("db", "job"), entry("mail", "api")])
    assert shown(index) == [("api", "mail"), ("job", "db"), ("web", "*")]
    await wanted.commit([Delete(table=ENTRIES, key="service-intentions/db")])
    assert shown(index) == [("api", "mail"), ("web", "*")]


async def test_only_what_has_changed_is_made_anew():
    wanted = await Wanted.open(MemoryStore())
    index = PairIndex(wanted)
    await wanted.commit([entry("db", "web"), entry("mail", "web")])
    before = index.all()
    await wanted.commit([Put(table=ENTRIES, key="mesh/mesh", value={"Kind": "mesh"})])
    assert index.all() is before
    await wanted.commit([entry("db", "api")])
    kept = [pair for pair in index.all() if pair in before]
    assert [pair.shown["DestinationName"] for pair in kept] == ["mail"]
    assert any(pair is kept[0] for pair in before)
