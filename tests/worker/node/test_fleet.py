"""What is known of workers adds up, in whatever order it comes."""

import pytest

from cluster.bus import Peer
from cluster.messages import Family, Metrics, Sample, WorkerStatus
from cluster.snapshot import SnapshotId
from worker.node.changes import Changes
from worker.node.cover import Standing
from worker.node.delivery import Receiver
from worker.node.fleet import BOOT_SECONDS, SILENT_SECONDS, Fleet, Link
from worker.node.processes import Identity, Process

SOME = SnapshotId(epoch="e", generation=4, digest="d")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def fleet(clock):
    return Fleet(size=2, changes=Changes(), clock=clock)


def process(pid):
    return Process(identity=Identity(pid=pid, started=1), descriptor=-1)


def link(fleet, index=0, incarnation="a", have=SOME):
    return Link(
        index=index,
        incarnation=incarnation,
        peer=Peer(identity="", routing_id=incarnation.encode()),
        receiver=Receiver(have=have),
        greeted_at=fleet.clock(),
        last_heard=fleet.clock(),
    )


def serving(fleet, index=0, incarnation="a", pid=10):
    made = link(fleet, index, incarnation)
    fleet.started(index, process(pid))
    assert fleet.present(index, pid, incarnation)
    assert fleet.greet(made)
    return made


def test_serving_takes_presence_hello_and_a_snapshot(fleet):
    fleet.started(0, process(10))
    assert fleet.standings() == {}
    assert fleet.present(0, 10, "a")
    assert fleet.standings() == {0: Standing.STARTING}
    made = link(fleet, have=None)
    assert fleet.greet(made)
    assert fleet.standings() == {0: Standing.STARTING}
    made.receiver = Receiver(have=SOME)
    assert fleet.standings() == {0: Standing.SERVING}
    assert not fleet.is_ready()
    serving(fleet, 1, "b", 11)
    assert fleet.is_ready()


def test_a_silent_one_a_draining_one_and_one_too_many(fleet, clock):
    made = serving(fleet)
    clock.now += SILENT_SECONDS + 0.1
    assert fleet.standings() == {0: Standing.SILENT}
    made.last_heard = clock.now
    made.status = WorkerStatus(index=0, pid=10, draining=True)
    assert fleet.standings() == {0: Standing.LEAVING}
    serving(fleet, 5, "z", 15)
    assert fleet.standings()[5] is Standing.LEAVING
    fleet.leaving = True
    assert set(fleet.standings().values()) == {Standing.LEAVING}


def test_an_end_forgets_all_but_what_was_counted(fleet):
    made = serving(fleet)
    told = (
        Family(name="c", kind="counter", help="", samples=(Sample("c_total", {}, 3.0),)),
        Family(name="g", kind="gauge", help="", samples=(Sample("g", {}, 3.0),)),
    )
    made.counted.take(Metrics(index=0, families=told))
    fleet.ended(0)
    assert fleet.standings() == {}
    assert list(fleet.links) == []
    assert [family.name for family in fleet.departed] == ["c"]


def test_hello_again_keeps_the_count_and_a_new_incarnation_adds_to_it(fleet):
    counted = (Family(name="c", kind="counter", help="", samples=(Sample("c_total", {}, 3.0),)),)
    serving(fleet).counted.take(Metrics(index=0, families=counted))
    again = link(fleet)
    assert fleet.greet(again)
    assert (again.counted.families, fleet.departed) == (counted, ())
    fleet.absent(0, "a")
    assert fleet.greet(link(fleet, incarnation="b"))
    assert fleet.departed == counted


def test_a_stranger_is_turned_away(fleet):
    serving(fleet)
    assert not fleet.present(0, 99, "x")
    assert not fleet.greet(link(fleet, incarnation="x"))
    assert fleet.standings() == {0: Standing.SERVING}


def test_presence_of_a_new_incarnation_ends_the_old_link(fleet):
    serving(fleet)
    assert fleet.present(0, 10, "b")
    assert list(fleet.links) == []
    fleet.absent(0, "a")  # the old exchange ends late
    assert fleet.member(0).presented == "b"


def test_voters_are_who_is_there_or_about_to_be(fleet, clock):
    assert list(fleet.voters()) == []
    made = serving(fleet)
    fleet.started(1, process(11))
    assert list(fleet.voters()) == [made.receiver, Receiver()]
    clock.now += BOOT_SECONDS + 0.1  # a second one that does not come; the first has fallen silent
    assert list(fleet.voters()) == []
    made.last_heard = clock.now
    assert list(fleet.voters()) == [made.receiver]


def test_statuses_say_what_only_the_node_knows(fleet):
    made = serving(fleet)
    made.status = WorkerStatus(index=0, pid=10, connections=7, missing_leaves=1)
    fleet.member(0).restarts = 2
    fleet.started(1, process(11))
    assert fleet.statuses() == (
        WorkerStatus(index=0, pid=10, generation=4, connections=7, restarts=2, missing_leaves=1),
        WorkerStatus(index=1, pid=11),
    )


def test_one_that_is_away_keeps_its_place_until_the_node_drains(fleet):
    serving(fleet)
    serving(fleet, 1, "b", 11)
    fleet.ended(0)
    assert fleet.statuses() == (
        WorkerStatus(index=0, pid=10),
        WorkerStatus(index=1, pid=11, generation=4),
    )
    fleet.leaving = True
    assert [status.index for status in fleet.statuses()] == [1]
