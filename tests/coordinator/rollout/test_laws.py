"""The rollout under any order of events: one offer in flight, never a rejected one too early, an end."""

from hypothesis import given
from hypothesis import strategies as st

from cluster.messages import NodeStatus
from cluster.sections import Encoded
from cluster.snapshot import SnapshotId
from coordinator.rollout import (
    Acked,
    Limits,
    Nacked,
    NodeGone,
    NodeHello,
    NodeState,
    Published,
    Rollout,
    SendOffer,
    StatusReceived,
    Tick,
    node_state,
    percentile,
    step,
)

NODES = ("n1", "n2")
ids = st.builds(
    SnapshotId,
    epoch=st.sampled_from(["e", "f"]),
    generation=st.integers(1, 9),
    digest=st.sampled_from(["aaa", "bbb", "ccc"]),
)
nodes = st.sampled_from(NODES)
times = st.floats(0, 100)
events = st.one_of(
    st.builds(NodeHello, node=nodes, have=st.none() | ids),
    st.builds(
        Published,
        id=ids,
        encoded=st.just(Encoded(manifest={}, sections={})),
        committed_at=times,
        committed=times,
    ),
    st.builds(Acked, node=nodes, id=ids),
    st.builds(Nacked, node=nodes, id=ids),
    st.builds(NodeGone, node=nodes),
    st.builds(
        StatusReceived,
        node=nodes,
        status=st.builds(NodeStatus, node=nodes, engine=st.just("x"), have=st.none() | ids),
    ),
    st.just(Tick()),
)
histories = st.lists(st.tuples(events, st.floats(0, 20)), max_size=40)


def _play(history):
    state, now = Rollout(), 0.0
    for event, pause in history:
        now += pause
        before = state
        state, actions = step(state, event, now)
        yield before, event, state, actions, now


@given(histories)
def test_an_offer_goes_only_to_a_connected_node_that_is_free_and_wants_it(history):
    for before, event, state, actions, now in _play(history):
        offered = [action.node for action in actions if isinstance(action, SendOffer)]
        assert len(offered) == len(set(offered))
        for name in offered:
            node = state.nodes[name]
            assert node.connected
            assert node.in_flight is not None
            assert node.in_flight.id == state.current.id
            assert node.have is None or _lacks(node.have, state.current.id)
            was = before.nodes.get(name)
            if was is not None and was.in_flight is not None:
                _answered_or_given_up(was, event, now)
            if node.rejected and node.rejected.digest == state.current.id.digest:
                assert now >= node.rejected.until


def _lacks(have, current):
    """Other content, or the same by a number that is not the present one."""
    same_history = have.epoch == current.epoch and have.generation >= current.generation
    return have.digest != current.digest or not same_history


def _answered_or_given_up(was, event, now):
    """A node with an offer in flight gets another one only for one of these reasons."""
    patience = Limits().offer_timeout_seconds
    assert (
        isinstance(event, NodeHello)
        or (isinstance(event, Acked | Nacked) and event.id == was.in_flight.id)
        or (isinstance(event, Tick) and now - was.in_flight.since >= patience)
    )


@given(histories.filter(bool))
def test_all_are_current_once_they_say_hello_and_answer(history):
    *_, (_, _, state, _, now) = _play(history)
    for name in NODES:
        state, actions = step(state, NodeHello(node=name), now + 1000)
        for offered in actions:
            if isinstance(offered, SendOffer):
                state, _ = step(state, Acked(node=name, id=offered.id), now + 1000)
    assert {node_state(state, node) for node in state.nodes.values()} == {NodeState.CURRENT}
    assert all(node.behind_since is None for node in state.nodes.values())


def test_percentiles_are_nearest_rank():
    values = tuple(float(number) for number in range(100, 0, -1))
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile((3.0,), 0.99) == 3
    assert percentile((), 0.5) is None
