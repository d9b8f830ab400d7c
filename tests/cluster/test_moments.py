import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.moments import format_moment, parse_moment


@given(st.integers(0, 4_000_000_000))
def test_what_is_written_is_read_again(seconds):
    assert parse_moment(format_moment(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t01:00:00.5+01:00", 0.5),
        ("2030-01-31 12:00:00Z", 1_896_091_200),
    ],
)
def test_every_form_of_rfc_3339(text, seconds):
    assert parse_moment(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "2030-01-31", "2030-01-31T12:00:00", "2030-02-31T12:00:00Z", "1" * 99],
)
def test_what_is_no_moment_is_refused_by_name(text):
    with pytest.raises(ValueError, match="is no time"):
        parse_moment(text)
