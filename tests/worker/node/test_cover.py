"""Nobody's share of new connections waits: every slot has a worker as long as one serves."""

from hypothesis import given
from hypothesis import strategies as st

from worker.descriptors import Slot
from worker.node.cover import Standing, assign

SERVING, SILENT, STARTING, LEAVING = (
    Standing.SERVING,
    Standing.SILENT,
    Standing.STARTING,
    Standing.LEAVING,
)


def slots(*indices, port=1):
    return frozenset(Slot(address="", port=port, index=index) for index in indices)


def test_each_has_its_own():
    assert assign(slots(0, 1), {0: SERVING, 1: SERVING}) == {0: slots(0), 1: slots(1)}


def test_a_sibling_covers_for_one_that_is_away_or_starting():
    assert assign(slots(0, 1), {0: SERVING}) == {0: slots(0, 1)}
    assert assign(slots(0, 1), {0: SERVING, 1: STARTING}) == {0: slots(0, 1)}
    assert assign(slots(0, 1), {0: SERVING, 1: LEAVING}) == {0: slots(0, 1)}


def test_a_silent_one_keeps_its_own_and_is_covered():
    assert assign(slots(0, 1), {0: SERVING, 1: SILENT}) == {0: slots(0, 1), 1: slots(1)}


def test_without_anybody_nothing_is_said():
    assert assign(slots(0, 1), {}) == {}
    assert assign(slots(0), {0: STARTING}) == {}


def test_cover_is_spread():
    told = assign(slots(*range(6)), {0: SERVING, 1: SERVING})
    assert {len(assigned) for assigned in told.values()} == {3}


@given(
    st.frozensets(
        st.builds(Slot, address=st.just(""), port=st.integers(1, 3), index=st.integers(0, 5))
    ),
    st.dictionaries(st.integers(0, 5), st.sampled_from(Standing)),
)
def test_every_slot_is_served_if_anybody_serves(all_slots, standings):
    told = assign(all_slots, standings)
    assigned = [
        slot for index, some in told.items() for slot in some if standings[index] is SERVING
    ]
    if SERVING in standings.values():
        assert frozenset(assigned) == all_slots
        assert len(assigned) == len(all_slots)
    for index in told:
        own = {slot for slot in all_slots if slot.index == index}
        assert own <= told[index]
