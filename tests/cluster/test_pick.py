"""Choosing endpoints: by health, then by weight, never the same one twice."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cluster.pick import FirstPick, candidates
from cluster.routes import Endpoint


def _endpoint(port: int, *, weight: int = 1, healthy: bool = True) -> Endpoint:
    return Endpoint(address="10.0.0.1", port=port, weight=weight, healthy=healthy)


sets = st.lists(
    st.builds(_endpoint, st.integers(1, 65535), weight=st.integers(1, 128), healthy=st.booleans()),
    max_size=12,
    unique_by=lambda endpoint: endpoint.port,
)


@given(sets, st.integers(1, 5), st.randoms(use_true_random=False))
def test_only_healthy_ones_none_twice_as_many_as_there_are(endpoints, limit, chance):
    picked = candidates(endpoints, chance, limit=limit)
    healthy = [endpoint for endpoint in endpoints if endpoint.healthy]
    assert set(picked) <= set(healthy)
    assert len(picked) == len(set(picked)) == min(limit, len(healthy))


def test_an_unhealthy_set_fails_closed():
    assert candidates([_endpoint(1, healthy=False)], random.Random(1)) == ()
    assert candidates([], random.Random(1)) == ()


def test_the_first_is_drawn_by_weight():
    chance = random.Random(7)
    endpoints = [_endpoint(1, weight=1), _endpoint(2, weight=3), _endpoint(3, weight=6)]
    drawn = Counter(candidates(endpoints, chance)[0].port for _ in range(10_000))
    for port, share in ((1, 0.1), (2, 0.3), (3, 0.6)):
        assert abs(drawn[port] / 10_000 - share) < 0.02


def test_the_second_is_drawn_by_weight_from_what_is_left():
    chance = random.Random(7)
    endpoints = [_endpoint(1, weight=100), _endpoint(2, weight=1), _endpoint(3, weight=4)]
    seconds = [
        second.port
        for first, second, _ in (candidates(endpoints, chance) for _ in range(10_000))
        if first.port == 1
    ]
    assert abs(seconds.count(3) / len(seconds) - 0.8) < 0.02


class _AlmostOne(random.Random):
    """The largest number that `random()` may give."""

    def random(self) -> float:
        return 1.0 - 2.0**-53


def test_the_last_draw_stays_inside_whatever_rounding_does():
    endpoints = [_endpoint(port, weight=127) for port in range(1, 60)]
    assert candidates(endpoints, _AlmostOne())[0].port == 59


@given(sets, st.randoms(use_true_random=False))
def test_the_prepared_pick_is_one_that_could_come_first(endpoints, chance):
    drawn = FirstPick(endpoints).draw(chance)
    healthy = [endpoint for endpoint in endpoints if endpoint.healthy]
    assert drawn in healthy if healthy else drawn is None


def test_the_prepared_pick_has_the_same_odds():
    chance = random.Random(7)
    pick = FirstPick([_endpoint(1, weight=1), _endpoint(2, weight=3), _endpoint(3, weight=6)])
    drawn = Counter(pick.draw(chance).port for _ in range(10_000))
    assert [round(drawn[port] / 1000) for port in (1, 2, 3)] == [1, 3, 6]
