"""How long an answer holds, as plain values."""

import math

from worker.dial.answers import Entry, Records, ResolveLimits, joined, remembered

LIMITS = ResolveLimits(
    ttl_min_seconds=1,
    ttl_max_seconds=10,
    negative_seconds=2,
    retry_seconds=3,
    stale_seconds=100,
)
OLD = Entry(addresses=("192.0.2.1",), fresh_until=10.0, stale_until=110.0)
FAILED = Records(failed=True, why="SERVFAIL")
ABSENT = Records(why="no such name")


def found(*addresses, ttl=5.0):
    return Records(addresses=addresses, ttl_seconds=ttl)


def test_the_ttl_counts_within_bounds():
    ends = [
        remembered(None, found("192.0.2.1", ttl=ttl), 50.0, LIMITS).fresh_until
        for ttl in (0, 1, 5, 10, 86400)
    ]
    assert ends == [51, 51, 55, 60, 60]


def test_the_usual_bounds_are_one_and_ten_seconds():
    usual = ResolveLimits()
    assert (usual.ttl_min_seconds, usual.ttl_max_seconds) == (1, 10)


def test_an_absent_name_is_remembered_shortly_and_ends_what_was_known():
    entry = remembered(OLD, ABSENT, 20.0, LIMITS)
    assert entry == Entry(why="no such name", fresh_until=22.0, stale_until=22.0)


def test_a_failure_keeps_the_old_answer_until_it_is_too_old():
    assert remembered(OLD, FAILED, 20.0, LIMITS) == Entry(
        addresses=OLD.addresses, fresh_until=23.0, stale_until=110.0
    )
    assert remembered(OLD, FAILED, 109.0, LIMITS).fresh_until == 110.0
    assert remembered(OLD, FAILED, 110.0, LIMITS).addresses == ()


def test_a_failure_without_an_old_answer_is_tried_again_soon():
    entry = remembered(None, FAILED, 20.0, LIMITS)
    assert entry == Entry(why="SERVFAIL", fresh_until=23.0, stale_until=23.0)


def test_families_take_turns_beginning_with_ipv4():
    both = joined(found("192.0.2.1", "192.0.2.2", "192.0.2.3", ttl=9), found("2001:db8::1", ttl=4))
    assert both.addresses == ("192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3")
    assert both.ttl_seconds == 4


def test_one_family_is_enough_whatever_the_other_said():
    for other in (ABSENT, FAILED):
        assert joined(found("192.0.2.1", ttl=7), other) == found("192.0.2.1", ttl=7)
        assert joined(other, found("2001:db8::1", ttl=7)) == found("2001:db8::1", ttl=7)


def test_absent_is_only_what_both_families_call_absent():
    assert joined(ABSENT, ABSENT) == ABSENT
    assert joined(FAILED, ABSENT).failed
    assert joined(ABSENT, FAILED).failed


def test_the_stale_time_begins_when_the_ttl_ends():
    entry = remembered(None, found("192.0.2.1", ttl=5), 0.0, LIMITS)
    assert math.isclose(entry.stale_until, 105.0)
