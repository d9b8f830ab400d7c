"""The route table of a listener: from a request's host to the routes of a service.

Belongs here: hosts and services taken together. Never here: the order among host patterns
(`cluster.ingress.Hosts`), or the routes of one service.

Ten thousand hosts cost a request what ten do: a dict hit, and one for each length of wildcard there is.
"""

import random
from collections.abc import Mapping

from cluster.http.request import Request
from cluster.ingress import Hosts

from .routes import ServiceRoutes
from .way import Way


class RouteTable:
    """Compiled once for a listener. `services` are by the name that `hosts` gives."""

    __slots__ = ("_hosts", "_services")

    def __init__(self, hosts: Hosts, services: Mapping[str, ServiceRoutes]) -> None:
        self._hosts = hosts
        self._services = dict(services)

    def service(self, host: str) -> str | None:
        """The service of a host; None is answered with 404. A connection that was opened for the host of
        another one may be asked for this one only if its certificate covers both (else 421)."""
        return self._hosts.service(host)

    def way(self, request: Request, chance: random.Random) -> Way | None:
        """The way of a request; None is answered with 404."""
        name = self._hosts.service(request.host)
        routes = self._services.get(name) if name is not None else None
        return routes.way(request, chance) if routes is not None else None
