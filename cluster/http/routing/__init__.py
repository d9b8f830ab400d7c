"""Routing of HTTP requests by compiled discovery chains.

Belongs here: from a request to its way (targets, timeouts, retries, changes). Never here: compiling chains
(`cluster.chain`), choosing an endpoint (`cluster.balance`), I/O.

    way = table.way(request, chance)        # None: 404
    target = way.target(is_up)              # None: 503
    sent = way.onward(request)
"""

from .routes import ServiceRoutes
from .table import RouteTable
from .way import DEFAULT_IDLE_TIMEOUT_SECONDS, DEFAULT_REQUEST_TIMEOUT_SECONDS, Way

__all__ = [
    "DEFAULT_IDLE_TIMEOUT_SECONDS",
    "DEFAULT_REQUEST_TIMEOUT_SECONDS",
    "RouteTable",
    "ServiceRoutes",
    "Way",
]
