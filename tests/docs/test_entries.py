"""docs/entries.md has a valid example of each kind, and says what of it is not enforced."""

import re
from pathlib import Path

import pytest

from coordinator.entries.cross import cross_problems
from coordinator.entries.entry import KINDS
from coordinator.entries.load import load_text

PAGE = Path(__file__).parents[2] / "docs" / "entries.md"
EXAMPLES = dict(
    re.findall(r"^## ([a-z-]+)\n\n```hcl\n(.*?)```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
)


def test_every_kind_has_one_example_and_one_row():
    assert EXAMPLES.keys() == KINDS.keys()
    assert (
        set(re.findall(r"^\| \[`([a-z-]+)`\]\(#\1\) \|", PAGE.read_text(), re.MULTILINE))
        == KINDS.keys()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_valid(kind):
    loaded = load_text(f"{kind}.hcl", EXAMPLES[kind])
    assert loaded.problems == ()
    assert [item.entry.kind for item in loaded.items] == [kind]


def test_they_go_together():
    loaded = [load_text("x.hcl", text) for text in EXAMPLES.values()]
    assert cross_problems(item.entry for one in loaded for item in one.items) == ()
