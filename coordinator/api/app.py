"""All endpoints as one application, and what a path gets that is none.

Belongs here: the table of families. Never here: an endpoint, or a socket (`serve`).
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from . import (
    acl_bootstrap,
    acl_policies,
    acl_roles,
    acl_tokens,
    agent,
    agent_checks,
    agent_health,
    agent_services,
    audit,
    ca,
    catalog,
    config,
    connections,
    discovery_chain,
    drain,
    explain,
    explain_connection,
    exported_services,
    gateways,
    health,
    history,
    intention_answers,
    intentions,
    intentions_by_id,
    kv,
    leaf,
    maintenance,
    monitor,
    nodes,
    openapi,
    plan,
    registration,
    snapshot,
    status,
    txn,
)
from .answers import PLAIN_TEXT, ApiError, error_answer
from .services import Services

_FAMILIES = (
    acl_bootstrap,
    acl_policies,
    acl_roles,
    acl_tokens,
    agent,
    agent_checks,
    agent_health,
    agent_services,
    audit,
    ca,
    catalog,
    config,
    connections,
    discovery_chain,
    drain,
    explain,
    explain_connection,
    exported_services,
    gateways,
    health,
    history,
    intention_answers,
    intentions,
    intentions_by_id,
    kv,
    leaf,
    maintenance,
    monitor,
    nodes,
    openapi,
    plan,
    registration,
    snapshot,
    status,
    txn,
)

# What Consul's agents do besides has no meaning here; the reason says what there is instead.
_NEVER = {
    "/v1/agent/force-leave": "there is no gossip: 'lockgate nodes revoke NAME' takes a node off",
    "/v1/agent/host": "the monitoring of the host knows its hardware",
    "/v1/agent/join": "there is no gossip: 'lockgate nodes allow NAME KEY' lets a node join",
    "/v1/agent/leave": "there is no gossip: SIGTERM ends a coordinator, 'lockgate drain' empties a node",
    "/v1/agent/monitor": "the log goes to stderr; events are at /v1/lockgate/monitor",
    "/v1/agent/reload": "restart the coordinator: nodes serve meanwhile",
    "/v1/agent/token": "the coordinator needs no tokens of its own",
}
# Consul has these and we do not have them yet; the first part that fits a path names what is missing.
_LATER = {
    "/v1/acl": "auth methods, binding rules and templated policies",
    "/v1/agent": "the other endpoints of the agent",
    "/v1/catalog": "the other endpoints of the catalog",
    "/v1/coordinate": "network coordinates",
    "/v1/event": "user events",
    "/v1/health": "the other endpoints of health",
    "/v1/internal": "internal endpoints",
    "/v1/operator": "operator endpoints",
    "/v1/peering": "cluster peering",
    "/v1/query": "prepared queries",
    "/v1/session": "sessions",
}


def make_app(services: Services) -> Starlette:
    """The API as an ASGI application."""
    found = [route for family in _FAMILIES for route in family.ROUTES]
    app = Starlette(routes=found)
    app.router.redirect_slashes = False
    app.router.default = _no_endpoint
    app.state.services = services
    return app


async def _no_endpoint(scope: Scope, receive: Receive, send: Send) -> None:
    path = Request(scope).url.path if scope["type"] == "http" else ""
    await _missing(path)(scope, receive, send)


def _missing(path: str) -> Response:
    for start, instead in _NEVER.items():
        if path == start or path.startswith(f"{start}/"):
            return error_answer(ApiError(501, f"{path}: not supported ({instead})"))
    for start, what in _LATER.items():
        if path.startswith(start):
            return error_answer(ApiError(501, f"{path}: not supported yet ({what})"))
    return Response(f"{path}: no such endpoint", 404, media_type=PLAIN_TEXT)
