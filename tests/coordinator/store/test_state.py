"""The picture in memory: indexes, and snapshots that stay as they were."""

import pytest

from coordinator.store.records import Delete, Loaded, Put
from coordinator.store.settle import settle
from coordinator.store.state import LiveState


@pytest.fixture
def state():
    return LiveState(Loaded(revision=0, records=(), table_indexes={}))


def apply(state, *changes):
    state.apply(settle(changes, (), lookup=state.get, revision=state.revision + 1))


def put(table, key, **value):
    return Put(table=table, key=key, value=value)


def test_an_empty_state(state):
    assert state.revision == 0
    assert state.get("nodes", "a") is None
    assert dict(state.table("nodes")) == {}
    assert list(state.under("nodes", "")) == []
    assert state.table_index("nodes") == 0


def test_reading(state):
    apply(state, put("services", "n1/web", port=1), put("services", "n10/web", port=2))
    assert state.get("services", "n1/web").value == {"port": 1}
    assert set(state.table("services")) == {"n1/web", "n10/web"}
    assert [r.key for r in state.under("services", "n1/")] == ["n1/web"]


def test_each_table_has_its_index(state):
    apply(state, put("nodes", "a"), put("checks", "a/c"))
    apply(state, put("nodes", "b"))
    apply(state, Delete(table="checks", key="a/c"))
    assert state.revision == 3
    assert (state.table_index("nodes"), state.table_index("checks")) == (2, 3)
    assert dict(state.table("checks")) == {}


def test_a_state_is_as_it_was_loaded(state):
    apply(state, put("nodes", "a", x=1), put("checks", "c"))
    apply(state, Delete(table="checks", key="c"))
    again = LiveState(
        Loaded(
            revision=2,
            records=tuple(state.table("nodes").values()),
            table_indexes={"nodes": 1, "checks": 2},
        )
    )
    assert again.get("nodes", "a") == state.get("nodes", "a")
    assert (again.revision, again.table_index("checks")) == (2, 2)


def test_a_snapshot_never_changes(state):
    apply(state, put("nodes", "a", x=1), put("nodes", "b"), put("checks", "c"))
    kept = state.snapshot()
    apply(state, put("nodes", "a", x=2), put("entries", "e"))
    apply(state, Delete(table="nodes", key="b"), Delete(table="checks", key="c"))
    assert kept.revision == 1
    assert kept.get("nodes", "a").value == {"x": 1}
    assert set(kept.table("nodes")) == {"a", "b"}
    assert set(kept.table("checks")) == {"c"}
    assert dict(kept.table("entries")) == {}
    assert (kept.table_index("nodes"), kept.table_index("entries")) == (1, 0)
    assert state.get("nodes", "a").value == {"x": 2}
    assert set(state.table("nodes")) == {"a"}


def test_only_a_touched_table_is_copied_and_only_once_per_snapshot(state):
    apply(state, put("nodes", "a"), put("checks", "c"))
    kept = state.snapshot()
    apply(state, put("nodes", "b"))
    assert state._tables["checks"] is kept._tables["checks"]
    copied = state._tables["nodes"]
    assert copied is not kept._tables["nodes"]
    apply(state, put("nodes", "d"))
    assert state._tables["nodes"] is copied


def test_a_table_cannot_be_changed_through_its_view(state):
    apply(state, put("nodes", "a"))
    with pytest.raises(TypeError):
        state.table("nodes")["b"] = None


def test_records_and_changes_do_not_print_their_values(state):
    change = put("ca_keys", "1", PrivateKey="secret")
    apply(state, change)
    assert repr(change) == "Put(ca_keys/1)"
    assert repr(state.get("ca_keys", "1")) == "Record(ca_keys/1, 1, 1)"
