"""A request head: bytes in, one meaning out, or a refusal.  ●

llhttp parses; before it, a grammar of our own looks at every byte, and after it, what more than one field
may say about one thing is settled: where the message ends, which host is meant, what is of this hop
only. Whatever two parsers might read in two ways is refused (RFC 9112 sections 3.2 and 6.3, and what
smuggling has taught).

Belongs here: reading one head. Never here: bodies (`chunks`, `bodies`), sockets, or forwarding.
"""

from collections.abc import Mapping

import msgspec
from httptools import HttpRequestParser

import cluster.http
from worker.http import llhttp
from worker.http.faults import BadRequest
from worker.http.fields import (
    CHUNKED,
    FORWARDED,
    HOP_BY_HOP,
    Field,
    Fields,
    imitates,
    options,
)
from worker.http.grammar import AUTHORITY, LENGTH, REQUEST

_SPECIAL = HOP_BY_HOP | FORWARDED | {b"content-length", b"expect", b"host"}
#: What `Connection` cannot take away from a message, whoever asks.
_NOT_NOMINATED = frozenset({b"close", b"keep-alive", b"upgrade", b"content-length", b"host"})
_NOTHING: Mapping[bytes, bytes] = {}


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks for.

    `path` and `query` are as rules see them, and as they are sent on (`cluster.http.target`); the path is
    `*` for the server as a whole. `host` is empty only in HTTP/1.0. `fields` go from end to end, as they
    came; `forwarded` are those that proxies write, by lower-case name, several joined by a comma. `length`
    is that of the body: None without one, `CHUNKED` if its chunks say so. `upgrade` is `websocket` or empty.
    """

    method: bytes
    path: str
    query: str
    host: bytes
    minor: int
    fields: Fields
    forwarded: Mapping[bytes, bytes]
    length: int | None
    keep_alive: bool
    expects_continue: bool
    upgrade: bytes

    @property
    def has_body(self) -> bool:
        return bool(self.length)

    @property
    def target(self) -> bytes:
        """Path and query as they are sent on."""
        return (f"{self.path}?{self.query}" if self.query else self.path).encode("latin-1")

    def as_judged(self) -> cluster.http.Request:
        """What permissions look at."""
        found = [
            (name.lower().decode("latin-1"), value.decode("latin-1").strip(" \t"))
            for name, value in (*self.fields, *self.forwarded.items())
        ]
        return cluster.http.Request(
            method=self.method.decode("latin-1"),
            path=self.path,
            query=self.query,
            host=self.host.decode("latin-1"),
            headers=tuple(found),
        )


def parse_request(head: bytes, max_fields: int) -> RequestHead:
    """The meaning of `head`, which ends in its first empty line. Raises `BadRequest`."""
    if REQUEST.fullmatch(head) is None:
        raise BadRequest(llhttp.not_http(BadRequest))
    parser, found, minor = llhttp.read(head, HttpRequestParser, BadRequest, max_fields)
    return meaning(parser.get_method(), found.text, minor, found.fields)


def meaning(method: bytes, target: bytes, minor: int, fields: list[Field]) -> RequestHead:
    """What these say together, each as its grammar has it already. Raises `BadRequest`."""
    kept: list[Field] = []
    special: dict[bytes, list[bytes]] = {}
    for field in fields:
        name = field[0].lower()
        if name in _SPECIAL:
            special.setdefault(name, []).append(field[1].strip(b" \t"))
        elif not imitates(name):
            kept.append(field)
    if method == b"CONNECT":
        raise BadRequest("CONNECT is not served", 405)
    host = _host(special.get(b"host"), minor)
    read = _target(method, target, host)
    length = _length(special, minor)
    if length is not None and method == b"TRACE":
        raise BadRequest("a TRACE request with a body")
    connection = options(special.get(b"connection", ()))
    nominated = connection - _NOT_NOMINATED
    if nominated:
        kept = [field for field in kept if field[0].lower() not in nominated]
    return RequestHead(
        method=method,
        path=read.path,
        query=read.query,
        host=read.host.encode("latin-1") or host,
        minor=minor,
        fields=tuple(kept),
        forwarded=_forwarded(special, nominated),
        length=length,
        keep_alive=_keeps_alive(connection, minor),
        expects_continue=minor == 1 and _expects_continue(special.get(b"expect")),
        upgrade=_upgrade(method, minor, length, connection, special.get(b"upgrade", ())),
    )


def _host(values: list[bytes] | None, minor: int) -> bytes:
    if values is None:
        if minor:
            raise BadRequest("no Host field")
        return b""
    if len(values) > 1:
        raise BadRequest(f"{len(values)} Host fields")
    if AUTHORITY.fullmatch(values[0]) is None:
        raise BadRequest("the Host field is no host")
    return values[0]


def _target(method: bytes, target: bytes, host: bytes) -> cluster.http.Target:
    """The target, normalised; with a host of its own, that must be the one of the Host field."""
    try:
        read = cluster.http.read_target(target.decode("latin-1"), method.decode("latin-1"))
    except cluster.http.BadRequest as error:
        raise BadRequest(str(error)) from None
    if read.host:
        named = read.host.encode("latin-1")
        if AUTHORITY.fullmatch(named) is None:
            raise BadRequest("the request target names no host")
        if host and named.lower() != host.lower():
            raise BadRequest("the request target and the Host field name different hosts")
    return read


def _length(special: Mapping[bytes, list[bytes]], minor: int) -> int | None:
    """Where the body ends (RFC 9112 section 6.3); what is said twice is refused even if it is the same."""
    lengths, codings = special.get(b"content-length"), special.get(b"transfer-encoding")
    if codings is not None:
        if lengths is not None:
            raise BadRequest("both Content-Length and Transfer-Encoding")
        if minor == 0:
            raise BadRequest("Transfer-Encoding in HTTP/1.0")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise BadRequest("a Transfer-Encoding other than chunked")
        return CHUNKED
    if lengths is None:
        return None
    if len(lengths) > 1:
        raise BadRequest(f"{len(lengths)} Content-Length fields")
    if LENGTH.fullmatch(lengths[0]) is None:
        raise BadRequest("the Content-Length field is no length")
    return int(lengths[0])


def _forwarded(
    special: Mapping[bytes, list[bytes]], nominated: frozenset[bytes]
) -> Mapping[bytes, bytes]:
    found = {name: b",".join(special[name]) for name in FORWARDED & special.keys() - nominated}
    return found or _NOTHING


def _keeps_alive(connection: frozenset[bytes], minor: int) -> bool:
    if b"close" in connection:
        return False
    return minor == 1 or b"keep-alive" in connection


def _expects_continue(values: list[bytes] | None) -> bool:
    if values is None:
        return False
    if options(values) != {b"100-continue"}:
        raise BadRequest("an expectation other than 100-continue", 417)
    return True


def _upgrade(
    method: bytes,
    minor: int,
    length: int | None,
    connection: frozenset[bytes],
    values: list[bytes] | tuple[()],
) -> bytes:
    """The one protocol that connections may change to; others, h2c among them, are not passed on."""
    wanted = b"upgrade" in connection and options(values) == {b"websocket"}
    return b"websocket" if wanted and method == b"GET" and minor == 1 and not length else b""
