"""What a request is matched on: path, methods, headers, query parameters, each as one question.

Belongs here: the questions that service-intentions and service-router share, compiled from their spelling.
Never here: what follows from an answer.

Every function here makes a question from the entry's fields, once; asking it takes no look at the fields
again. Making one raises `PatternError` when an expression in it is none: who asks decides what that means.
Source: consul-gateways.md 5.5 and 6.4; Envoy, `HeaderMatcher` and `QueryParameterMatcher`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from .pattern import pattern
from .request import Request, wire_text

Fields: TypeAlias = Mapping[str, Any]
Question: TypeAlias = Callable[[Request], bool]
Test: TypeAlias = Callable[[str], bool]

_COMPARED: Mapping[str, Callable[[str, str], bool]] = {
    "Exact": str.__eq__,
    "Prefix": str.startswith,
    "Suffix": str.endswith,
    "Contains": str.__contains__,
}


def questions(http: Fields) -> tuple[Question, ...]:
    """All that must hold for the `HTTP` part of a permission or of a route's match; none is no condition."""
    return tuple(_questions(http))


def _questions(http: Fields) -> Iterator[Question]:
    if methods := http.get("Methods"):
        yield _method(frozenset(methods))
    if (path := path_test(http)) is not None:
        yield lambda request: path(request.path)
    for header in http.get("Header") or ():
        yield _header(header)
    for parameter in http.get("QueryParam") or ():
        yield _parameter(parameter)


def path_test(http: Fields) -> Test | None:
    """The test of the path without query; None if any path will do."""
    insensitive = bool(http.get("CaseInsensitive"))
    if exact := http.get("PathExact"):
        return _comparison(str.__eq__, exact, insensitive)
    if prefix := http.get("PathPrefix"):
        return _comparison(str.startswith, prefix, insensitive)
    if expression := http.get("PathRegex"):
        return pattern(expression).matches
    return None


def _method(wanted: frozenset[str]) -> Question:
    return lambda request: request.method in wanted


def _header(header: Fields) -> Question:
    """`Invert` turns the answer round, also that of a header that is absent."""
    value_of, inverted = header_value(header.get("Name", "")), bool(header.get("Invert"))
    test = _value_test(header)

    def question(request: Request) -> bool:
        value = value_of(request)
        return (value is not None and test(value)) != inverted

    return question


def header_value(name: str) -> Callable[[Request], str | None]:
    """How to get at a header, or at what HTTP/2 calls one."""
    name = wire_text(name).lower()
    match name:
        case ":authority" | "host":
            return lambda request: request.host or None
        case ":path":
            return lambda request: request.target
        case ":method":
            return lambda request: request.method
        case _:
            return lambda request: request.header(name)


def _value_test(fields: Fields) -> Test:
    if fields.get("Present"):
        return lambda _: True
    if expression := fields.get("Regex"):
        return pattern(expression).matches
    for name, compare in _COMPARED.items():
        if wanted := fields.get(name):
            return _comparison(compare, wanted, bool(fields.get("IgnoreCase")))
    return lambda _: False


def _comparison(compare: Callable[[str, str], bool], wanted: str, insensitive: bool) -> Test:
    wanted = wire_text(wanted)
    if insensitive:
        lowered = _lower(wanted)
        return lambda text: compare(_lower(text), lowered)
    return lambda text: compare(text, wanted)


def _lower(text: str) -> str:
    """Without case, as Envoy takes it: letters of ASCII only."""
    if text.isascii():
        return text.lower()
    return text.encode("latin-1", "replace").lower().decode("latin-1")


def _parameter(parameter: Fields) -> Question:
    name, test = wire_text(parameter.get("Name", "")), _value_test(parameter)

    def question(request: Request) -> bool:
        value = parameter_value(request.query, name)
        return value is not None and test(value)

    return question


def parameter_value(query: str, name: str) -> str | None:
    """The first value of a query parameter, unescaped, as text of the wire; None if there is none."""
    return next((value for key, value in _parameters(query) if key == name), None)


def _parameters(query: str) -> Iterable[tuple[str, str]]:
    """Split at `&` first and unescaped then; a plus stays one, as in Envoy."""
    for part in query.split("&") if query else ():
        key, _, value = part.partition("=")
        yield _unescaped(key), _unescaped(value)


def _unescaped(text: str) -> str:
    return (
        unquote_to_bytes(text.encode("latin-1", "replace")).decode("latin-1")
        if "%" in text
        else text
    )
