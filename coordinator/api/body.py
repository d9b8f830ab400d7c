"""Request bodies: bounded, JSON, read as Go's decoder reads them.

Belongs here: getting a JSON object out of a request, and single fields out of such an object. Never here:
what a body means; entries and registrations have schemas of their own.

As in Go, keys may be in any case, null is the same as absence, unknown keys are ignored; a value of another
type is an error.
"""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request

from cluster.documents.document import fold

from .answers import ApiError

MAX_BYTES = 8 * 1024 * 1024


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body. Raises ApiError: 400 for anything else, 413 for too much of it."""
    value = await _read_json(request)
    if not isinstance(value, dict):
        raise _other_than("object", value)
    return value


async def read_list(request: Request) -> list[Any]:
    """The JSON list in the body. Raises ApiError: 400 for anything else, 413 for too much of it."""
    value = await _read_json(request)
    if not isinstance(value, list):
        raise _other_than("list", value)
    return value


async def _read_json(request: Request) -> Any:
    content = await read_content(request, MAX_BYTES)
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "the body is empty" if not content.strip() else str(error)
        raise ApiError(400, f"Request decode failed: {reason}") from None


def _other_than(wanted: str, value: Any) -> ApiError:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    found = "null" if value is None else kinds.get(type(value), "a number")
    return ApiError(400, f"Request decode failed: expected a JSON {wanted}, found {found}")


async def read_content(request: Request, limit: int) -> bytes:
    """The body as it is. Raises ApiError: 413 for more than `limit` bytes."""
    parts, total = [], 0
    try:
        async with aclosing(request.stream()) as stream:
            async for part in stream:
                parts.append(part)
                total += len(part)
                if total > limit:
                    text = f"Request body too large: more than {limit} bytes"
                    raise ApiError(413, text)
    except ClientDisconnect:
        raise ApiError(400, "Request decode failed: the client went away") from None
    return b"".join(parts)


class Fields:
    """The fields of one JSON object, found without regard to case. All methods raise ApiError (400)."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._values = {fold(key): value for key, value in body.items() if value is not None}

    def text(self, name: str) -> str:
        """A string, empty if it is absent."""
        value = self._values.get(fold(name), "")
        if not isinstance(value, str):
            raise _mistyped(name, "a string", value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings, empty if it is absent."""
        value = self._values.get(fold(name), [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise _mistyped(name, "a list of strings", value)
        return tuple(value)

    def whole(self, name: str, most: int) -> int:
        """An integer from 0 to `most`, 0 if it is absent."""
        value = self._values.get(fold(name), 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise _mistyped(name, f"an integer from 0 to {most}", value)
        return value

    def anything(self, name: str) -> Any:
        """The value as it is, None if it is absent."""
        return self._values.get(fold(name))


def _mistyped(name: str, wanted: str, found: object) -> ApiError:
    return ApiError(400, f"Request decode failed: {name} must be {wanted}, found {found!r:.60}")
