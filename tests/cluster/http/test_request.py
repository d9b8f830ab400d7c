"""A request as a value, and text of the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.http.request import Request, wire_text, written_text


def test_several_headers_of_one_name_are_joined():
    request = Request(headers=(("x-a", "1"), ("x-b", "2"), ("x-a", "3")))
    assert request.header("x-a") == "1,3"
    assert request.header("x-b") == "2"
    assert request.header("x-c") is None


@pytest.mark.parametrize(("query", "target"), [("", "/a"), ("b=c?d", "/a?b=c?d")])
def test_what_is_sent_on(query, target):
    assert Request(path="/a", query=query).target == target


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_of_the_wire_has_a_character_for_each_byte(text):
    assert wire_text(text).encode("latin-1") == text.encode()
    assert written_text(wire_text(text)) == text


def test_bytes_that_are_no_text_are_not_lost():
    assert written_text("a\xff") == "a\ufffd"
