"""The step: one event in, the next state and what is to be done out.

Belongs here: how the state changes. Never here: I/O, clocks, or questions that only read (`state`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from cluster.snapshot import SnapshotId

from . import convergence
from .actions import Action, Log, SendOffer
from .events import (
    Acked,
    Event,
    Nacked,
    NodeGone,
    NodeHello,
    Published,
    StatusReceived,
    Tick,
)
from .state import (
    Current,
    InFlight,
    Node,
    Rejection,
    Rollout,
    follows,
    is_rejected,
    overtakes,
    surely_held,
    up_to_date,
)

Actions = tuple[Action, ...]
Stepped = tuple[Rollout, Actions]


def step(state: Rollout, event: Event, now: float) -> Stepped:
    """What `event` changes at `now`. Never raises, whatever a node says."""
    match event:
        case Published():
            return _published(state, event, now)
        case Tick():
            return _tick(state, now)
        case NodeHello():
            return _hello(state, event, now)
        case Acked():
            return _acked(state, event, now)
        case Nacked():
            return _nacked(state, event, now)
        case StatusReceived():
            return _status(state, event, now)
        case NodeGone():
            return _gone(state, event.node, "disconnected")
        case _:
            assert_never(event)


def _published(state: Rollout, event: Published, now: float) -> Stepped:
    if state.current is not None and state.current.id.digest == event.id.digest:
        return state, ()
    current = Current(
        id=event.id, encoded=event.encoded, committed_at=event.committed_at, since=now
    )
    nodes = {name: _measured(current, node, now) for name, node in state.nodes.items()}
    lacking = frozenset(
        node.name for node in nodes.values() if node.connected and not up_to_date(current, node)
    )
    measured = convergence.started(
        state.convergence,
        generation=event.id.generation,
        committed=event.committed,
        waiting=lacking,
    )
    state = replace(state, current=current, nodes=nodes, convergence=measured)
    return _offer_all(state, now)


def _hello(state: Rollout, event: NodeHello, now: float) -> Stepped:
    """A new connection: whatever was in flight on the old one is lost."""
    known = state.nodes.get(event.node, Node(name=event.node))
    node = replace(
        known, connected=True, have=event.have, held=dict(event.held), in_flight=None, heard=now
    )
    return _has(state, node, now)


def _acked(state: Rollout, event: Acked, now: float) -> Stepped:
    node = _heard(state, event.node, now)
    if node.in_flight is not None and node.in_flight.id == event.id:
        node = replace(node, held=node.in_flight.manifest, in_flight=None)
    return _has(state, replace(node, have=event.id, rejected=None), now)


def _nacked(state: Rollout, event: Nacked, now: float) -> Stepped:
    """Leave the node alone with this content for a while; next time it gets every section.

    Unless it did not look at what it got: then it holds what it held.
    """
    node = _heard(state, event.node, now)
    in_flight = None if node.in_flight and node.in_flight.id == event.id else node.in_flight
    before = node.rejected
    times = before.times + 1 if before and before.digest == event.id.digest else 1
    limits = state.limits
    wait = min(
        limits.nack_backoff_seconds * 2.0 ** min(times - 1, 16), limits.nack_backoff_max_seconds
    )
    rejected = Rejection(
        digest=event.id.digest,
        problems=event.problems,
        times=times,
        until=now + wait,
        unread=event.unread,
    )
    told = Log(
        event="nacked",
        node=node.name,
        detail=f"{event.id}: {'; '.join(map(str, event.problems)) or 'no reason given'}",
    )
    held = node.held if event.unread else {}
    node = replace(node, in_flight=in_flight, rejected=rejected, held=held)
    return _then((told,), _offer(_with(state, node), node.name, now))


def _status(state: Rollout, event: StatusReceived, now: float) -> Stepped:
    """A heartbeat. Who was not known, or was given up, has said with it what it has."""
    known = state.nodes.get(event.node)
    node = replace(_heard(state, event.node, now), status=event.status)
    if known is None or not known.connected:
        node = replace(node, have=event.status.have, held={}, in_flight=None)
        return _has(state, node, now)
    return _offer(_with(state, node), node.name, now)


def _gone(state: Rollout, name: str, why: str) -> Stepped:
    node = state.nodes.get(name)
    if node is None or not node.connected:
        return state, ()
    state = _with(state, replace(node, connected=False, in_flight=None))
    measured, done = convergence.left(state.convergence, name)
    return replace(state, convergence=measured), (Log(event="gone", node=name, detail=why), *done)


def _tick(state: Rollout, now: float) -> Stepped:
    actions: Actions = ()
    for node in tuple(state.nodes.values()):
        stepped = _overdue(state, node, now)
        state, actions = stepped[0], (*actions, *stepped[1])
    return _then(actions, _offer_all(state, now))


def _overdue(state: Rollout, node: Node, now: float) -> Stepped:
    """Give up a node that is silent, or an offer that is not answered."""
    limits = state.limits
    if node.connected and now - node.heard >= limits.silence_seconds:
        return _gone(state, node.name, f"silent for {now - node.heard:.0f} s")
    if node.in_flight and now - node.in_flight.since >= limits.offer_timeout_seconds:
        waited = f"{node.in_flight.id}: no answer for {now - node.in_flight.since:.0f} s"
        told = Log(event="offer_timeout", node=node.name, detail=waited)
        return _with(state, replace(node, in_flight=None, held={})), (told,)
    return state, ()


def _has(state: Rollout, node: Node, now: float) -> Stepped:
    """A node told what it has: take note, measure, and offer what is newer."""
    if up_to_date(state.current, node):
        node = replace(node, rejected=None)
    state = _with(state, _measured(state.current, node, now))
    measured, done = convergence.answered(state.convergence, node.name, _reached(state, node), now)
    return _then(done, _offer(replace(state, convergence=measured), node.name, now))


def _reached(state: Rollout, node: Node) -> int:
    """The generation of our own history that a node has; numbers of another one say nothing."""
    have: SnapshotId | None = node.have
    if have is None or state.current is None or have.epoch != state.current.id.epoch:
        return -1
    return have.generation


def _offer_all(state: Rollout, now: float) -> Stepped:
    actions: Actions = ()
    for name in state.nodes:
        state, sent = _offer(state, name, now)
        actions = (*actions, *sent)
    return state, actions


def _offer(state: Rollout, name: str, now: float) -> Stepped:
    """Offer the current snapshot to a node that wants it and is free to take it.

    A node that has its content by an older number wants it too: it costs no section, and everybody
    then says the same generation.
    """
    node, current = state.nodes[name], state.current
    if current is None or not _wants(current, node, now):
        return state, ()
    flight = InFlight(id=current.id, manifest=current.encoded.manifest, since=now)
    state = _with(state, replace(node, in_flight=flight, held=surely_held(node)))
    return state, (SendOffer(node=name, id=current.id),)


def _wants(current: Current, node: Node, now: float) -> bool:
    if not node.connected or follows(current, node):
        return False
    if node.in_flight is not None and not overtakes(current, node.in_flight):
        return False
    backing_off = node.rejected is not None and now < node.rejected.until
    return not (backing_off and is_rejected(current, node))


def _measured(current: Current | None, node: Node, now: float) -> Node:
    """Since when the node is behind: since the first snapshot that it lacks."""
    if up_to_date(current, node):
        return replace(node, behind_since=None)
    return node if node.behind_since is not None else replace(node, behind_since=now)


def _heard(state: Rollout, name: str, now: float) -> Node:
    node = state.nodes.get(name, Node(name=name))
    return replace(node, connected=True, heard=now)


def _with(state: Rollout, node: Node) -> Rollout:
    nodes: Mapping[str, Node] = {**state.nodes, node.name: node}
    return replace(state, nodes=nodes)


def _then(before: Actions, stepped: Stepped) -> Stepped:
    return stepped[0], (*before, *stepped[1])
