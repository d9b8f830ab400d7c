"""The kind `service-router`: which requests to a service go to which other service.

Belongs here: its fields and rules (consul-gateways.md 6.4). Never here: how a request is matched, or what
becomes of a route in a discovery chain.
"""

from collections.abc import Iterator

from .header_modifiers import HEADERS
from .http_criteria import PATHS, match_rules, method_rules, path_rules, regex_doubts, upper_methods
from .kind import Body, Kind, entry_shape, meta_rules, name_rules, unenforced_fields
from .report import Finding
from .scalars import Duration, Flag, Tenancy, Text, Whole
from .schema import Field, ListOf, Object

RETRY_ON = (
    "5xx",
    "gateway-error",
    "reset",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
)
_HEADER_MATCHES = ("Present", "Exact", "Prefix", "Suffix", "Regex")
_QUERY_MATCHES = ("Present", "Exact", "Regex")
_UINT32 = Whole(0, 2**32 - 1)

HTTP = Object(
    *(Field(name=name, shape=Text()) for name in PATHS),
    Field(name="CaseInsensitive", shape=Flag()),
    Field(
        name="Header",
        shape=ListOf(
            Object(
                Field(name="Name", shape=Text()),
                Field(name="Present", shape=Flag()),
                *(Field(name=name, shape=Text()) for name in _HEADER_MATCHES[1:]),
                Field(name="Invert", shape=Flag()),
            )
        ),
    ),
    Field(
        name="QueryParam",
        shape=ListOf(
            Object(
                Field(name="Name", shape=Text()),
                Field(name="Present", shape=Flag()),
                *(Field(name=name, shape=Text()) for name in _QUERY_MATCHES[1:]),
            )
        ),
    ),
    Field(name="Methods", shape=ListOf(Text())),
)

DESTINATION = Object(
    Field(name="Service", shape=Text()),
    Field(name="ServiceSubset", shape=Text()),
    Field(name="Namespace", shape=Tenancy("namespace")),
    Field(name="Partition", shape=Tenancy("partition")),
    Field(name="PrefixRewrite", shape=Text()),
    Field(name="RequestTimeout", shape=Duration(negative=True)),
    Field(name="IdleTimeout", shape=Duration(negative=True)),
    Field(name="NumRetries", shape=_UINT32),
    Field(name="RetryOnConnectFailure", shape=Flag()),
    Field(name="RetryOn", shape=ListOf(Text())),
    Field(name="RetryOnStatusCodes", shape=ListOf(_UINT32)),
    *HEADERS,
)

ROUTE = Object(
    Field(name="Match", shape=Object(Field(name="HTTP", shape=HTTP))),
    Field(name="Destination", shape=DESTINATION),
)


def _normalise(body: Body) -> Body:
    return body | {"Routes": [_route(route) for route in body.get("Routes", [])]}


def _route(route: Body) -> Body:
    http = route.get("Match", {}).get("HTTP")
    return route if http is None else route | {"Match": {"HTTP": upper_methods(http)}}


def _rules(body: Body) -> Iterator[Finding]:
    yield from name_rules(body)
    for index, route in enumerate(body["Routes"]):
        http = route.get("Match", {}).get("HTTP", {})
        yield from _http_rules(http, f"Routes[{index}].Match.HTTP")
        destination = route.get("Destination", {})
        yield from _destination_rules(destination, http, f"Routes[{index}].Destination")
    yield from meta_rules(body.get("Meta", {}))


def _http_rules(http: Body, path: str) -> Iterator[Finding]:
    yield from path_rules(http, path)
    for index, header in enumerate(http.get("Header", [])):
        yield from match_rules(header, f"{path}.Header[{index}]", _HEADER_MATCHES)
    for index, parameter in enumerate(http.get("QueryParam", [])):
        yield from match_rules(parameter, f"{path}.QueryParam[{index}]", _QUERY_MATCHES)
    yield from method_rules(http.get("Methods", []), f"{path}.Methods")


def _destination_rules(destination: Body, http: Body, path: str) -> Iterator[Finding]:
    if destination.get("PrefixRewrite") and not (http.get("PathExact") or http.get("PathPrefix")):
        message = "cannot make use of PrefixRewrite without either PathExact or PathPrefix"
        yield Finding(f"{path}.PrefixRewrite", message)
    for index, condition in enumerate(destination.get("RetryOn", [])):
        if condition not in RETRY_ON:
            message = f"contains an invalid retry condition {condition[:64]!r}"
            yield Finding(f"{path}.RetryOn[{index}]", message)


_UNENFORCED = {
    "IdleTimeout": "idle timeouts of routes",
}


def _doubts(body: Body) -> Iterator[Finding]:
    for index, route in enumerate(body.get("Routes", [])):
        path = f"Routes[{index}].Destination"
        yield from unenforced_fields(route.get("Destination", {}), _UNENFORCED, path)
        http = route.get("Match", {}).get("HTTP", {})
        yield from regex_doubts(http, f"Routes[{index}].Match.HTTP")


SERVICE_ROUTER = Kind(
    name="service-router",
    shape=entry_shape(Field(name="Routes", shape=ListOf(ROUTE))),
    normalise=_normalise,
    rules=_rules,
    doubts=_doubts,
)
