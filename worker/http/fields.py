"""Field lines: what belongs to one hop only, what is ours to write, and the small values in them.  ●

Belongs here: names and their families, and lists in values. Never here: one message's rules.
"""

from collections.abc import Iterable
from typing import TypeAlias

Field: TypeAlias = tuple[bytes, bytes]
Fields: TypeAlias = tuple[Field, ...]

#: Length of a body whose chunks say where it ends.
CHUNKED = -1

#: Of this hop, so neither kept nor forwarded (RFC 9110 section 7.6.1).
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)

#: Written by proxies about the hop before them; kept apart, as every proxy adds to them.
FORWARDED = frozenset(
    {
        b"x-forwarded-client-cert",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-request-id",
    }
)

#: Never in trailers: what frames, routes, authenticates or changes the meaning (RFC 9110 section 6.5.1).
NOT_IN_TRAILERS = (
    HOP_BY_HOP
    | FORWARDED
    | {
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"max-forwards",
        b"proxy-authorization",
        b"range",
        b"set-cookie",
        b"trailer",
    }
)


#: What a server must not take from a field that is only spelt like it.
_NOT_TO_BE_IMITATED = FORWARDED | {b"content-length", b"host", b"transfer-encoding"}


def imitates(name: bytes) -> bool:
    """Whether some servers take this for a field that it is not: CGI's heirs do not tell `_` from `-`."""
    return b"_" in name and name.lower().replace(b"_", b"-") in _NOT_TO_BE_IMITATED


def options(values: Iterable[bytes]) -> frozenset[bytes]:
    """The elements of comma-separated lists, lower-case; empty ones left out."""
    found = (element.strip(b" \t").lower() for value in values for element in value.split(b","))
    return frozenset(element for element in found if element)


def lines(fields: Iterable[Field]) -> bytes:
    """As they are sent."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])
