"""The L7 part of an intention: permissions, HTTP criteria and JWT requirements.

Belongs here: their fields and rules (consul-gateways.md 5.2). Never here: how a request is matched
against them (`cluster.intentions`).
"""

from collections import Counter
from collections.abc import Iterator

from .kind import Body
from .report import Finding
from .scalars import Flag, Text
from .schema import Field, ListOf, Object

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE")
ACTIONS = ("allow", "deny")
_PATHS = ("PathExact", "PathPrefix", "PathRegex")
_MATCHES = ("Present", "Exact", "Prefix", "Suffix", "Contains", "Regex")

JWT = Object(
    Field(
        name="Providers",
        shape=ListOf(
            Object(
                Field(name="Name", shape=Text()),
                Field(
                    name="VerifyClaims",
                    shape=ListOf(
                        Object(
                            Field(name="Path", shape=ListOf(Text())),
                            Field(name="Value", shape=Text()),
                        )
                    ),
                ),
            )
        ),
    )
)

HEADER = Object(
    Field(name="Name", shape=Text()),
    Field(name="Present", shape=Flag()),
    *(Field(name=name, shape=Text()) for name in _MATCHES[1:]),
    Field(name="Invert", shape=Flag()),
    Field(name="IgnoreCase", shape=Flag()),
)

HTTP = Object(
    *(Field(name=name, shape=Text()) for name in _PATHS),
    Field(name="Methods", shape=ListOf(Text())),
    Field(name="Header", shape=ListOf(HEADER)),
)

PERMISSION = Object(
    Field(name="Action", shape=Text()),
    Field(name="HTTP", shape=HTTP),
    Field(name="JWT", shape=JWT),
)


def upper_methods(permission: Body) -> Body:
    """The permission with its methods in upper case, as it is stored."""
    http = permission.get("HTTP")
    if not http or "Methods" not in http:
        return permission
    methods = [method.upper() for method in http["Methods"]]
    return permission | {"HTTP": http | {"Methods": methods}}


def permission_rules(permission: Body, path: str) -> Iterator[Finding]:
    """What is wrong with one permission."""
    if permission.get("Action") not in ACTIONS:
        yield Finding(f"{path}.Action", "Action must be allow or deny")
    if "HTTP" in permission:
        yield from _http_rules(permission["HTTP"], f"{path}.HTTP")
    else:
        yield Finding(f"{path}.HTTP", "HTTP is required")
    yield from jwt_rules(permission.get("JWT", {}), f"{path}.JWT")


def jwt_rules(jwt: Body, path: str) -> Iterator[Finding]:
    """Every provider is named."""
    for index, provider in enumerate(jwt.get("Providers", [])):
        if not provider.get("Name"):
            yield Finding(f"{path}.Providers[{index}].Name", "a JWT provider's Name is required")


def _http_rules(http: Body, path: str) -> Iterator[Finding]:
    paths = [name for name in _PATHS if http.get(name)]
    if len(paths) > 1:
        yield Finding(path, f"at most one of {', '.join(_PATHS)}, found {' and '.join(paths)}")
    for name in ("PathExact", "PathPrefix"):
        if http.get(name) and not http[name].startswith("/"):
            yield Finding(f"{path}.{name}", f"{name} doesn't start with '/': {http[name][:64]!r}")
    if not paths and not http.get("Methods") and not http.get("Header"):
        yield Finding(path, "HTTP should not be empty: give a path, a header or a method")
    yield from _method_rules(http.get("Methods", []), f"{path}.Methods")
    for index, header in enumerate(http.get("Header", [])):
        yield from _header_rules(header, f"{path}.Header[{index}]")


def _method_rules(methods: list[str], path: str) -> Iterator[Finding]:
    for index, method in enumerate(methods):
        if method not in METHODS:
            yield Finding(f"{path}[{index}]", f"contains an invalid method {method[:64]!r}")
    for method, count in Counter(methods).items():
        if count > 1:
            yield Finding(path, f"contains {method[:64]} more than once")


def _header_rules(header: Body, path: str) -> Iterator[Finding]:
    if not header.get("Name"):
        yield Finding(f"{path}.Name", "missing required Name")
    matches = [name for name in _MATCHES if header.get(name)]
    if len(matches) != 1:
        found = " and ".join(matches) or "none"
        yield Finding(path, f"must contain exactly one of {', '.join(_MATCHES)}, found {found}")
    if header.get("IgnoreCase") and (header.get("Present") or header.get("Regex")):
        message = "IgnoreCase works only with Exact, Prefix, Suffix or Contains"
        yield Finding(f"{path}.IgnoreCase", message)
