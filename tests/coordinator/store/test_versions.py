"""Every earlier state of the entries can be had again, as far as its versions are kept."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from coordinator.store import versions as versions_module
from coordinator.store.author import AUTHOR
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Delete, Put
from coordinator.store.sqlite import open_store
from coordinator.store.versions import NotKept, entries_at, floor, present_entries, versions
from coordinator.store.wanted import Wanted

A, B = "service-intentions/a", "service-intentions/b"


def put(key, value, table="entries"):
    return Put(table=table, key=key, value={"v": value})


def delete(key):
    return Delete(table="entries", key=key)


@pytest.fixture
async def wanted():
    return await Wanted.open(MemoryStore(), lambda: 1000.0)


CHANGE = st.one_of(
    st.builds(put, st.sampled_from((A, B)), st.integers(0, 2)),
    st.builds(delete, st.sampled_from((A, B))),
    st.builds(put, st.just("n1"), st.integers(0, 2), st.just("nodes")),
)


@given(st.lists(st.lists(CHANGE, max_size=3), max_size=12))
def test_whatever_was_committed_every_revision_comes_back_as_it_was(commits):
    async def play():
        wanted = await Wanted.open(MemoryStore(), lambda: 0.0)
        was = {0: {}}
        for changes in commits:
            await wanted.commit(changes)
            was[wanted.state.revision] = present_entries(wanted.state)
        for revision, entries in was.items():
            assert entries_at(wanted.state, revision) == entries
        assert all(version.changes for version in versions(wanted.state))

    trio.run(play)


async def test_a_version_says_when_who_why_and_what(wanted):
    AUTHOR.set("user root")
    await wanted.commit([put(A, 1)])
    await wanted.commit([put(A, 2), delete(B), put(B, 1)], note="because")
    newest, first = versions(wanted.state)
    assert (newest.revision, newest.at, newest.author) == (2, 1000.0, "user root")
    assert newest.note == "because"
    assert [(c.key, c.change, c.before) for c in newest.changes] == [
        (A, "update", {"v": 1}),
        (B, "create", None),
    ]
    assert [c.change for c in first.changes] == ["create"]


async def test_commits_that_touch_no_entry_leave_no_version(wanted):
    await wanted.commit([put("n1", 1, table="nodes")])
    assert versions(wanted.state) == ()
    assert wanted.state.table_index("versions") == 0


@pytest.mark.parametrize("limit", ["KEEP", "KEEP_BYTES"])
async def test_the_oldest_are_let_go_and_nobody_pretends_to_know_them(wanted, monkeypatch, limit):
    await wanted.commit([put(A, "x" * 100)])
    size = versions(wanted.state)[0].size_bytes
    monkeypatch.setattr(versions_module, limit, 3 if limit == "KEEP" else 3 * size + 400)
    for number in range(2, 8):
        await wanted.commit([put(A, f"{number}" * 100)])
    kept = [version.revision for version in versions(wanted.state)]
    assert kept[-1] > 1
    assert kept == list(range(7, kept[-1] - 1, -1))
    assert floor(wanted.state) == kept[-1] - 1
    assert entries_at(wanted.state, floor(wanted.state))[A]["v"][0] == str(kept[-1] - 1)
    with pytest.raises(NotKept, match="the oldest are"):
        entries_at(wanted.state, kept[-1] - 2)
    with pytest.raises(NotKept, match="no generation 8 yet"):
        entries_at(wanted.state, 8)


async def test_of_a_store_from_before_there_were_versions_only_the_present_is_known():
    store = MemoryStore()
    await store.commit([put(A, 1)])
    await store.commit([put(A, 2)])
    wanted = await Wanted.open(store)
    assert floor(wanted.state) == 2
    await wanted.commit([put(A, 3)])
    assert entries_at(wanted.state, 2) == {A: {"v": 2}}
    with pytest.raises(NotKept):
        entries_at(wanted.state, 1)


async def test_versions_survive_the_process(tmp_path):
    store = await open_store(tmp_path / "state")
    wanted = await Wanted.open(store)
    await wanted.commit([put(A, 1)])
    await wanted.commit([delete(A)])
    await store.aclose()
    again = await open_store(tmp_path / "state")
    wanted = await Wanted.open(again)
    assert entries_at(wanted.state, 1) == {A: {"v": 1}}
    await again.aclose()
