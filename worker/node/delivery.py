"""Bringing one snapshot to all workers: what to send to whom, and whether all have it.  ●

Belongs here: the decisions, over values. Never here: sending (`worker.node.fanout`).

At most one offer is in flight to a worker, and the newest wins: what came in between is never sent. What a
worker has refused is not offered to it again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cluster.errors import Problem
from cluster.messages import Offer
from cluster.sections import Encoded
from cluster.snapshot import Snapshot, SnapshotId


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A snapshot that the node has verified, with the bytes it came in.

    `committed_at` is the coordinator's, unix seconds.
    """

    id: SnapshotId
    encoded: Encoded = field(repr=False)
    snapshot: Snapshot = field(repr=False)
    committed_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """What is known of one worker's snapshot."""

    have: SnapshotId | None = None
    held: Mapping[str, str] = field(default_factory=dict, repr=False)
    in_flight: SnapshotId | None = None
    refused: SnapshotId | None = None
    problems: tuple[Problem, ...] = ()


def is_newer(one: SnapshotId, other: SnapshotId) -> bool:
    """Whether `one` follows `other` in the same history."""
    return one.epoch == other.epoch and one.generation > other.generation


def has(receiver: Receiver, target: SnapshotId) -> bool:
    """Whether a worker serves this content, or is ahead of it: its node died before it could keep up."""
    have = receiver.have
    return have is not None and (have == target or is_newer(have, target))


def due(receiver: Receiver, target: Held | None) -> Offer | None:
    """The offer to send now, if any."""
    if target is None or receiver.in_flight is not None or receiver.refused == target.id:
        return None
    if has(receiver, target.id):
        return None
    return Offer(
        id=target.id,
        manifest=target.encoded.manifest,
        sections=target.encoded.without(receiver.held),
        committed_at=target.committed_at,
    )


def offered(receiver: Receiver, offer: Offer) -> Receiver:
    return replace(receiver, in_flight=offer.id)


def acknowledged(id_: SnapshotId, target: Held | None) -> Receiver:
    """After an Ack, perhaps of what is no longer the target.

    One that is newer than the target was given up meanwhile, because another worker refused it; then this
    one is to be offered the target again.
    """
    if target is None:
        return Receiver(have=id_)
    if id_ == target.id:
        return Receiver(have=id_, held=target.encoded.manifest)
    return Receiver(have=None if is_newer(id_, target.id) else id_)


def refused(receiver: Receiver, id_: SnapshotId, problems: tuple[Problem, ...]) -> Receiver:
    """After a Nack: the worker keeps what it had."""
    return replace(receiver, in_flight=None, refused=id_, problems=problems)


def verdict(receivers: Iterable[Receiver], target: SnapshotId) -> tuple[Problem, ...] | None:
    """None while it is open; else the problems, none of them when every worker has the snapshot.

    Nobody to ask is open: a snapshot that no worker serves is not applied.
    """
    all_receivers = tuple(receivers)
    problems = {
        problem: None for one in all_receivers if one.refused == target for problem in one.problems
    }
    if problems:
        return tuple(problems)
    if all_receivers and all(has(one, target) for one in all_receivers):
        return ()
    return None


def rolled_back(receiver: Receiver, id_: SnapshotId) -> Receiver:
    """After another worker has refused what this one took: it is to be offered the old one again."""
    return replace(receiver, have=None) if receiver.have == id_ else receiver
