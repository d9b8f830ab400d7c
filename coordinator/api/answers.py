"""Answers as Consul gives them: JSON, or an error as one sentence of plain text. Pure.

Belongs here: how a value or a refusal looks on the wire. Never here: which answer it is.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from cluster.errors import LockgateError, Problem

PLAIN_TEXT = "text/plain; charset=utf-8"


class ApiError(LockgateError):
    """The request gets this status and this text."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers or {}


def json_answer(
    value: Any,
    *,
    pretty: bool = False,
    headers: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """The value as JSON; `pretty` as Consul's `?pretty` does it."""
    body = msgspec.json.encode(value)
    if pretty:
        body = msgspec.json.format(body, indent=4) + b"\n"
    return Response(body, status, dict(headers or {}), media_type="application/json")


def error_answer(error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
    """The error as plain text."""
    return Response(
        error.text, error.status, {**(headers or {}), **error.headers}, media_type=PLAIN_TEXT
    )


def refuse(status: int, problems: Iterable[Problem]) -> ApiError:
    """All problems in one text, one to a line."""
    return ApiError(status, "\n".join(str(problem) for problem in problems))
