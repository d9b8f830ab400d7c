"""The target of a request: its forms, and the one spelling of a path that rules are asked about.

Belongs here: RFC 9112's forms of a target, normalising a path, what is refused. Never here: matching.

Two spellings of one path must not get two answers from the rules, and the destination must not read a third
thing. So what the rules see is what is sent on: escapes of unreserved characters are undone, a backslash is a
slash, dot segments are gone, and what has no business in a path is escaped. Escapes that stay keep their
spelling, as Envoy's do. What cannot be read in one way only is refused with 400.

Source: RFC 9112 section 3.2, RFC 3986 sections 2.3 and 5.2.4; Envoy, "Path normalization"; Consul, `mesh`,
`HTTP.Incoming.RequestNormalization`.
"""

import re
from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Any

import msgspec

from cluster.errors import LockgateError

from .request import Headers


class BadRequest(LockgateError):
    """The request is answered with 400, and the connection is closed."""


@unique
class EscapedSlashes(StrEnum):
    """What becomes of `%2F` and `%5C` in a path; the values are Consul's."""

    DEFAULT = "IMPLEMENTATION_SPECIFIC_DEFAULT"  # Envoy's, and ours: keep
    KEEP = "KEEP_UNCHANGED"
    REJECT = "REJECT_REQUEST"
    REDIRECT = "UNESCAPE_AND_REDIRECT"
    FORWARD = "UNESCAPE_AND_FORWARD"


@unique
class Underscores(StrEnum):
    """What becomes of headers with an underscore in their name, which some servers read as a hyphen."""

    ALLOW = "ALLOW"
    REJECT = "REJECT_REQUEST"
    DROP = "DROP_HEADER"


class Normalisation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`RequestNormalization` of the `mesh` entry."""

    paths: bool = True
    merge_slashes: bool = False
    escaped_slashes: EscapedSlashes = EscapedSlashes.DEFAULT
    underscores: Underscores = Underscores.ALLOW


DEFAULT_NORMALISATION = Normalisation()


class Target(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A target that was read. `host` is empty unless the client wrote a whole URL; it then overrides the
    Host header (RFC 9112 section 3.2.2). With `redirect` the answer is 307 to `path` and `query`.
    """

    path: str
    query: str = ""
    host: str = ""
    redirect: bool = False


_UNRESERVED = r"A-Za-z0-9\-._~"
#: A path that is as it should be. Nearly all are, so this is all that is done to them.
_CLEAN = re.compile(rf"(?:/(?!\.)[{_UNRESERVED}!$&'()*+,;=:@]*)+")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f#]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_ESCAPED_SLASH = re.compile(r"%(?:2[Ff]|5[Cc])")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNSAFE = re.compile(r"[^!-~]|[\"<>^`{|}]")
_SLASHES = re.compile(r"/{2,}")
_IS_UNRESERVED = re.compile(rf"[{_UNRESERVED}]")
_ABSOLUTE = re.compile(r"https?://([A-Za-z0-9\-._~:\[\]]+)((?:[/?].*)?)", re.IGNORECASE)


def read_target(
    text: str, method: str = "GET", rules: Normalisation = DEFAULT_NORMALISATION
) -> Target:
    """The target of a request line, or `:path`. Raises `BadRequest`.

    `text` is text of the wire. Targets of CONNECT have no path; they are refused here.
    """
    if text.startswith("/"):
        return _origin(text, "", rules)
    if text == "*" and method == "OPTIONS":
        return Target(path="*")
    if found := _ABSOLUTE.fullmatch(text):
        rest = found[2] if found[2].startswith("/") else f"/{found[2]}"
        return _origin(rest, found[1], rules)
    raise BadRequest(f"a request's target is a path or an http URL, not {text[:40]!r}")


def _origin(text: str, host: str, rules: Normalisation) -> Target:
    path, _, query = text.partition("?")
    redirect = False
    if rules.merge_slashes or _CLEAN.fullmatch(path) is None:
        path, redirect = _judged(path, rules)
    if query and _FORBIDDEN.search(query):
        raise BadRequest("a query has no control characters, no blanks and no '#'")
    return Target(path=path, query=query, host=host, redirect=redirect)


def _judged(path: str, rules: Normalisation) -> tuple[str, bool]:
    if _FORBIDDEN.search(path):
        raise BadRequest("a path has no control characters, no blanks and no '#'")
    if _BAD_ESCAPE.search(path):
        raise BadRequest("a path has '%' only before two hexadecimal digits, and no %00")
    path, redirect = _slashes(path, rules.escaped_slashes)
    if rules.paths:
        path = normal_path(path)
    return (_SLASHES.sub("/", path) if rules.merge_slashes else path), redirect


def _slashes(path: str, action: EscapedSlashes) -> tuple[str, bool]:
    """The path with its escaped slashes treated, and whether the client is sent there instead."""
    if action in (EscapedSlashes.DEFAULT, EscapedSlashes.KEEP) or not _ESCAPED_SLASH.search(path):
        return path, False
    if action is EscapedSlashes.REJECT:
        raise BadRequest("a path has no escaped slashes here")
    return _ESCAPED_SLASH.sub(_unescape, path), action is EscapedSlashes.REDIRECT


def normal_path(path: str) -> str:
    """The one spelling of a path whose escapes are whole; normalising it again changes nothing."""
    path = _ESCAPE.sub(_unescape_unreserved, path).replace("\\", "/")
    return _without_dots(_UNSAFE.sub(_escape, path))


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4: a path never climbs above its root."""
    kept: list[str] = []
    segment = ""
    for segment in path.split("/")[1:]:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segment in (".", ".."):
        kept.append("")
    return f"/{'/'.join(kept)}"


def _unescape(escape: re.Match[str]) -> str:
    return chr(int(escape[0][1:], 16))


def _unescape_unreserved(escape: re.Match[str]) -> str:
    character = _unescape(escape)
    return character if _IS_UNRESERVED.fullmatch(character) else escape[0]


def _escape(unsafe: re.Match[str]) -> str:
    return f"%{ord(unsafe[0]):02X}"


def allowed_headers(headers: Headers, rules: Normalisation = DEFAULT_NORMALISATION) -> Headers:
    """The headers that go on, by what is done about underscores. Raises `BadRequest`."""
    if rules.underscores is Underscores.ALLOW:
        return headers
    kept = tuple(header for header in headers if "_" not in header[0])
    if rules.underscores is Underscores.REJECT and len(kept) < len(headers):
        raise BadRequest("a header's name has no underscore here")
    return kept


def normalisation_of(mesh: Mapping[str, Any]) -> Normalisation:
    """What a `mesh` entry says of requests that come in."""
    incoming = (mesh.get("HTTP") or {}).get("Incoming") or {}
    said = incoming.get("RequestNormalization") or {}
    slashes, underscores = (
        said.get("PathWithEscapedSlashesAction"),
        said.get("HeadersWithUnderscoresAction"),
    )
    return Normalisation(
        paths=not said.get("InsecureDisablePathNormalization"),
        merge_slashes=bool(said.get("MergeSlashes")),
        escaped_slashes=EscapedSlashes(slashes or EscapedSlashes.DEFAULT),
        underscores=Underscores(underscores or Underscores.ALLOW),
    )
