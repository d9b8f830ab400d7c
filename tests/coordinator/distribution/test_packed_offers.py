"""Offers are packed once for all nodes that lack the same, and each says what it is."""

from cluster.messages import Offer, unpack
from cluster.snapshot import SnapshotId
from coordinator.link import PackedOffers


def offer(generation, digest, *sections):
    return Offer(
        id=SnapshotId(epoch="e", generation=generation, digest=digest),
        manifest={"mesh": "m", "policy": digest},
        sections=dict.fromkeys(sections, b"..."),
        committed_at=1.0,
    )


def test_the_same_offer_is_packed_once():
    packed = PackedOffers()
    first = packed.pack(offer(1, "a", "mesh"))
    assert packed.pack(offer(1, "a", "mesh")) is first
    assert packed.pack(offer(1, "a", "mesh", "policy")) != first


def test_content_that_comes_again_is_offered_by_its_new_generation():
    """Nobody lacked generation 2, so it was never packed in between."""
    packed = PackedOffers()
    packed.pack(offer(1, "a", "policy"))
    again = offer(3, "a", "policy")
    assert unpack(packed.pack(again)) == again
