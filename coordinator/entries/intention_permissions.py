"""The L7 part of an intention: permissions, HTTP criteria and JWT requirements.

Belongs here: their fields and rules (consul-gateways.md 5.2). Never here: how a request is matched
against them (`cluster.intentions`).
"""

from collections.abc import Iterator

from .http_criteria import (
    PATHS,
    match_rules,
    method_rules,
    path_rules,
    regex_doubts,
    upper_methods,
)
from .kind import Body
from .report import Finding
from .scalars import Flag, Text
from .schema import Field, ListOf, Object

ACTIONS = ("allow", "deny")
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
    *(Field(name=name, shape=Text()) for name in PATHS),
    Field(name="Methods", shape=ListOf(Text())),
    Field(name="Header", shape=ListOf(HEADER)),
)

PERMISSION = Object(
    Field(name="Action", shape=Text()),
    Field(name="HTTP", shape=HTTP),
    Field(name="JWT", shape=JWT),
)


def normal_permission(permission: Body) -> Body:
    """The permission with its methods in upper case, as it is stored."""
    if not permission.get("HTTP"):
        return permission
    return permission | {"HTTP": upper_methods(permission["HTTP"])}


def permission_rules(permission: Body, path: str) -> Iterator[Finding]:
    """What is wrong with one permission."""
    if permission.get("Action") not in ACTIONS:
        yield Finding(f"{path}.Action", "Action must be allow or deny")
    if "HTTP" in permission:
        yield from _http_rules(permission["HTTP"], f"{path}.HTTP")
    else:
        yield Finding(f"{path}.HTTP", "HTTP is required")
    yield from jwt_rules(permission.get("JWT", {}), f"{path}.JWT")


def permission_doubts(permission: Body, path: str) -> Iterator[Finding]:
    """What is only suspicious in one permission."""
    yield from regex_doubts(permission.get("HTTP", {}), f"{path}.HTTP")


def jwt_rules(jwt: Body, path: str) -> Iterator[Finding]:
    """Every provider is named."""
    for index, provider in enumerate(jwt.get("Providers", [])):
        if not provider.get("Name"):
            yield Finding(f"{path}.Providers[{index}].Name", "a JWT provider's Name is required")


def _http_rules(http: Body, path: str) -> Iterator[Finding]:
    yield from path_rules(http, path)
    if not any(http.get(name) for name in (*PATHS, "Methods", "Header")):
        yield Finding(path, "HTTP should not be empty: give a path, a header or a method")
    yield from method_rules(http.get("Methods", []), f"{path}.Methods")
    for index, header in enumerate(http.get("Header", [])):
        yield from _header_rules(header, f"{path}.Header[{index}]")


def _header_rules(header: Body, path: str) -> Iterator[Finding]:
    yield from match_rules(header, path, _MATCHES)
    if header.get("IgnoreCase") and (header.get("Present") or header.get("Regex")):
        message = "IgnoreCase works only with Exact, Prefix, Suffix or Contains"
        yield Finding(f"{path}.IgnoreCase", message)
