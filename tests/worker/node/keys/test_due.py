"""When a leaf is asked for, as a table of lives and roots."""

import random

import pytest

from cluster.certs import Leaf, Root, TrustBundle
from worker.node.keys.due import due_at, first_retry_seconds

NOW = 1_000_000.0
DAY = 86_400.0


def leaf(begin, end):
    return Leaf(uri="u", chain_pem=b"mine", key_pem=b"", not_before=begin, not_after=end)


def due(held, *roots, received_at=None, seed=0):
    bundle = TrustBundle(trust_domain="t", roots=roots)
    return due_at(
        held,
        bundle,
        now=NOW,
        chance=random.Random(seed),
        leads_to=lambda held, root: root.pem == held.chain_pem,
        received_at=received_at,
    )


MINE = Root(id="a", pem=b"mine", active=True)
MINE_OLD = Root(id="a", pem=b"mine", active=False)
THEIRS = Root(id="b", pem=b"theirs", active=True)
FRESH = leaf(NOW - 60, NOW - 60 + 3 * DAY)


@pytest.mark.parametrize("held", [None, leaf(NOW - DAY, NOW), leaf(NOW - DAY, NOW - DAY * 0.05)])
def test_at_once_without_a_valid_one(held):
    assert due(held, MINE) == NOW


@pytest.mark.parametrize("seed", range(20))
def test_between_60_and_90_percent_of_its_life(seed):
    share = (due(FRESH, MINE, seed=seed) - FRESH.not_before) / (3 * DAY)
    assert 0.6 <= share <= 0.9


def test_at_once_past_that():
    assert due(leaf(NOW - 95, NOW + 5), MINE) == NOW


@pytest.mark.parametrize("seed", range(20))
def test_spread_over_30_seconds_after_a_root_change(seed):
    assert NOW <= due(FRESH, MINE_OLD, THEIRS, seed=seed, received_at=NOW - 5) <= NOW + 30


def test_at_once_when_no_root_vouches_but_not_again_and_again():
    assert due(FRESH, THEIRS) == NOW
    assert due(FRESH, THEIRS, received_at=NOW) == NOW + 30


def test_a_leaf_that_comes_half_expired_does_not_spin():
    short = leaf(NOW - 60, NOW + 10)
    assert due(short, MINE) == NOW
    assert due(short, MINE, received_at=NOW) == NOW + 3


def test_first_retries_grow_and_are_bounded():
    chance = random.Random(1)
    waits = [first_retry_seconds(failures, chance) for failures in range(40)]
    assert 0.125 <= waits[0] <= 0.25
    assert all(15 <= wait <= 30 for wait in waits[8:])
