"""The audit log read again: the last calls, one object each.

Belongs here: from lines to calls. Never here: writing one. Of the lines of one call the last counts, so that
a call that was cut off is shown as begun.
"""

from pathlib import Path
from typing import Any

import msgspec

#: As much of a file's end as is looked at.
_TAIL_BYTES = 8 << 20


def last_calls(path: Path, count: int) -> list[dict[str, Any]]:
    """At most `count` calls, the newest first. Blocks on the disk. Raises OSError."""
    calls: dict[str, dict[str, Any]] = {}
    for file in (path, path.with_name(f"{path.name}.1")):
        for line in reversed(_lines(file)):
            if len(calls) >= count and line["id"] not in calls:
                return list(calls.values())
            calls.setdefault(line["id"], line)
    return list(calls.values())


def _lines(file: Path) -> list[dict[str, Any]]:
    """The lines in the end of a file that tell of a call."""
    try:
        with file.open("rb") as opened:
            start = max(0, opened.seek(0, 2) - _TAIL_BYTES)
            opened.seek(start)
            raw = opened.read().split(b"\n")
    except FileNotFoundError:
        return []
    found = (_decoded(line) for line in raw[1 if start else 0 :])
    return [line for line in found if "id" in line]


def _decoded(line: bytes) -> dict[str, Any]:
    """The line; empty for what a crash left of one."""
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}
