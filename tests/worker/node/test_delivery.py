"""Offers to workers as a table of what each knows, and when a snapshot counts as applied."""

import pytest

from cluster.certs import Root, TrustBundle
from cluster.errors import Problem
from cluster.sections import encode_snapshot
from cluster.snapshot import (
    Policy,
    Snapshot,
    SnapshotId,
    Trust,
)
from worker.node.delivery import (
    Held,
    Receiver,
    acknowledged,
    due,
    has,
    offered,
    refused,
    rolled_back,
    verdict,
)


def held(generation, *, allow=False, epoch="e"):
    bundle = TrustBundle(trust_domain="t", roots=(Root(id="r", pem=b"", active=True),))
    snapshot = Snapshot(
        trust=Trust(datacenter="dc1", bundle=bundle), policy=Policy(default_allow=allow)
    )
    encoded = encode_snapshot(snapshot)
    id_ = SnapshotId(epoch=epoch, generation=generation, digest=encoded.digest)
    return Held(id=id_, encoded=encoded, snapshot=snapshot, committed_at=3.0)


ONE, TWO, OTHER = held(1), held(2, allow=True), held(1, epoch="f")
BAD = (Problem(message="no"),)


def test_a_new_worker_gets_everything():
    offer = due(Receiver(), ONE)
    assert offer.id == ONE.id
    assert offer.sections == ONE.encoded.sections
    assert offer.committed_at == 3.0


def test_sections_that_it_holds_stay_at_home():
    receiver = acknowledged(ONE.id, ONE)
    assert due(receiver, TWO).sections.keys() == {"policy"}


@pytest.mark.parametrize(
    "receiver",
    [
        Receiver(have=ONE.id),
        Receiver(have=TWO.id),  # its node died before it could write this down
        Receiver(in_flight=TWO.id),
        Receiver(refused=ONE.id),
    ],
)
def test_nothing_is_due(receiver):
    assert due(receiver, ONE) is None
    assert due(Receiver(), None) is None


@pytest.mark.parametrize(
    "receiver", [Receiver(have=OTHER.id), Receiver(refused=TWO.id), Receiver(have=None)]
)
def test_the_offer_is_due(receiver):
    assert due(receiver, ONE).id == ONE.id


def test_the_newest_follows_an_answer_and_nothing_in_between():
    receiver = offered(Receiver(), due(Receiver(), ONE))
    assert due(receiver, TWO) is None
    receiver = acknowledged(ONE.id, TWO)
    assert due(receiver, TWO).id == TWO.id


def test_what_was_refused_is_not_offered_again_but_the_next_is():
    receiver = refused(offered(Receiver(), due(Receiver(), ONE)), ONE.id, BAD)
    assert due(receiver, ONE) is None
    assert due(receiver, TWO).id == TWO.id


def test_one_that_took_what_another_refused_goes_back():
    receiver = acknowledged(TWO.id, TWO)
    assert due(receiver, ONE) is None
    assert due(rolled_back(receiver, TWO.id), ONE).id == ONE.id
    assert rolled_back(receiver, ONE.id) == receiver


def test_a_late_word_for_what_was_given_up_brings_the_old_one_back():
    assert due(acknowledged(TWO.id, ONE), ONE).id == ONE.id
    assert acknowledged(OTHER.id, ONE).have == OTHER.id
    assert acknowledged(ONE.id, None).have == ONE.id


@pytest.mark.parametrize(
    ("receivers", "expected"),
    [
        ((), None),
        ((Receiver(have=ONE.id), Receiver()), None),
        ((Receiver(have=ONE.id), Receiver(have=TWO.id)), ()),
        ((Receiver(have=ONE.id), Receiver(refused=ONE.id, problems=BAD)), BAD),
        ((Receiver(refused=ONE.id, problems=BAD),) * 2, BAD),
        ((Receiver(have=ONE.id), Receiver(refused=TWO.id, problems=BAD)), None),
    ],
)
def test_the_verdict_over_all_workers(receivers, expected):
    assert verdict(receivers, ONE.id) == expected


def test_another_epoch_is_never_ahead():
    assert not has(Receiver(have=held(9, epoch="f").id), ONE.id)
