"""What every store promises, asked of each of them."""

from collections.abc import Awaitable, Callable

import pytest
import trio

from coordinator.store.memory import MemoryStore
from coordinator.store.records import Conflict, Delete, Expect, Put, Record, Store, StoreClosed
from coordinator.store.sqlite import open_store


def put(key, value, table="entries"):
    return Put(table=table, key=key, value=value)


def delete(key, table="entries"):
    return Delete(table=table, key=key)


def expect(key, modify_index, table="entries"):
    return Expect(table=table, key=key, modify_index=modify_index)


@pytest.fixture(params=["memory", "sqlite"])
def make(request, tmp_path) -> Callable[[], Awaitable[Store]]:
    async def memory() -> Store:
        return MemoryStore()

    async def sqlite() -> Store:
        return await open_store(tmp_path / "state")

    return {"memory": memory, "sqlite": sqlite}[request.param]


@pytest.fixture
async def store(make):
    store = await make()
    yield store
    await store.aclose()


async def records(store) -> dict[tuple[str, str], Record]:
    loaded = await store.load()
    return {(r.table, r.key): r for r in loaded.records}


async def test_a_new_store_is_empty_at_revision_zero(store):
    loaded = await store.load()
    assert (loaded.revision, loaded.records, loaded.table_indexes) == (0, (), {})


async def test_each_commit_is_one_revision(store):
    assert await store.commit([put("a", {"x": 1}), put("b", {"x": 2})]) == 1
    assert await store.commit([put("a", {"x": 3})]) == 2
    found = await records(store)
    a, b = found["entries", "a"], found["entries", "b"]
    assert (a.value, a.create_index, a.modify_index) == ({"x": 3}, 1, 2)
    assert (b.value, b.create_index, b.modify_index) == ({"x": 2}, 1, 1)
    assert (await store.load()).revision == 2


async def test_the_same_value_again_keeps_its_index(store):
    await store.commit([put("a", {"x": 1, "y": [1]})])
    assert await store.commit([put("a", {"y": [1], "x": 1}), put("b", {})]) == 2
    assert (await records(store))["entries", "a"].modify_index == 1


async def test_a_commit_that_changes_nothing_makes_no_revision(store):
    await store.commit([put("a", {"x": 1})])
    assert await store.commit([put("a", {"x": 1}), delete("absent")]) == 1
    assert await store.commit([]) == 1
    assert (await store.load()).revision == 1


@pytest.mark.parametrize("other", [True, 1.0, "1", None, [1], {"1": 1}])
async def test_values_that_json_tells_apart_are_different(store, other):
    await store.commit([put("a", {"x": 1})])
    assert await store.commit([put("a", {"x": other})]) == 2
    value = (await records(store))["entries", "a"].value["x"]
    assert (value, type(value)) == (other, type(other))


async def test_delete_removes_and_marks_the_table(store):
    await store.commit([put("a", {}), put("n", {}, "nodes")])
    assert await store.commit([delete("a")]) == 2
    loaded = await store.load()
    assert [(r.table, r.key) for r in loaded.records] == [("nodes", "n")]
    assert loaded.table_indexes == {"entries": 2, "nodes": 1}


async def test_a_record_made_anew_gets_a_new_create_index(store):
    for change in (put("a", {}), delete("a"), put("a", {})):
        await store.commit([change])
    assert (await records(store))["entries", "a"].create_index == 3


async def test_of_several_changes_to_one_key_the_last_counts(store):
    await store.commit([put("a", {"x": 1}), delete("a"), put("b", {}), put("b", {"x": 2})])
    found = await records(store)
    assert list(found) == [("entries", "b")]
    assert found["entries", "b"].value == {"x": 2}


async def test_one_key_may_be_in_two_tables(store):
    await store.commit([put("a", {"x": 1}), put("a", {"x": 2}, "nodes")])
    await store.commit([delete("a")])
    assert list(await records(store)) == [("nodes", "a")]


@pytest.mark.parametrize(("key", "index"), [("a", 0), ("a", 7), ("absent", 1)])
async def test_a_broken_expectation_writes_nothing(store, key, index):
    await store.commit([put("a", {"x": 1})])
    with pytest.raises(Conflict, match=f"entries/{key} is at index .*, expected {index}"):
        await store.commit([put("b", {}), delete("a")], [expect(key, index)])
    loaded = await store.load()
    assert (loaded.revision, [r.key for r in loaded.records]) == (1, ["a"])
    assert await store.commit([put("b", {})]) == 2


async def test_kept_expectations_let_the_commit_through(store):
    await store.commit([put("a", {"x": 1})])
    assert await store.commit([put("a", {"x": 2})], [expect("a", 1), expect("b", 0)]) == 2
    assert await store.commit([put("a", {"x": 3})], [expect("a", 2)]) == 3


async def test_a_broken_expectation_matters_even_if_nothing_would_change(store):
    await store.commit([put("a", {"x": 1})])
    with pytest.raises(Conflict):
        await store.commit([put("a", {"x": 1})], [expect("a", 0)])


async def test_the_store_keeps_its_own_copy(store):
    value = {"list": [1]}
    await store.commit([put("a", value)])
    value["list"].append(2)
    assert (await records(store))["entries", "a"].value == {"list": [1]}


async def test_a_value_that_is_no_json_is_refused_whole(store):
    with pytest.raises(TypeError):
        await store.commit([put("a", {}), put("b", {"x": object()})])
    assert await records(store) == {}


async def test_text_of_all_kinds_survives(store):
    odd = {"": "", "ключ": "値\U0001f600", "nul": "a\0b", "big": 2**62, "tiny": 1e-300}
    await store.commit([put("kind/na'me\"; --", odd, "tä ble")])
    assert (await records(store))["tä ble", "kind/na'me\"; --"].value == odd


async def test_concurrent_commits_each_get_a_revision_of_their_own(store):
    revisions = []

    async def one(number):
        revisions.append(await store.commit([put(f"k{number}", {"n": number})]))

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(one, number)
    assert sorted(revisions) == list(range(1, 21))
    found = await records(store)
    assert len({r.modify_index for r in found.values()}) == 20


async def test_of_two_that_expect_the_same_one_loses(store):
    outcomes = []

    async def claim(name):
        try:
            outcomes.append(await store.commit([put("lock", {"by": name})], [expect("lock", 0)]))
        except Conflict:
            outcomes.append("lost")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(claim, "one")
        nursery.start_soon(claim, "two")
    assert sorted(outcomes, key=str) == [1, "lost"]


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancelled_commit_is_whole_or_absent(store, steps):
    await store.commit([put("a", {"n": 0}), put("b", {"n": 0})])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.commit, [put("a", {"n": 1}), put("b", {"n": 1})])
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    loaded = await store.load()
    values = {r.value["n"] for r in loaded.records}
    assert (loaded.revision, values) in ((1, {0}), (2, {1}))
    assert await store.commit([put("c", {})]) == loaded.revision + 1


async def test_a_closed_store_says_so(store):
    await store.commit([put("a", {})])
    await store.aclose()
    await store.aclose()
    with pytest.raises(StoreClosed):
        await store.commit([put("a", {"x": 1})])
    with pytest.raises(StoreClosed):
        await store.load()


async def test_revisions_go_on_beyond_the_one_that_is_named(store):
    assert await store.commit([put("a", {"v": 1})], beyond=41) == 42
    assert await store.commit([put("a", {"v": 2})], beyond=7) == 43
    assert await store.commit([put("a", {"v": 2})], beyond=99) == 43  # it changes nothing
    assert (await store.load()).table_indexes["entries"] == 43
