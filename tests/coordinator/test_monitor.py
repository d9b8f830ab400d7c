"""Events as they are told: complete, in order, and never waited for."""

import pytest
import trio

from cluster.errors import Problem
from cluster.messages import NodeStatus, WorkerStatus
from cluster.snapshot import SnapshotId
from coordinator.monitor import Monitor
from coordinator.rollout import (
    Acked,
    Converged,
    Log,
    Nacked,
    NodeHello,
    SendOffer,
    StatusReceived,
)
from coordinator.store.author import AUTHOR
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Put
from coordinator.store.wanted import Wanted

ID = SnapshotId(epoch="e", generation=7, digest="d")


@pytest.fixture
def monitor():
    return Monitor(lambda: 1000.0, room=3)


async def take(listener, count):
    with trio.fail_after(30):
        return [await listener.take() for _ in range(count)]


async def test_a_commit_names_what_it_touched_and_holds_nothing_of_it(monitor):
    wanted = await Wanted.open(MemoryStore(), lambda: 1000.0)
    wanted.follow(monitor.committed)
    AUTHOR.set("user root")
    with monitor.listening() as listener:
        entry = Put(table="entries", key="service-intentions/db", value={"secret": "x"})
        await wanted.commit([entry, Put(table="ca_keys", key="r1", value={"pem": "x"})], note="n")
        (told,) = await take(listener, 1)
    assert told == {
        "at": 1000.0,
        "event": "commit",
        "revision": 1,
        "author": "user root",
        "note": "n",
        "tables": {"entries": 1, "ca_keys": 1},
        "names": ["entries/service-intentions/db"],
    }


async def test_the_rollout_is_told_step_by_step(monitor):
    with monitor.listening() as listener:
        monitor.rolled_out(NodeHello(node="n1"), (SendOffer(node="n1", id=ID),))
        told = await take(listener, 2)
        problem = Problem(message="no")
        monitor.rolled_out(
            Nacked(node="n1", id=ID, problems=(problem,)),
            (Log(event="nacked", node="n1", detail="7: no"),),
        )
        monitor.rolled_out(Acked(node="n1", id=ID), (Converged(generation=7, seconds=0.5),))
        told += await take(listener, 3)
    assert [(one["event"], one.get("generation")) for one in told] == [
        ("connected", None),
        ("offer", 7),
        ("nack", None),
        ("ack", 7),
        ("converged", 7),
    ]
    assert told[2]["detail"] == "7: no"


def status(revocations, pid=1):
    worker = WorkerStatus(index=0, pid=pid, revocations=revocations)
    return StatusReceived(node="n1", status=NodeStatus(node="n1", engine="", workers=(worker,)))


async def test_revocations_are_told_once_also_over_a_silence_and_a_new_worker(monitor):
    with monitor.listening() as listener:
        for event in (status(2), status(2), status(0), status(2), status(1, pid=2)):
            monitor.rolled_out(event, ())
        told = await take(listener, 2)
        monitor.tell("end")
        assert (await take(listener, 1))[0]["event"] == "end"
    assert [one["connections"] for one in told] == [2, 1]


async def test_a_slow_listener_misses_the_oldest_and_knows_how_many(monitor):
    with monitor.listening() as listener, monitor.listening() as other:
        for number in range(5):
            monitor.tell("x", number=number)
        told = await take(listener, 4)
        assert (await take(other, 1))[0]["event"] == "missed"
    assert told[0] == {"event": "missed", "count": 2, "at": 1000.0}
    assert [one["number"] for one in told[1:]] == [2, 3, 4]
    monitor.tell("nobody listens")
