"""The catalog and the routes of one state after the other: only what changed is made again.

Belongs here: noticing which records changed, and keeping what the others amount to. Never here: what a record
amounts to (`catalog`, `routes`).

Records are the same objects from one state to the next for as long as nobody writes them, and what is made of
them here is too. So a check that changes costs its instance, and what is downstream compares by identity.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from cluster.catalog import Health, Instance
from cluster.routes import MeshRoute
from cluster.snapshot import EndpointSet, Trust
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, NODES, SERVICES

from .catalog import Catalog, health_of, instance_of, place_of

_Records = Mapping[str, Record]


class KeptCatalog:
    """The states are those of one store, later ones after earlier ones."""

    def __init__(self) -> None:
        self._seen = dict.fromkeys((NODES, SERVICES, CHECKS), -1)
        self._tables: dict[str, _Records] = {table: {} for table in self._seen}
        self._on_node: defaultdict[str, set[str]] = defaultdict(set)
        self._healths: defaultdict[tuple[str, str], dict[str, Health]] = defaultdict(dict)
        self._made: dict[str, Instance] = {}
        self._catalog = Catalog(())

    def of(self, state: State) -> Catalog:
        """The same object for as long as no instance is another one."""
        touched = {*self._follow_nodes(state), *self._follow_services(state)}
        touched |= set(self._follow_checks(state))
        gone, come = [], []
        for key in sorted(touched):
            old, new = self._made.pop(key, None), self._instance(key)
            if new is not None:
                self._made[key] = old if old is not None and old == new else new
            if old != new:
                gone += [old] if old is not None else []
                come += [new] if new is not None else []
        if gone or come:
            self._catalog = self._catalog.after(gone, come)
        return self._catalog

    def _instance(self, key: str) -> Instance | None:
        record = self._tables[SERVICES].get(key)
        if record is None:
            return None
        node, _, identity = key.partition("/")
        of_node, own = self._healths.get((node, "")), self._healths.get((node, identity))
        at = self._tables[NODES].get(node)
        return instance_of(
            record, at.value if at else {}, (*(of_node or {}).values(), *(own or {}).values())
        )

    def _follow_nodes(self, state: State) -> Iterator[str]:
        for key, _, _ in self._changes(state, NODES):
            yield from tuple(self._on_node.get(key, ()))

    def _follow_services(self, state: State) -> Iterator[str]:
        for key, _, new in self._changes(state, SERVICES):
            node = key.partition("/")[0]
            if new is not None:
                self._on_node[node].add(key)
            else:
                self._on_node[node].discard(key)
                if not self._on_node[node]:
                    del self._on_node[node]
            yield key

    def _follow_checks(self, state: State) -> Iterator[str]:
        for key, old, new in self._changes(state, CHECKS):
            for record in (old, new):
                if record is not None:
                    place = place_of(record)
                    self._note(place, key, health_of(record) if record is new else None)
                    yield from self._about(place)

    def _note(self, place: tuple[str, str], key: str, health: Health | None) -> None:
        found = self._healths[place]
        if health is not None:
            found[key] = health
        elif found.pop(key, None) is not None and not found:
            del self._healths[place]

    def _about(self, place: tuple[str, str]) -> tuple[str, ...]:
        """The instances that a check of this place is about: one, or all on its node."""
        node, identity = place
        return (f"{node}/{identity}",) if identity else tuple(self._on_node.get(node, ()))

    def _changes(
        self, state: State, table: str
    ) -> Iterator[tuple[str, Record | None, Record | None]]:
        """Key, record before, record now, of those that are not the same."""
        index = state.table_index(table)
        if index == self._seen[table]:
            return
        before, now = self._tables[table], state.table(table)
        self._seen[table], self._tables[table] = index, now
        for key in before.keys() - now.keys():
            yield key, before[key], None
        for key in (key for key, record in now.items() if before.get(key) is not record):
            yield key, before.get(key), now[key]


class KeptRoutes:
    """Routes and endpoint sets by name; those that nobody asked for in the last round are forgotten."""

    def __init__(self) -> None:
        self._trust: Trust | None = None
        self._routes: dict[str, MeshRoute] = {}
        self._sets: dict[str, tuple[tuple[Instance, ...], EndpointSet]] = {}
        self._old_routes = self._routes
        self._old_sets = self._sets

    def begin(self, trust: Trust) -> None:
        """A round for another state."""
        self._old_routes = self._routes if trust == self._trust else {}
        self._old_sets = self._sets
        self._trust, self._routes, self._sets = trust, {}, {}

    def route(self, service: str, make: Callable[[], MeshRoute]) -> MeshRoute:
        found = self._old_routes.get(service)
        self._routes[service] = found = make() if found is None else found
        return found

    def endpoints(
        self, name: str, found: tuple[Instance, ...], make: Callable[..., EndpointSet]
    ) -> EndpointSet:
        """The set of these instances, which `make` gives of name and instances."""
        known = self._old_sets.get(name)
        if known is None or known[0] != found:
            known = (found, make(name, found))
        self._sets[name] = known
        return known[1]
