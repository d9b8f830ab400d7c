"""Name tables: exact before wildcard, longest suffix first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.lookup import NameTable

TABLE = NameTable(
    [
        ("web.dc1.consul", "exact"),
        ("*.dc2.consul", "dc2"),
        ("*.deep.dc2.consul", "deep"),
        ("*.consul", "any"),
        ("UPPER.example", "upper"),
    ]
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("web.dc1.consul", "exact"),
        ("api.dc1.consul", "any"),
        ("web.dc2.consul", "dc2"),
        ("a.b.c.dc2.consul", "dc2"),
        ("web.deep.dc2.consul", "deep"),
        ("deep.dc2.consul", "dc2"),
        ("dc2.consul", "any"),
        ("consul", None),
        ("xdc2.example", None),
        ("upper.example", "upper"),
        ("", None),
        (".", None),
    ],
)
def test_find(name, found):
    assert TABLE.find(name) == found


def test_a_table_counts_its_names():
    assert len(TABLE) == 5
    assert len(NameTable([])) == 0


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join)


@given(st.sets(names), st.sets(names), names)
def test_find_is_what_the_rule_says(exact, suffixes, name):
    entries = [(one, one) for one in exact] + [(f"*.{one}", f"*.{one}") for one in suffixes]
    if name in exact:
        wanted = name
    else:
        covering = [one for one in suffixes if name.endswith(f".{one}")]
        wanted = f"*.{max(covering, key=len)}" if covering else None
    assert NameTable(entries).find(name) == wanted
