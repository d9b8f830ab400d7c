"""Why may a source reach a destination, or not, and where would the connection go: `/v1/lockgate/explain`.

Belongs here: putting the answers of the data path's functions together. Never here: a rule of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from cluster.authorize import reason_of
from cluster.catalog import Instance, Kind
from cluster.http import (
    BadRequest,
    Request,
    RequestPolicy,
    authorize_request,
    read_target,
    wire_text,
)
from cluster.intentions import Decision, covers, evaluate, in_force
from cluster.lookup import NameTable
from cluster.names import ServiceName, service_sni
from cluster.routes import Endpoint, GatewayKind
from cluster.snapshot import Trust
from coordinator.acl.rights import Right, intention_read, operator_read, service_read
from coordinator.catalog_index import node_of
from coordinator.compose.catalog import Catalog, instances, some_instances
from coordinator.compose.linking import Link, gateway_services
from coordinator.compose.routes import Routes, routes

from .answers import ApiError, refuse
from .body import Fields, read_object
from .consequences import with_entries
from .endpoint import Call, Do, Read, at
from .names import service_parameter
from .needs import in_answer
from .pairs import pairs_towards, rules_towards
from .plan import judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where connections to one service go: gateways that lead out of the mesh, or none in between."""

    service: ServiceName
    sni: str
    gateways: tuple[str, ...]
    dialled: tuple[Endpoint, ...]
    endpoints: tuple[Endpoint, ...]


def _explain(call: Call) -> dict[str, Any]:
    source = service_parameter(call, "source")
    if bool(call.query("destination")) == bool(call.query("sni")):
        raise ApiError(400, "say where to: either 'destination' or 'sni'")
    if call.query("sni"):
        sni = call.query("sni").lower()
        destination = _by_sni(_served(call), sni)
        call.require(_rights(destination.name) if destination else operator_read)
        if destination is None:
            return _nowhere(call, sni)
    else:
        destination = service_parameter(call, "destination")
        call.require(_rights(destination.name))
        sni = _sni(call, destination)
    way = _way(_served_for(call, destination.name), destination, sni)
    answer = _decision(call, source, destination) | _route(way) | _generation(call)
    return answer | _of_request(call, source, destination)


def _rights(destination: str) -> tuple[Right, ...]:
    """The decision is one of the intentions, and the endpoints are the service's."""
    return intention_read(destination), service_read(destination)


def explain_pair(call: Call, source: ServiceName, destination: ServiceName) -> dict[str, Any]:
    """What holds for a connection between the two."""
    way = _way(_served_for(call, destination.name), destination, _sni(call, destination))
    return _decision(call, source, destination) | _route(way) | _generation(call)


async def _explain_planned(call: Call) -> dict[str, Any]:
    """The same for the state that a change would lead to, which is in the body as `plan` takes it.

    As there, why a change would be refused tells of entries that the change does not name.
    """
    state = call.services.wanted.state.snapshot()
    change = await judged(state, Fields(await read_object(call.request)))
    if change.problems:
        raise refuse(400, change.problems)
    after = with_entries(state, change.written, change.removed)
    return _explain(replace(call, state=after))


def _of_request(call: Call, source: ServiceName, destination: ServiceName) -> dict[str, Any]:
    """What the permissions say of the request that `method`, `path` and `header` describe, if they do.

    It is what a service of an HTTP protocol answers by; one of tcp sees no requests, and `allowed` holds.
    """
    query = call.request.query_params
    if not any(name in query for name in ("method", "path", "header")):
        return {}
    policy = RequestPolicy(
        destination,
        in_force(rules_towards(call.state, destination.name), call.services.clock()),
        default_allow=call.services.default_allow,
    )
    decision = authorize_request(policy, source, _request(call))
    if decision.rule is None or decision.permission is None:
        return {"request": {"allowed": decision.allowed, "permission": None, "number": None}}
    permission = decision.rule.permissions[decision.permission]
    return {
        "request": {
            "allowed": decision.allowed,
            "permission": permission,
            "number": decision.permission + 1,
        }
    }


