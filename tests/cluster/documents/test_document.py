"""Plain values as documents: what a client's JSON may hold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.documents.document import fold, from_plain, plain
from cluster.documents.faults import MAX_DEPTH, SyntaxFault

values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(values)
def test_round_trip(value):
    assert plain(from_plain(value)) == value


def test_fold():
    assert fold("path_Exact") == fold("PathExact") == "pathexact"


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (nested(MAX_DEPTH + 1), "nested deeper"),
        (float("nan"), "not a number"),
        (float("inf"), "too large"),
        (2**64, "64 bits"),
        ("\ud800", "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        (b"x", "type bytes"),
    ],
)
def test_refused(value, part):
    with pytest.raises(SyntaxFault, match=part):
        from_plain(value)
