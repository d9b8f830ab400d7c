"""Durations: Go's notation both ways."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.durations import format_duration, parse_duration, within_limit


@settings(deadline=None)
@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_round_trip(nanoseconds):
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("15s", "15s"),
        ("1h30m", "1h30m0s"),
        ("90s", "1m30s"),
        ("1.5s", "1.5s"),
        ("1500ms", "1.5s"),
        ("100ms", "100ms"),
        ("1500us", "1.5ms"),
        ("1.5µs", "1.5µs"),
        ("2μs", "2µs"),
        ("7ns", "7ns"),
        ("0", "0s"),
        ("0s", "0s"),
        ("-1m", "-1m0s"),
        ("+1.s", "1s"),
        (".5s", "500ms"),
        ("100h", "100h0m0s"),
    ],
)
def test_as_go_prints_it(text, canonical):
    assert format_duration(parse_duration(text)) == canonical


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("15", "no unit"),
        ("", "is no duration"),
        ("s", "is no duration"),
        ("1 s", "is no duration"),
        ("1s ", "is no duration"),
        ("--1s", "is no duration"),
        ("1d", "unknown unit 'd'"),
        ("9" * 19 + "h", "292 years"),
    ],
)
def test_refused(text, part):
    with pytest.raises(ValueError, match=part):
        parse_duration(text)


def test_limit():
    assert within_limit(2**63 - 1) == 2**63 - 1
    with pytest.raises(ValueError, match="292 years"):
        within_limit(-(2**63))


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_parses_or_is_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert isinstance(parse_duration(text), int)
