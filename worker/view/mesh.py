"""The table of each mesh gateway, and keeping what did not change.

Belongs here: routes and endpoint sets to targets. Never here: what a route is (`cluster.routes`), or a lookup
(`cluster.lookup`).

There are as many routes as services, and a change touches a few of them: a target is taken over for as long
as its route and its ways are the same objects, and the whole table as long as all of them are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cluster.lookup import NameTable
from cluster.routes import Endpoint, MeshRoute
from worker.telemetry.metrics import ServiceMeters
from worker.view.view import MeshTarget
from worker.view.ways import Ways


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the tables of one snapshot are made of; the same objects for what is the same."""

    mesh: tuple[MeshRoute, ...]
    endpoints: Mapping[str, tuple[Endpoint, ...]]
    ways: Mapping[str, Ways]


@dataclass(frozen=True, slots=True)
class _Kept:
    served: Served
    routes: Mapping[str, tuple[MeshRoute, MeshTarget]]
    table: NameTable[MeshTarget]


class KeptTables:
    """By gateway. A gateway that no view has any more is forgotten by `keep`."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def of(
        self, gateway: str, served: Served, meters: Callable[[str], ServiceMeters]
    ) -> NameTable[MeshTarget]:
        """`meters` gives the handles of a service; they have to be the same ones each time."""
        kept = self._kept.get(gateway)
        if kept and kept.served.mesh is served.mesh and kept.served.ways is served.ways:
            return kept.table
        routes = dict(_routes(served, kept.routes if kept else {}, meters))
        table = NameTable((name, target) for name, (_, target) in routes.items())
        self._kept[gateway] = _Kept(served, routes, table)
        return table

    def keep(self, gateways: frozenset[str]) -> None:
        """Forget all but these."""
        self._kept = {name: kept for name, kept in self._kept.items() if name in gateways}


def _routes(
    served: Served,
    kept: Mapping[str, tuple[MeshRoute, MeshTarget]],
    meters: Callable[[str], ServiceMeters],
) -> Iterator[tuple[str, tuple[MeshRoute, MeshTarget]]]:
    ways = served.ways
    for route in served.mesh:
        name = route.server_name
        known = kept.get(name)
        if known and known[0] is route and known[1].ways is ways[route.endpoints]:
            yield name, known
        else:
            yield name, (route, _target(route, served, meters))


def _target(route: MeshRoute, served: Served, meters: Callable[[str], ServiceMeters]) -> MeshTarget:
    return MeshTarget(
        service=route.service,
        endpoints=served.endpoints[route.endpoints],
        ways=served.ways[route.endpoints],
        connect_timeout_seconds=route.connect_timeout_seconds,
        meters=meters(str(route.service)),
    )
