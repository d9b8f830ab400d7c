"""Medians, ratios, bounds."""

import pytest

from tests.bench.figures import Target, better, median, ratio


def test_a_median_is_of_the_figures_that_are_there():
    assert median([3.0, None, 1.0, 2.0]) == 2.0
    assert median([1.0, 2.0]) == 1.5
    assert median([None, None]) is None


def test_a_ratio_needs_both_sides_and_something_above_zero():
    assert ratio(6.0, 4.0) == 1.5
    assert ratio(None, 4.0) is None
    assert ratio(6.0, None) is None
    assert ratio(6.0, 0.0) is None
    assert ratio(6.0, -3.0) is None


def test_the_better_peer_is_the_one_with_more_or_with_less():
    assert better([1.0, None, 3.0], higher=True) == 3.0
    assert better([1.0, None, 3.0], higher=False) == 1.0
    assert better([None], higher=True) is None


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target(at_least=0.85), 0.85, True),
        (Target(at_least=0.85), 0.84, False),
        (Target(at_most=1.25), 1.25, True),
        (Target(at_most=1.25), 1.26, False),
    ],
)
def test_a_target_is_a_bound_and_the_bound_itself_is_good(target, value, met):
    assert target.met_by(value) is met


def test_a_target_says_whom_it_is_about():
    assert str(Target(at_least=0.95)) == "≥ 0.95"
    assert str(Target(against="haproxy", at_most=1.5)) == "≤ 1.5 (HAProxy)"
