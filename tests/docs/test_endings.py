"""docs/endings.md is made from cluster/reasons.py; `UPDATE_DOCS=1` writes it anew."""

import os
from pathlib import Path

from cluster.reasons import LOOK_AT, End

PAGE = Path(__file__).parents[2] / "docs" / "endings.md"

HEAD = """# Why a connection ended

Every connection ends once, for one of these reasons: the `end` label of
`lockgate_connections_closed_total`, the
word in the log, and the answer of `lockgate connections list` while it closes. This page is made from
`cluster/reasons.py`.

| `end` | what to look at |
|---|---|
"""


def _page() -> str:
    return HEAD + "".join(f"| `{end.value}` | {LOOK_AT[end]} |\n" for end in End)


def test_every_ending_says_what_to_look_at():
    assert set(LOOK_AT) == set(End)


def test_the_page_is_what_the_code_says():
    if os.environ.get("UPDATE_DOCS") == "1":
        PAGE.write_text(_page())
    assert PAGE.read_text() == _page()
