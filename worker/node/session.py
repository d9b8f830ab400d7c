"""What a coordinator's words mean for this node's link.  ●

Belongs here: judging an offer, and assembling it. Never here: sockets and tasks (`worker.node.link`).
"""

from enum import Enum, unique

from cluster.errors import Problem
from cluster.messages import Offer
from cluster.sections import Whole, assemble, decode_snapshot
from cluster.snapshot import SnapshotId

from .delivery import Held


@unique
class Judgement(Enum):
    """What to do with an offer."""

    APPLY = "apply it"
    ACKNOWLEDGE = "it is served already"
    WAIT = "it is being applied already"
    STALE = "it is older than what is served"


def judge(offered: SnapshotId, current: SnapshotId | None, target: SnapshotId | None) -> Judgement:
    """Another epoch always; within an epoch only what is newer."""
    if offered == current:
        return Judgement.ACKNOWLEDGE
    if offered == target:
        return Judgement.WAIT
    if (
        current is not None
        and current.epoch == offered.epoch
        and current.generation >= offered.generation
    ):
        return Judgement.STALE
    return Judgement.APPLY


def stale(offered: SnapshotId, current: SnapshotId | None) -> Problem:
    return Problem(message=f"snapshot {offered} is not newer than {current}, which is served")


def verified(offer: Offer, base: Held | None) -> Held:
    """The snapshot of an offer, put together with the sections of `base`. Raises SnapshotRejected."""
    encoded = assemble(offer.manifest, offer.sections, base.encoded if base else None)
    before = Whole.of(base.encoded, base.snapshot) if base else None
    snapshot = decode_snapshot(encoded, offer.id.digest, before)
    return Held(id=offer.id, encoded=encoded, snapshot=snapshot, committed_at=offer.committed_at)
