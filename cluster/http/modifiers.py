"""Header modifiers, as entries spell them: what a request or a response has less, otherwise, and more.

Belongs here: applying them. Never here: merging those of splits (`cluster.chain.headers`), or hop-by-hop
headers.

Within one modifier removal comes first, then `Set`, then `Add`. What frames a message is not theirs: the
host, lengths, and connection headers stay as they are. A name or value that would break a head is left out.
Values are text, variables in them (`%DOWNSTREAM_REMOTE_ADDRESS%`) are not filled in.
Source: Consul, `HTTPHeaderModifiers`; Envoy, "Custom request/response headers".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .request import Headers, wire_text

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_NOT_IN_A_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Modifier:
    """One level's changes; `gone` are the names that are removed or set anew."""

    gone: frozenset[str]
    added: Headers

    def apply(self, headers: Headers) -> Headers:
        """The headers after it."""
        if self.gone:
            headers = tuple(header for header in headers if header[0] not in self.gone)
        return headers + self.added


def modifier_of(spelled: Mapping[str, Any] | None) -> Modifier | None:
    """The modifier that `RequestHeaders` or `ResponseHeaders` spell; None if it changes nothing."""
    fields = spelled or {}
    written = _headers(fields.get("Set"))
    added = written + _headers(fields.get("Add"))
    removed = {wire_text(name).lower() for name in fields.get("Remove") or ()} - _FRAMING
    gone = frozenset(removed | {name for name, _ in written})
    return Modifier(gone=gone, added=added) if gone or added else None


def modifiers(*levels: Mapping[str, Any] | None) -> tuple[Modifier, ...]:
    """Those of several levels that change anything, the most specific level first: the outer one wins."""
    found = (modifier_of(level) for level in levels)
    return tuple(one for one in found if one is not None)


def modified(headers: Headers, by: Iterable[Modifier]) -> Headers:
    """The headers after each of them in turn."""
    for one in by:
        headers = one.apply(headers)
    return headers


def _headers(spelled: Mapping[str, str] | None) -> Headers:
    pairs = ((wire_text(name).lower(), wire_text(value)) for name, value in (spelled or {}).items())
    return tuple(pair for pair in pairs if _may_be_written(*pair))


def _may_be_written(name: str, value: str) -> bool:
    if name in _FRAMING or _NAME.fullmatch(name) is None:
        return False
    return _NOT_IN_A_VALUE.search(value) is None
