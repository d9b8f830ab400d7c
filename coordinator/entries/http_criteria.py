"""What of a request routes and permissions match on: paths, methods, headers, query parameters.

Belongs here: the rules that service-router and service-intentions share (consul-gateways.md 5.2, 6.4).
Never here: which of these fields an entry has, or how a request is matched.
"""

from collections import Counter
from collections.abc import Iterator

from cluster.http.pattern import PatternError, pattern

from .kind import Body
from .report import Finding

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE")
PATHS = ("PathExact", "PathPrefix", "PathRegex")


def upper_methods(http: Body) -> Body:
    """The criteria with their methods in upper case, as they are stored."""
    if "Methods" not in http:
        return http
    return http | {"Methods": [method.upper() for method in http["Methods"]]}


def path_rules(http: Body, path: str) -> Iterator[Finding]:
    """At most one of the three paths, and a plain one begins with a slash."""
    given = [name for name in PATHS if http.get(name)]
    if len(given) > 1:
        yield Finding(path, f"at most one of {', '.join(PATHS)}, found {' and '.join(given)}")
    for name in ("PathExact", "PathPrefix"):
        if http.get(name) and not http[name].startswith("/"):
            yield Finding(f"{path}.{name}", f"{name} doesn't start with '/': {http[name][:64]!r}")


def method_rules(methods: list[str], path: str) -> Iterator[Finding]:
    """Known methods, each of them once."""
    for index, method in enumerate(methods):
        if method not in METHODS:
            yield Finding(f"{path}[{index}]", f"contains an invalid method {method[:64]!r}")
    for method, count in Counter(methods).items():
        if count > 1:
            yield Finding(path, f"contains {method[:64]} more than once")


def match_rules(element: Body, path: str, matches: tuple[str, ...]) -> Iterator[Finding]:
    """A header or query parameter has a name and exactly one of these matches."""
    if not element.get("Name"):
        yield Finding(f"{path}.Name", "missing required Name")
    given = [name for name in matches if element.get(name)]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        yield Finding(path, f"must contain exactly one of {', '.join(matches)}, found {found}")


def regex_doubts(http: Body, path: str) -> Iterator[Finding]:
    """Regular expressions that match nothing, as they are none. Consul leaves them to Envoy, which then
    takes no new configuration at all."""
    places = [(path, "PathRegex", http)]
    for name in ("Header", "QueryParam"):
        for index, element in enumerate(http.get(name, [])):
            places.append((f"{path}.{name}[{index}]", "Regex", element))
    for place, name, element in places:
        if element.get(name) and (fault := _regex_fault(element[name])):
            yield Finding(f"{place}.{name}", f"is no regular expression (RE2): {fault}")


def _regex_fault(expression: str) -> str:
    try:
        pattern(expression)
    except PatternError as error:
        return error.fault
    return ""
