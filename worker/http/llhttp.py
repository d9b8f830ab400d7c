"""One head by llhttp: its second reading, after the grammar's.  ●

Belongs here: driving the parser, for requests and answers alike. Never here: what fields mean (`requests`,
`responses`).
"""

from collections.abc import Callable
from typing import TypeVar

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from worker.http.faults import BadRequest, BadResponse
from worker.http.fields import Field

Parser = TypeVar("Parser", HttpRequestParser, HttpResponseParser)


class Found:
    """What llhttp tells of a head: `text` is a request's target, or an answer's reason."""

    __slots__ = ("fields", "text")

    def __init__(self) -> None:
        self.text = b""
        self.fields: list[Field] = []

    def on_url(self, part: bytes) -> None:
        self.text += part

    def on_status(self, part: bytes) -> None:
        self.text += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))


def read(
    head: bytes,
    make: Callable[[Found], Parser],
    fault: type[BadRequest] | type[BadResponse],
    max_fields: int,
) -> tuple[Parser, Found, int]:
    """The parser after a whole head, what it found, and the minor version. Raises `fault`."""
    found = Found()
    parser = make(found)
    try:
        parser.feed_data(head)
    except HttpParserUpgrade:
        pass
    except HttpParserError as error:
        raise fault(f"{not_http(fault)}: {error}") from None
    if len(found.fields) > max_fields:
        raise fault(f"{len(found.fields)} header fields, more than {max_fields}")
    return parser, found, 1 if parser.get_http_version() == "1.1" else 0


def not_http(fault: type[BadRequest] | type[BadResponse]) -> str:
    """What is wrong with a head that either reading refuses."""
    what = "request" if fault is BadRequest else "response"
    return f"the {what} head is not HTTP/1.1"
