from coordinator.store.graves import Graves
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Delete, Put
from coordinator.store.wanted import Wanted


def test_a_deleted_key_is_remembered_and_the_rest_has_the_floor():
    graves = Graves(floor=3)
    graves.bury("a/1", 7)
    graves.bury("a/1", 9)
    assert (graves.of_key("a/1"), graves.of_key("a/2")) == (9, 3)
    assert (graves.under("a/"), graves.under("b"), graves.under("")) == (9, 3, 9)


def test_what_is_forgotten_raises_the_floor():
    graves = Graves(floor=0, limit=2)
    for revision, key in enumerate("abcd", start=1):
        graves.bury(key, revision)
    assert [graves.of_key(key) for key in "abcd"] == [2, 2, 3, 4]


async def test_no_index_goes_back_when_the_store_is_loaded_anew():
    store = MemoryStore()
    wanted = await Wanted.open(store)

    def indexes(state):
        return [state.key_index("kv", key) for key in ("a", "b", "never")] + [
            state.prefix_index("kv", prefix) for prefix in ("", "a", "b", "never")
        ]

    for key in "abc":
        await wanted.commit([Put(table="kv", key=key, value={})])
    await wanted.commit([Delete(table="kv", key="b")])
    before = indexes(wanted.state)
    after = indexes((await Wanted.open(store)).state)
    assert all(late >= early for late, early in zip(after, before, strict=True))
    assert before == [1, 4, 0, 4, 1, 4, 0]
