"""Every policy: by weight, never an unhealthy one, and how few keys move when somebody leaves."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.balance import Balancer, LoadBalancing, picker_of
from cluster.balance.drawn import Drawn, LeastRequest
from cluster.balance.maglev import Maglev
from cluster.balance.ring import USUAL_POINTS, RingHash, points_each
from cluster.balance.rotation import MAX_TURNS, RoundRobin, turns
from cluster.routes import Endpoint

SMALL_PRIME = 251


def endpoint(number, weight=1, healthy=True):
    return Endpoint(address=f"10.0.0.{number}", port=80, weight=weight, healthy=healthy)


def picker(policy, endpoints):
    if policy is LoadBalancing.MAGLEV:
        return Maglev(endpoints, SMALL_PRIME)
    return picker_of(Balancer(policy=policy, minimum_ring_size=16), endpoints)


def keys(count, seed=1):
    chance = random.Random(seed)
    return [chance.getrandbits(64) for _ in range(count)]


ENDPOINTS = st.lists(
    st.builds(
        Endpoint,
        address=st.sampled_from("abcdef"),
        port=st.integers(1, 3),
        weight=st.integers(1, 128),
        healthy=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda one: (one.address, one.port),
)


@given(
    st.sampled_from(LoadBalancing),
    ENDPOINTS,
    st.data(),
    st.one_of(st.none(), st.integers(0, 2**64 - 1)),
)
@settings(deadline=None)
def test_only_healthy_ones_that_are_not_left_out(policy, endpoints, data, key):
    without = data.draw(st.sets(st.sampled_from(endpoints))) if endpoints else set()
    allowed = {one for one in endpoints if one.healthy} - without
    made, chance = picker(policy, endpoints), random.Random(1)
    for _ in range(3):
        found = made.pick(chance, key=key, without=without)
        assert found in allowed if allowed else found is None


@pytest.mark.parametrize("policy", LoadBalancing)
def test_each_policy_has_its_picker(policy):
    made = picker_of(Balancer(policy=policy), [endpoint(1), endpoint(2)])
    assert type(made).__name__.lower() in (policy.value.replace("_", ""), "drawn")
    assert made.pick(random.Random(1), key=7) is not None


@given(st.lists(st.integers(1, 128), min_size=1, max_size=12))
def test_a_round_has_each_as_often_as_it_weighs(weights):
    endpoints = [endpoint(number, weight) for number, weight in enumerate(weights)]
    made, chance = RoundRobin(endpoints), random.Random(1)
    length = sum(weights) // math.gcd(*weights)
    found = Counter(made.pick(chance) for _ in range(length))
    assert found == {one: one.weight // math.gcd(*weights) for one in endpoints}


def test_a_round_spreads_them():
    round_ = [one.weight for one in turns([endpoint(1, 4), endpoint(2, 1), endpoint(3, 1)])]
    assert round_ == [4, 4, 1, 1, 4, 4]


def test_a_round_has_an_end():
    endpoints = [endpoint(number, weight) for number, weight in enumerate((127, 128, 1) * 40)]
    made = list(turns(endpoints))
    assert len(made) <= MAX_TURNS + len(endpoints)
    assert set(made) == set(endpoints)


def test_rounds_begin_anywhere():
    endpoints = [endpoint(number) for number in range(10)]
    begun = {RoundRobin(endpoints).pick(random.Random(seed)) for seed in range(50)}
    assert len(begun) > 5


def test_the_rotation_goes_on_over_those_left_out():
    endpoints = [endpoint(number) for number in range(3)]
    made, chance = RoundRobin(endpoints), random.Random(1)
    found = Counter(made.pick(chance, without={endpoints[0]}) for _ in range(10))
    assert found == {endpoints[1]: 5, endpoints[2]: 5}


def within_three_deviations(count, total, share):
    return abs(count - total * share) <= 3 * math.sqrt(total * share * (1 - share))


def test_draws_are_by_weight():
    endpoints = [endpoint(number, weight) for number, weight in enumerate((1, 2, 7))]
    made, chance = Drawn(endpoints), random.Random(1)
    found = Counter(made.pick(chance) for _ in range(20_000))
    assert all(within_three_deviations(found[one], 20_000, one.weight / 10) for one in endpoints)


def test_the_one_with_least_to_do():
    busy, idle = endpoint(1), endpoint(2)
    made = LeastRequest([busy, idle], 2, {busy: 5, idle: 0}.__getitem__)
    chance = random.Random(1)
    found = Counter(made.pick(chance) for _ in range(1000))
    assert 200 < found[busy] < 300  # only where both draws fell on it
    assert made.pick(chance, without={idle}) is busy


def test_two_choices_keep_the_load_even():
    """The longest queue of two choices is far shorter than that of one."""
    endpoints = [endpoint(number) for number in range(50)]

    def longest(choices):
        load: Counter[Endpoint] = Counter()
        made, chance = LeastRequest(endpoints, choices, load.__getitem__), random.Random(1)
        for _ in range(5000):
            load[made.pick(chance)] += 1
        return max(load.values())

    assert longest(2) <= 103 < 115 <= longest(1)


def ring(endpoints):
    return RingHash(endpoints, 1024, 8 << 20)


def shares(made, asked):
    chance = random.Random(1)
    return [made.pick(chance, key=key) for key in asked]


@pytest.mark.parametrize("make", [ring, Maglev])
@pytest.mark.parametrize("count", [3, 10])
def test_who_leaves_moves_no_more_than_its_keys(make, count):
    """Of n endpoints one leaves: about 1/n of the keys move; with `maglev` some few more."""
    endpoints = [endpoint(number) for number in range(count)]
    asked = keys(20_000)
    before = shares(make(endpoints), asked)
    gone = endpoints[count // 2]
    after = shares(make([one for one in endpoints if one is not gone]), asked)
    moved = sum(old is not new for old, new in zip(before, after, strict=True))
    assert moved <= 1.15 * len(asked) / count
    strangers = sum(
        old is not new for old, new in zip(before, after, strict=True) if old is not gone
    )
    assert strangers <= (0 if make is ring else 0.03 * len(asked))


@pytest.mark.parametrize("make", [ring, Maglev])
def test_who_is_left_out_for_a_while_moves_only_its_own_keys(make):
    endpoints = [endpoint(number) for number in range(10)]
    made, chance = make(endpoints), random.Random(1)
    heirs = set()
    for key in keys(3000):
        usual, now = made.pick(chance, key=key), made.pick(chance, key=key, without={endpoints[0]})
        if usual is endpoints[0]:
            heirs.add(now)
        else:
            assert now is usual
    assert len(heirs) == 9


def test_the_ring_is_closed():
    endpoints = [endpoint(number) for number in range(5)]
    made, chance = ring(endpoints), random.Random(1)
    first = made.pick(chance, key=0)
    assert made.pick(chance, key=2**64 - 1) is first
    assert made.pick(chance, key=2**64 - 1, without={first}) is made.pick(
        chance, key=0, without={first}
    )


@pytest.mark.parametrize(("make", "doubt"), [(ring, 0.15), (Maglev, 0.05)])
def test_keys_by_weight(make, doubt):
    endpoints = [endpoint(number, weight) for number, weight in enumerate((3, 2, 2, 1))]
    found = Counter(shares(make(endpoints), keys(20_000)))
    for one in endpoints:
        assert found[one] == pytest.approx(20_000 * one.weight / 8, rel=doubt)


@pytest.mark.parametrize("make", [ring, Maglev])
def test_every_worker_says_the_same(make):
    """The order in which endpoints are told does not count."""
    endpoints = [endpoint(number) for number in range(7)]
    asked = keys(500)
    assert shares(make(endpoints), asked) == shares(make(endpoints[::-1]), asked)


@pytest.mark.parametrize("make", [ring, Maglev])
def test_without_a_key_it_is_chance(make):
    endpoints = [endpoint(number) for number in range(4)]
    made, chance = make(endpoints), random.Random(1)
    assert {made.pick(chance) for _ in range(100)} == set(endpoints)


@pytest.mark.parametrize(
    ("weights", "smallest", "largest", "each"),
    [
        ([], 1024, 8 << 20, []),
        ([1, 1], 1024, 8 << 20, [512, 512]),
        ([100, 200], 1024, 8 << 20, [512, 1024]),
        ([1] * 3, 4, 8 << 20, [2] * 3),
        ([1] * 3, 1024, 30, [8] * 3),
        ([1] * 4, 1024, 2, [1] * 4),
    ],
)
def test_points(weights, smallest, largest, each):
    assert points_each(weights, smallest, largest) == each


def test_a_ring_is_bounded():
    assert sum(points_each([1] * 5000, 1024, 8 << 20)) <= USUAL_POINTS
    assert sum(points_each([1] * 10, 8 << 20, 8 << 20)) <= 262_144
