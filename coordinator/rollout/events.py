"""What can happen to a rollout. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.errors import Problem
from cluster.messages import NodeStatus
from cluster.sections import Encoded
from cluster.snapshot import SnapshotId


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHello:
    """A node (re)connected: what it serves, and the section digests it can build on."""

    node: str
    have: SnapshotId | None = None
    held: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A new snapshot is in the history and may be offered.

    `committed_at` is unix seconds, for the offer; `committed` is the same moment on the clock of `now`.
    """

    id: SnapshotId
    encoded: Encoded
    committed_at: float
    committed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked:
    """A node serves this snapshot, all its workers do."""

    node: str
    id: SnapshotId


@dataclass(frozen=True, slots=True, kw_only=True)
class Nacked:
    """A node refused this snapshot and keeps the one it has; `unread` as in `cluster.messages.Nack`."""

    node: str
    id: SnapshotId
    problems: tuple[Problem, ...] = ()
    unread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGone:
    """The connection to a node is over."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReceived:
    """A node says how it is; also its heartbeat."""

    node: str
    status: NodeStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed; look at the deadlines."""


Event = NodeHello | Published | Acked | Nacked | NodeGone | StatusReceived | Tick
