"""When an endpoint is out, for how long, and that never too many are."""

import random

from hypothesis import given
from hypothesis import strategies as st

from cluster.balance.ejection import (
    GOOD,
    LONGEST_SECONDS,
    Crowd,
    PassiveHealth,
    Standing,
    after_failure,
    after_success,
)

RULES = PassiveHealth(max_failures=3, base_ejection_seconds=30.0, interval_seconds=10.0)
ALONE = Crowd(1, 0)


def failed(standing=GOOD, times=1, rules=RULES, crowd=ALONE, now=0.0):
    chance = random.Random(1)
    for _ in range(times):
        standing = after_failure(standing, rules, crowd, now, chance)
    return standing


def test_so_many_failures_in_a_row_and_it_is_out():
    assert failed(times=2) == Standing(failures=2)
    out = failed(times=3)
    assert out == Standing(ejections=1, out_until=30.0)
    assert out.is_out(29.9)
    assert not out.is_out(30.0)


def test_a_success_between_them_forgets_failures_and_not_ejections():
    assert after_success(failed(times=2)) == GOOD
    before = Standing(failures=2, ejections=1, out_until=30.0)
    assert after_success(before) == Standing(ejections=1, out_until=30.0)


def test_what_comes_late_to_one_that_is_out_says_nothing():
    out = failed(times=3)
    assert failed(out, times=9, now=29.0) is out


def test_the_next_time_is_longer_and_good_behaviour_shortens_it():
    out = failed(times=3)
    assert failed(out, times=3, now=31.0).out_until == 31.0 + 60.0
    assert failed(out, times=3, now=41.0).out_until == 41.0 + 30.0
    often = Standing(ejections=50, out_until=0.0)
    assert failed(often, times=3, now=1.0).out_until == 1.0 + LONGEST_SECONDS


def test_a_base_time_beyond_the_longest_holds():
    rules = PassiveHealth(max_failures=1, base_ejection_seconds=3600.0)
    assert failed(rules=rules).out_until == 3600.0


def test_enforcing_is_a_chance():
    rules = PassiveHealth(max_failures=1, enforcing_percent=25)
    chance = random.Random(2)
    found = [after_failure(GOOD, rules, ALONE, 0.0, chance).is_out(1.0) for _ in range(2000)]
    assert 400 < sum(found) < 600
    assert not failed(rules=PassiveHealth(max_failures=1, enforcing_percent=0)).is_out(1.0)


def test_a_share_may_be_out_and_one_always():
    rules = PassiveHealth(max_failures=1, max_ejection_percent=20)
    assert failed(rules=rules, crowd=Crowd(3, 0)).is_out(1.0)
    assert not failed(rules=rules, crowd=Crowd(9, 1)).is_out(1.0)
    assert failed(rules=rules, crowd=Crowd(10, 1)).is_out(1.0)
    none = PassiveHealth(max_failures=1, max_ejection_percent=0)
    assert failed(rules=none, crowd=Crowd(10, 0)).is_out(1.0)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.floats(0.0, 20.0)), max_size=200),
    st.integers(0, 100),
)
def test_never_more_are_out_than_may_be(events, percent):
    rules = PassiveHealth(max_failures=2, max_ejection_percent=percent)
    standings, now = [GOOD] * 10, 0.0
    for at, fails, seconds in events:
        now += seconds
        out = sum(one.is_out(now) for one in standings)
        if fails:
            crowd = Crowd(10, out)
            standings[at] = after_failure(standings[at], rules, crowd, now, random.Random(1))
        else:
            standings[at] = after_success(standings[at])
        assert sum(one.is_out(now) for one in standings) <= max(1, percent // 10, out)
