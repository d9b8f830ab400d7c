"""How results are shown: one JSON value, or text and aligned tables.

Belongs here: printing to stdout. Never here: errors (`program`), or what a result is.
On a terminal tables are drawn by rich; elsewhere they are columns of plain text, so that `awk` reads them.
"""

import json
import sys
from collections.abc import Sequence
from typing import Any


def print_json(value: Any) -> None:
    """The value, indented."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A heading and one line for each row."""
    texts = [tuple(_cell(value) for value in row) for row in rows]
    if sys.stdout.isatty():
        _draw(columns, texts)
        return
    widths = [max(len(text) for text in column) for column in zip(columns, *texts, strict=True)]
    for line in (columns, *texts):
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def print_facts(facts: Sequence[tuple[str, Any]]) -> None:
    """Names and values, aligned; nothing for an empty value."""
    shown = [(name, _cell(value)) for name, value in facts if value not in ("", None)]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name + ':':<{width + 1}}  {value}")


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(text) for text in row))
    console = Console()
    # an id that is cut off cannot be copied: rather let the terminal wrap
    wanted = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    console.width = max(console.width, wanted)
    console.print(table)


def _cell(value: Any) -> str:
    """One line of text; what would steer a terminal is shown, not sent."""
    return one_line(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def one_line(text: str) -> str:
    """The text, with what would steer a terminal shown and not sent."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
