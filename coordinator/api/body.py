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
    content = await read_content(request, MAX_BYTES)
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = "the body is empty" if not content.strip() else str(error)
        raise ApiError(400, f"Request decode failed: {reason}") from None
    if not isinstance(value, dict):
        kinds = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
        found = kinds.get(type(value), "a number")
        raise ApiError(400, f"Request decode failed: expected a JSON object, found {found}")
    return value


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

    def anything(self, name: str) -> Any:
        """The value as it is, None if it is absent."""
        return self._values.get(fold(name))


def _mistyped(name: str, wanted: str, found: object) -> ApiError:
    return ApiError(400, f"Request decode failed: {name} must be {wanted}, found {found!r:.60}")
