"""Expressions of people: the whole text, in linear time."""

import time

import pytest

from cluster.http.pattern import MAX_BYTES, PatternError, pattern
from cluster.http.request import wire_text


@pytest.mark.parametrize(
    ("expression", "text", "matched"),
    [
        ("/v[0-9]+", "/v12", True),
        ("/v[0-9]+", "/v12/x", False),
        ("a|ab", "ab", True),
        ("(?i)abc", "ABC", True),
        ("^a$", "a", True),
        ("caf.", wire_text("café"), True),
        ("café", wire_text("café"), True),
        ("a.", "a\xff", True),
        ("a*", "", True),
    ],
)
def test_the_whole_text(expression, text, matched):
    assert pattern(expression).matches(text) is matched


@pytest.mark.parametrize("expression", ["(", "a{2000}{2000}", r"(a)\1", "(?=a)", "[z-a]"])
def test_what_is_none(expression):
    with pytest.raises(PatternError):
        pattern(expression)


def test_too_large_is_refused():
    with pytest.raises(PatternError):
        pattern("((a{100}){10}|b{1000}){10}" + "|x{1000}" * (MAX_BYTES // 10_000))


def test_equal_ones_in_use_are_one():
    first = pattern("/only-here/[a-z]+")
    assert pattern("/only-here/[a-z]+") is first


@pytest.mark.parametrize("expression", ["(a+)+b", "(a|aa)+c", "(.*)(.*)(.*)(.*)(.*)d", "([ab]*)*x"])
def test_no_text_stalls(expression):
    """With backtracking these take longer than the universe is old."""
    text = "a" * 60_000
    compiled = pattern(expression)
    began = time.process_time()
    assert not compiled.matches(text)
    assert time.process_time() - began < 2
