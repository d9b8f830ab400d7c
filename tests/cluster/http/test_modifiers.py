"""Header modifiers, one level and several."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.http.modifiers import modified, modifiers

CAME = (("a", "1"), ("b", "2"), ("a", "3"))


@pytest.mark.parametrize(
    ("spelled", "after"),
    [
        (None, CAME),
        ({}, CAME),
        ({"Remove": ["A"]}, (("b", "2"),)),
        ({"Set": {"A": "4"}}, (("b", "2"), ("a", "4"))),
        ({"Set": {"c": "4"}}, (*CAME, ("c", "4"))),
        ({"Add": {"A": "4"}}, (*CAME, ("a", "4"))),
        ({"Remove": ["a"], "Add": {"a": "4"}}, (("b", "2"), ("a", "4"))),
        ({"Remove": ["a"], "Set": {"a": "4"}}, (("b", "2"), ("a", "4"))),
        ({"Set": {"a": "4"}, "Add": {"a": "5"}}, (("b", "2"), ("a", "4"), ("a", "5"))),
        ({"Set": {"Host": "x", "Content-Length": "1"}, "Remove": ["transfer-encoding"]}, CAME),
        ({"Set": {"c": "x\r\nd: y"}, "Add": {"d\r\n": "x", "e f": "x", "": "x"}}, CAME),
        ({"Add": {"c": "é"}}, (*CAME, ("c", "\xc3\xa9"))),
    ],
)
def test_one_level(spelled, after):
    assert modified(CAME, modifiers(spelled)) == after


def test_what_frames_a_message_is_not_removed():
    framing = (("transfer-encoding", "chunked"), ("te", "trailers"), ("x", "y"))
    assert modified(framing, modifiers({"Remove": ["Transfer-Encoding", "TE", "x"]})) == framing[:2]


def test_the_outer_level_wins():
    split, route, service = (
        {"Set": {"a": "s"}},
        {"Set": {"a": "r"}, "Add": {"c": "r"}},
        {"Add": {"c": "v"}},
    )
    assert modified((), modifiers(split, route, service)) == (("a", "r"), ("c", "r"), ("c", "v"))


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_nothing_breaks_a_head(written):
    for name, value in modified((), modifiers({"Set": written, "Add": written})):
        assert name
        assert not set(name) & set(" :\r\n\t")
        assert not set(value) & set("\r\n\x00")
