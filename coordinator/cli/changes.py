"""What a change does, as text: entries with their fields, pairs, routes, connections.

Belongs here: how `plan`, `diff` and `rollback` show the same parts of their answers. Never here: asking.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

_SIGNS = {"create": "+", "update": "~", "delete": "-"}
#: A terminal shows so many lines of one part; `--format json` has all.
_SHOWN = 50
_VALUE = 160


def is_empty(found: dict[str, Any]) -> bool:
    """Whether the change changes nothing at all."""
    return not any(
        found.get(part) for part in ("entries", "newly_allowed", "newly_denied", "routes")
    )


def tell(found: dict[str, Any]) -> None:
    """Print each part that is not empty."""
    _part("Entries", _entries(found["entries"]), len(found["entries"]))
    totals = found["pairs_total"]
    _part("Newly allowed", _pairs("+", found["newly_allowed"]), totals["allowed"])
    _part("Newly denied", _pairs("-", found["newly_denied"]), totals["denied"])
    _part("Routes", _routes(found["routes"]), len(found["routes"]))
    if "closes" in found:
        _closes(found["closes"])


def _part(title: str, groups: Iterable[list[str]], total: int) -> None:
    if not total:
        return
    print(f"{title}: {total}")
    for number, lines in enumerate(groups):
        if number == _SHOWN:
            print(f"  … {total - number} more, see --format json")
            break
        for line in lines:
            print(f"  {line}")


def _entries(entries: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    for one in entries:
        yield [f"{_SIGNS[one['change']]} {one['kind']}/{one['name']}", *_fields(one["fields"])]


def _routes(routes: Iterable[dict[str, Any]]) -> Iterator[list[str]]:
    for one in routes:
        fields = _fields(one["fields"]) if one["change"] == "update" else ()
        yield [f"{_SIGNS[one['change']]} {one['section']} {one['name']}", *fields]


def _fields(fields: Iterable[dict[str, Any]]) -> Iterator[str]:
    """As a unified diff has them: what goes, what comes."""
    for field in fields:
        for sign, value in (("-", field["before"]), ("+", field["after"])):
            if value is not None:
                yield f"    {sign} {field['path']} = {_value(value)}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"


def _pairs(sign: str, pairs: Iterable[dict[str, str]]) -> Iterator[list[str]]:
    return ([f"{sign} {pair['source']} => {pair['destination']}"] for pair in pairs)


def _closes(closes: dict[str, Any]) -> None:
    lines = ([_connection(one)] for one in closes["connections"])
    _part("Live connections that would be closed", lines, closes["total"])
    for reason in closes["unanswered"]:
        print(f"  not all connections are known: {reason}")


def _connection(one: dict[str, Any]) -> str:
    pair = f"{one.get('source')} => {one.get('destination')}"
    return f"x {one.get('id')}  {pair}  {one.get('endpoint', '')}  {one.get('age_seconds', 0):.0f}s"
