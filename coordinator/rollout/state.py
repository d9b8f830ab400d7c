"""What a rollout knows: the current snapshot, every node, and what can be said of them.

Belongs here: the state as values, and questions to it. Never here: how it changes (`machine`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique

from cluster.errors import Problem
from cluster.messages import NodeStatus, Offer
from cluster.sections import Encoded, same_policy
from cluster.snapshot import SnapshotId

from .convergence import Convergence


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How patient a rollout is."""

    offer_timeout_seconds: float = 30.0
    nack_backoff_seconds: float = 5.0  # doubles with every rejection of the same content
    nack_backoff_max_seconds: float = 300.0
    silence_seconds: float = 15.0  # a node that says nothing for so long is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The snapshot that every node should have. `since` is when it was published, by `now`."""

    id: SnapshotId
    encoded: Encoded
    committed_at: float
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """An offer that was not answered yet, and what the node holds once it says yes."""

    id: SnapshotId
    manifest: Mapping[str, str]
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """What a node refused last, why, how often, and until when it is left alone with it.

    `unread`: not for what is in it.
    """

    digest: str
    problems: tuple[Problem, ...]
    times: int
    until: float
    unread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node as the coordinator knows it."""

    name: str
    connected: bool = True
    have: SnapshotId | None = None
    held: Mapping[str, str] = field(default_factory=dict)
    in_flight: InFlight | None = None
    rejected: Rejection | None = None
    behind_since: float | None = None
    heard: float = 0.0
    status: NodeStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The whole state. Start with `Rollout()`."""

    limits: Limits = field(default_factory=Limits)
    current: Current | None = None
    nodes: Mapping[str, Node] = field(default_factory=dict)
    convergence: Convergence = field(default_factory=Convergence)


@unique
class NodeState(StrEnum):
    """A node in one word, as `lockgate status` shows it."""

    CURRENT = "current"
    BEHIND = "behind"
    NACKED = "nacked"
    GONE = "gone"
    DRAINING = "draining"


def node_state(rollout: Rollout, node: Node) -> NodeState:
    """The word for a node; what needs an operator most wins."""
    if not node.connected:
        return NodeState.GONE
    if node.status is not None and node.status.draining:
        return NodeState.DRAINING
    if up_to_date(rollout.current, node):
        return NodeState.CURRENT
    if is_rejected(rollout.current, node):
        return NodeState.NACKED
    return NodeState.BEHIND


def behind(rollout: Rollout) -> Mapping[str, float]:
    """Nodes that do not have the current content, and since when (by `now`)."""
    return {
        node.name: node.behind_since
        for node in rollout.nodes.values()
        if node.behind_since is not None
    }


def up_to_date(current: Current | None, node: Node) -> bool:
    """Content counts, not the number: the same digest is the same snapshot."""
    return current is None or (node.have is not None and node.have.digest == current.id.digest)


def follows(current: Current, node: Node) -> bool:
    """Whether a node has the current content by its number, or by a later one of the same history."""
    have = node.have
    return (
        have is not None
        and up_to_date(current, node)
        and have.epoch == current.id.epoch
        and have.generation >= current.id.generation
    )


def overtakes(current: Current, flight: InFlight) -> bool:
    """Whether the current snapshot is not to wait for the answer to the one in flight.

    It may withdraw a permission, and a single worker that hangs or boots can hold an answer up for seconds.
    """
    return not same_policy(current.encoded.manifest, flight.manifest)


def surely_held(node: Node) -> Mapping[str, str]:
    """The sections that a node holds whether or not it has taken what is in flight to it."""
    if node.in_flight is None:
        return node.held
    manifest = node.in_flight.manifest
    return {name: digest for name, digest in node.held.items() if manifest.get(name) == digest}


def is_rejected(current: Current | None, node: Node) -> bool:
    """Whether the last thing this node refused is what it should have."""
    rejected = node.rejected
    return current is not None and rejected is not None and rejected.digest == current.id.digest


def offer(current: Current, node: Node) -> Offer:
    """The message that offers `current` to `node`: only the sections it does not hold."""
    return Offer(
        id=current.id,
        manifest=current.encoded.manifest,
        sections=current.encoded.without(node.held),
        committed_at=current.committed_at,
    )
