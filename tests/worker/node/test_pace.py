"""How many different snapshots a node takes, and which are never refused."""

from cluster.messages import Offer
from cluster.snapshot import SnapshotId
from worker.node.pace import MAX_CHANGES_PER_SECOND, WINDOW_SECONDS, Pace, is_limited

KEPT = SnapshotId(epoch="e", generation=7, digest="d" * 64)
SERVED = {"trust": "t", "mesh": "m", "policy": "p", "policy/01": "one"}


def offer(**changes):
    digests = {name.replace("_", "/"): digest for name, digest in changes.items()}
    manifest = {name: digest for name, digest in {**SERVED, **digests}.items() if digest}
    return Offer(id=KEPT, manifest=manifest, sections={})


def refused(pace, times):
    return [at for at in times if pace.check(at, KEPT)]


def steps(count, apart, begin=0.0):
    return [begin + number * apart for number in range(count)]


def test_twenty_changes_a_second_for_a_minute_are_legitimate():
    """As many as a coordinator offers that joins what changes within 50 ms; twice as many are too."""
    assert refused(Pace(), steps(1200, 0.05)) == []
    assert refused(Pace(), steps(2400, 0.0251)) == []


def test_what_comes_faster_is_refused_until_it_comes_slower():
    pace = Pace()
    mad = refused(pace, steps(6000, 0.01))
    most = MAX_CHANGES_PER_SECOND * WINDOW_SECONDS
    assert mad[0] == steps(6000, 0.01)[int(most)]
    assert len(mad) == 6000 - most
    assert (pace.refusals, pace.held is not None) == (len(mad), True)
    assert refused(pace, [59.99 + WINDOW_SECONDS]) == []
    assert pace.held is None


def test_the_reason_has_the_figures():
    pace = Pace(2, window_seconds=5)
    refused(pace, [1.0] * 11)
    assert str(pace.held) == (
        "max_changes_per_second: 11 different snapshots came within 5 s, and 2 a second are the limit: "
        "snapshot 7 (dddddddddddd, epoch e) is kept until fewer come; changes of intentions are taken"
    )
    refused(pace, [1.0] * 1000)
    assert "20 or more different" in str(pace.held)
    pace.settled()
    assert pace.held is None


def test_what_changes_no_permission_is_limited():
    assert is_limited(offer(mesh="other"), SERVED)
    assert is_limited(offer(mesh="", endpoints_03="new"), SERVED)


def test_denials_new_roots_the_first_and_the_same_again_are_not():
    assert not is_limited(offer(policy="other"), SERVED)
    assert not is_limited(offer(policy_01="other"), SERVED)
    assert not is_limited(offer(policy_02="new", mesh="other"), SERVED)
    assert not is_limited(offer(policy_01=""), SERVED)
    assert not is_limited(offer(trust="other"), SERVED)
    assert not is_limited(offer(mesh="other"), None)
    assert not is_limited(offer(), SERVED)
