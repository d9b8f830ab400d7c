"""What a rollout wants done. Values only."""

from dataclasses import dataclass

from cluster.snapshot import SnapshotId


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOffer:
    """Offer the current snapshot, which has this id, to a node; `state.offer` makes the message."""

    node: str
    id: SnapshotId


@dataclass(frozen=True, slots=True, kw_only=True)
class Converged:
    """Every connected node that lacked this generation has it, or a newer one, `seconds` after its commit."""

    generation: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Something an operator may want to know. `event` is a stable word, `detail` is for people."""

    event: str
    node: str
    detail: str = ""


Action = SendOffer | Converged | Log
