"""Which offers are applied, and what an offer is verified against."""

import pytest

from cluster.certs import Root, TrustBundle
from cluster.errors import SnapshotRejected
from cluster.messages import Offer
from cluster.sections import encode_snapshot
from cluster.snapshot import (
    Policy,
    Snapshot,
    SnapshotId,
    Trust,
)
from worker.node.delivery import Held
from worker.node.session import Judgement, judge, stale, verified


def id_(generation, epoch="e", digest="d"):
    return SnapshotId(epoch=epoch, generation=generation, digest=digest)


@pytest.mark.parametrize(
    ("offered", "current", "target", "expected"),
    [
        (id_(1), None, None, Judgement.APPLY),
        (id_(2), id_(1), id_(1), Judgement.APPLY),
        (id_(1), id_(1), id_(1), Judgement.ACKNOWLEDGE),
        (id_(1), id_(2), id_(2), Judgement.STALE),
        (id_(2, digest="x"), id_(2), id_(2), Judgement.STALE),
        (id_(1, epoch="f"), id_(2), id_(2), Judgement.APPLY),
        (id_(2), id_(1), id_(2), Judgement.WAIT),
        (id_(2), None, id_(2), Judgement.WAIT),
        (id_(3), id_(1), id_(2), Judgement.APPLY),
        (id_(2), id_(1), id_(3), Judgement.APPLY),
    ],
)
def test_another_epoch_always_within_one_only_what_is_newer(offered, current, target, expected):
    assert judge(offered, current, target) is expected


def test_a_stale_offer_names_both():
    assert "snapshot 1 (d, epoch e) is not newer than 2 (d, epoch e)" in str(stale(id_(1), id_(2)))


def snapshot(**changes):
    bundle = TrustBundle(trust_domain="t", roots=(Root(id="r", pem=b"", active=True),))
    return Snapshot(trust=Trust(datacenter="dc1", bundle=bundle), **changes)


def offer(made, *, without=()):
    encoded = encode_snapshot(made)
    sections = {name: body for name, body in encoded.sections.items() if name not in without}
    id_ = SnapshotId(epoch="e", generation=1, digest=encoded.digest)
    return Offer(id=id_, manifest=encoded.manifest, sections=sections, committed_at=2.0)


def test_what_is_left_out_comes_from_what_is_held():
    base = verified(offer(snapshot()), None)
    changed = snapshot(policy=Policy(default_allow=True))
    held = verified(offer(changed, without=("trust", "mesh", "terminating")), base)
    assert isinstance(held, Held)
    assert (held.snapshot, held.committed_at) == (changed, 2.0)


def test_what_is_missing_or_not_as_announced_is_refused():
    with pytest.raises(SnapshotRejected, match="trust: the section is missing"):
        verified(offer(snapshot(), without=("trust",)), None)
    other = verified(offer(snapshot(policy=Policy(default_allow=True))), None)
    with pytest.raises(SnapshotRejected, match="policy: the section is missing"):
        verified(offer(snapshot(), without=("policy",)), other)
