"""Durations as Go writes them: `"15s"`, `"1h30m"`, `"1.5s"`, or an integer of nanoseconds.

Belongs here: reading and writing that notation. Never here: which durations an entry allows.
Source: Go's `time.ParseDuration` and `Duration.String`, which Consul uses for both directions.
"""

import re
from fractions import Fraction

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})([a-zµμ]+)")
_LIMIT = 2**63 - 1  # Go holds a duration in 64 bits: about 292 years


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration. Raises `ValueError` with a sentence that says what is wrong."""
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if digits == "0":
        return 0
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", digits):
        raise ValueError(f"{text!r} has no unit: write {digits[:20]}s for seconds")
    parts = list(_PART.finditer(digits))
    if not parts or sum(len(part[0]) for part in parts) != len(digits):
        raise ValueError(f"{text[:40]!r} is no duration such as 15s or 1h30m")
    return within_limit(sign * int(sum((_part(part, text) for part in parts), Fraction())))


def within_limit(nanoseconds: int) -> int:
    """The same number. Raises `ValueError` when 64 bits do not hold it."""
    if abs(nanoseconds) > _LIMIT:
        raise ValueError("the duration is longer than 292 years")
    return nanoseconds


def format_duration(nanoseconds: int) -> str:
    """The duration as Go prints it: `1h30m0s`, `1.5s`, `100ms`, `0s`."""
    sign, amount = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if amount == 0:
        return "0s"
    if amount < 1_000_000_000:
        unit = next(unit for unit in ("ms", "µs", "ns") if amount >= _UNITS[unit])
        return f"{sign}{_decimal(amount, _UNITS[unit])}{unit}"
    minutes, rest = divmod(amount, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, _UNITS['s'])}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _part(part: re.Match[str], text: str) -> Fraction:
    if part[2] not in _UNITS:
        raise ValueError(f"{text[:40]!r} has the unknown unit {part[2][:10]!r}")
    return Fraction(part[1] if part[1][-1] != "." else part[1][:-1]) * _UNITS[part[2]]


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    width = len(str(unit)) - 1
    return f"{whole}.{rest:0{width}d}".rstrip("0").rstrip(".")