def _request(call: Call) -> Request:
    """The request that the query describes, as a gateway would read it."""
    method = call.query("method", "GET").upper()
    try:
        target = read_target(wire_text(call.query("path", "/")), method)
    except BadRequest as error:
        raise ApiError(400, str(error)) from error
    return Request(
        method=method,
        path=target.path,
        query=target.query,
        headers=tuple(_header(text) for text in call.request.query_params.getlist("header")),
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ApiError(400, f"'header' is NAME:VALUE, not {text[:40]!r}")
    return wire_text(name.strip().lower()), wire_text(value.strip())


def _served(call: Call) -> Routes:
    """The routes of the present wanted state, as they are composed for the gateways."""
    return _routed(call, instances(call.state), gateway_services(call.state))


def _served_for(call: Call, service: str) -> Routes:
    """What of `_served` can lead to one service. Others of its name but for case may have its SNI."""
    links = [one for one in gateway_services(call.state) if one.service.lower() == service.lower()]
    index, gateways = call.services.catalog, Kind.TERMINATING_GATEWAY
    names = index.spelled_like(service) | {link.service for link in links}
    records = [one for name in names for one in (*index.instances(name), *index.proxies(name))]
    unique = {one.key: one for one in (*records, *(index.of_kind(gateways) if links else ()))}
    checks = {
        check.key: check
        for one in unique.values()
        for check in index.checks_of(node_of(one), one.value["ID"])
    }
    return _routed(call, some_instances(call.state, unique.values(), checks.values()), links)


def _routed(call: Call, found: Iterable[Instance], links: Iterable[Link]) -> Routes:
    trust = Trust(
        datacenter=call.services.datacenter, bundle=call.services.authority.trust_bundle()
    )
    return routes(call.state, Catalog(found), tuple(links), trust)


def _by_sni(served: Routes, sni: str) -> ServiceName | None:
    """The service that a gateway serves under this name."""
    table = NameTable(
        (
            *((route.server_name, route.service) for route in served.mesh),
            *(
                (name, route.service)
                for gateway in served.terminating
                for route in gateway.routes
                for name in route.server_names
            ),
        )
    )
    return table.find(sni)


def _sni(call: Call, destination: ServiceName) -> str:
    services = call.services
    return service_sni(
        destination.name,
        datacenter=services.datacenter,
        trust_domain=services.authority.trust_domain,
    )


def _way(served: Routes, destination: ServiceName, sni: str) -> Way:
    sets = {one.name: one.endpoints for one in served.endpoints}
    found = [
        (gateway.name, route.endpoints)
        for gateway in served.terminating
        for route in gateway.routes
        if sni.lower() in route.server_names
    ]
    dialled = next((r.endpoints for r in served.mesh if r.server_name == sni.lower()), "")
    return Way(
        service=destination,
        sni=sni,
        gateways=tuple(gateway for gateway, _ in found),
        dialled=sets.get(dialled, ()),
        endpoints=sets.get(found[0][1] if found else dialled, ()),
    )


def _decision(call: Call, source: ServiceName, destination: ServiceName) -> dict[str, Any]:
    known, now = pairs_towards(call.state, destination), call.services.clock()
    ended = [pair for pair in known if pair.rule.has_expired(now)]
    decision = _evaluated(call, source, destination)
    rule = next((pair.shown for pair in known if pair.rule == decision.rule), None)
    return {
        "allowed": decision.allowed,
        "decision": {
            "rule": rule,
            "default": decision.by_default,
            "precedence": decision.rule.precedence if decision.rule else 0,
            "reason": reason_of(decision),
            "expired": [pair.shown for pair in ended if covers(pair.rule.source, source)],
        },
    }


def _evaluated(call: Call, source: ServiceName, destination: ServiceName) -> Decision:
    rules = in_force(rules_towards(call.state, destination.name), call.services.clock())
    return evaluate(rules, source, destination, default_allow=call.services.default_allow)


def _route(way: Way) -> dict[str, Any]:
    return {
        "route": {
            "gateway": way.gateways[0] if way.gateways else "",
            "gateways": list(way.gateways),
            "kind": GatewayKind.TERMINATING.value if way.gateways else "",
            "destination": str(way.service),
            "sni": way.sni,
            "chain": [],
            "dialled": _shown(way.dialled),
        },
        "endpoints": _shown(way.endpoints),
    }


def _nowhere(call: Call, sni: str) -> dict[str, Any]:
    reason = f"no gateway serves {sni}: the client gets the TLS alert unrecognized_name"
    decision = {"rule": None, "default": False, "precedence": 0, "reason": reason}
    route = {"gateway": "", "gateways": [], "kind": "", "destination": "", "sni": sni, "chain": []}
    answer = {"allowed": False, "decision": decision, "route": route | {"dialled": []}}
    return answer | {"endpoints": []} | _generation(call)


def _shown(endpoints: Iterable[Endpoint]) -> list[dict[str, Any]]:
    return [
        {"address": str(one), "healthy": one.healthy, "weight": one.weight} for one in endpoints
    ]


def _generation(call: Call) -> dict[str, int]:
    """Of what the nodes were offered last, which a change of this moment may be ahead of."""
    return {"generation": call.services.fleet.status().get("generation", 0)}


ROUTES = (
    at(
        "/v1/lockgate/explain",
        GET=Read(answer=_explain, needs=in_answer),
        POST=Do(answer=_explain_planned, needs=operator_read, audited=False),
    ),
)
