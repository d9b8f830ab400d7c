"""`?filter=`: which rows of an answer are kept.

Belongs here: applying an expression to the rows of any endpoint. Never here: the language, which is
`cluster.filters`, or which fields rows have, which each endpoint says with a `Filterable`.

An endpoint without rows to filter refuses the parameter, where Consul passes over it: an answer that
ignores it would be wrong. Between rows others get their turn, because a filter over the whole catalog takes
a while.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from cluster.filters import Filter, FilterError, compile_filter
from cluster.filters.shapes import Shape

from .answers import ApiError

_ROWS_AT_ONCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Filterable:
    """What one row of the answer may be asked about. `under`: the key of the answer that holds the rows.

    Rows are the elements of a list, or the values of an object.
    """

    shape: Shape
    under: str = ""


def asked_filter(expression: str, rows: Filterable | None) -> Filter | None:
    """The compiled expression, None if there is none. Raises ApiError (400)."""
    if rows is None:
        refuse_filter(expression)
        return None
    if not expression:
        return None
    try:
        return compile_filter(expression, rows.shape)
    except FilterError as error:
        raise ApiError(400, f"Failed to create boolean expression evaluator: {error}") from None


def refuse_filter(expression: str) -> None:
    """Raises ApiError (400) for an expression where nothing is filtered."""
    if expression:
        raise ApiError(400, "query parameter 'filter' is not supported by this endpoint")


async def filtered(answer: Any, rows: Filterable, wanted: Filter) -> Any:
    """The answer with only those rows that match."""
    if not rows.under:
        return await _kept(answer, wanted)
    if not answer or rows.under not in answer:
        return answer
    return answer | {rows.under: await _kept(answer[rows.under], wanted)}


async def _kept(rows: Any, wanted: Filter) -> Any:
    if not rows:
        return rows
    if isinstance(rows, dict):
        return dict(await _chosen(list(rows.items()), lambda pair: wanted.matches(pair[1])))
    return await _chosen(rows, wanted.matches)


async def _chosen(rows: Sequence[Any], is_wanted: Callable[[Any], bool]) -> list[Any]:
    kept: list[Any] = []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        kept += [row for row in rows[start : start + _ROWS_AT_ONCE] if is_wanted(row)]
        await trio.lowlevel.checkpoint()
    return kept
