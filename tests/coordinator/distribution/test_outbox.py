"""The queue to one node: order, bound, and one offer at most."""

import trio

from cluster.messages import Drain, Offer, Refusal
from cluster.snapshot import SnapshotId
from coordinator.link import PackedOffers
from coordinator.outbox import Outbox


def _offer(generation, **sections) -> Offer:
    identity = SnapshotId(epoch="e", generation=generation, digest=f"digest {generation}")
    return Offer(id=identity, manifest={}, sections=sections)


async def test_messages_come_out_in_the_order_they_went_in():
    outbox = Outbox()
    messages = [Refusal(reason=str(number)) for number in range(5)]
    assert all(outbox.put(message) for message in messages)
    assert [await outbox.take() for _ in messages] == messages


async def test_a_newer_offer_takes_the_place_of_an_older_one():
    outbox = Outbox()
    for message in (_offer(1), Drain(grace_seconds=1.0), _offer(2)):
        outbox.put(message)
    assert [await outbox.take() for _ in range(2)] == [Drain(grace_seconds=1.0), _offer(2)]


async def test_a_full_outbox_refuses_all_but_an_offer():
    outbox = Outbox(limit=1)
    assert outbox.put(Drain(grace_seconds=1.0))
    assert not outbox.put(Drain(grace_seconds=2.0))
    assert outbox.put(_offer(1))
    assert outbox.put(_offer(2))
    assert [await outbox.take() for _ in range(2)] == [Drain(grace_seconds=1.0), _offer(2)]


async def test_taking_waits_for_something(autojump_clock):
    outbox, taken = Outbox(), []

    async def take():
        taken.append(await outbox.take())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await trio.sleep(1)
        assert taken == []
        outbox.put(Refusal(reason="x"))
    assert taken == [Refusal(reason="x")]


def test_equal_offers_are_packed_once_and_others_are_told_apart():
    packed = PackedOffers()
    whole = packed.pack(_offer(1, mesh=b"m", policy=b"p"))
    assert packed.pack(_offer(1, mesh=b"m", policy=b"p")) is whole
    assert packed.pack(_offer(1, mesh=b"m")) != whole
    assert packed.pack(_offer(2, mesh=b"m", policy=b"p")) != whole
