"""Entries in, stored forms or exact problems out, as files: one per kind in `tests/golden/entries`.

A file holds rows. A row has a title, which names the line of consul-gateways.md that it is about, an entry
as a person writes it (HCL or JSON), and what becomes of it: `stored`, with `warnings` if there are any, or
`refused`, with every problem as `line: path: message`. `UPDATE_GOLDEN=1` writes what comes out now; review
it as a diff.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from cluster.documents.reading import read_document
from coordinator.entries.entry import KINDS, check_entry, decode_entry

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "entries"

#: Tables of consul-gateways.md: every line of one has a row, which its title names (`5.2-3`) ...
TABLES = {"ingress-gateway": ("3.3", 28), "service-intentions": ("5.2", 25)}
#: ... but for those that need another entry.
BETWEEN_ENTRIES = {"3.3-26", "3.3-27", "5.2-25"}


class Row(NamedTuple):
    title: str
    text: str
    outcome: str


def rows(kind):
    for part in (GOLDEN / f"{kind}.txt").read_text().split("=== ")[1:]:
        title, _, rest = part.partition("\n")
        text, _, outcome = rest.partition("\n---")
        yield Row(title, text, outcome.strip())


def became(text):
    node, faults = read_document("x.json" if text.startswith("{") else "x.hcl", text)
    assert not faults
    checked, problems, warnings = decode_entry(node)
    if checked is None:
        return "refused\n" + "\n".join(told(problem) for problem in problems)
    stored = "stored\n" + json.dumps(checked.body, indent=1, ensure_ascii=False)
    lines = [told(warning) for warning in warnings]
    return "\n".join([stored, "--- warnings", *lines] if lines else [stored])


def told(problem):
    return f"{problem.line}: {problem.path}: {problem.message}"


def update():
    for path in GOLDEN.glob("*.txt"):
        made = [f"=== {r.title}\n{r.text}\n--- {became(r.text)}\n" for r in rows(path.stem)]
        path.write_text("\n".join(made))


if os.environ.get("UPDATE_GOLDEN"):
    update()
ROWS = {
    f"{path.stem}: {row.title}": row
    for path in sorted(GOLDEN.glob("*.txt"))
    for row in rows(path.stem)
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_row(row):
    assert became(row.text) == row.outcome


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_is_stored_is_stored_again_as_it_is(row):
    """What is read may be written back; for what is refused there is nothing to say."""
    checked, _, _ = decode_entry(
        read_document("x.json" if row.text[0] == "{" else "x", row.text)[0]
    )
    assert checked is None or check_entry(checked.body)[0] == checked


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_rows_of_both_sorts_and_titles_of_its_own(kind):
    made = list(rows(kind))
    assert {row.outcome.partition("\n")[0] for row in made} == {"stored", "refused"}
    assert len({row.title for row in made}) == len(made)
    assert all(f'"{kind}"' in row.text for row in made)


@pytest.mark.parametrize("kind", TABLES)
def test_every_line_of_a_table_has_a_row(kind):
    section, count = TABLES[kind]
    wanted = {f"{section}-{number}" for number in range(1, count + 1)} - BETWEEN_ENTRIES
    assert wanted <= {row.title.split()[0] for row in rows(kind)}
