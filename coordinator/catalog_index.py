"""The catalog by who asks for what: instances by service, node, destination, and when each last changed.

Belongs here: finding records without looking at all of them, and the index of a blocking query about one
service. Kept up with every commit, whoever made it. Never here: what a record means to traffic
(`coordinator.compose`), or JSON.

With one index for the whole catalog, every check that changes anywhere would wake whoever waits for any
service. What was deleted before we started is not known, so at first everything counts as changed then.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from cluster.catalog import Kind
from coordinator.store.graves import Graves
from coordinator.store.records import Record
from coordinator.store.settle import Effect
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES
from coordinator.store.wanted import Wanted

_TABLES = (NODES, SERVICES, CHECKS)
_LINKS = f"{Kind.TERMINATING_GATEWAY}/"
_DEFAULTS = "service-defaults/"

_Places = defaultdict[str, set[str]]


def following(wanted: Wanted) -> "CatalogIndex":
    """The index of what is stored now and from now on."""
    index = CatalogIndex(wanted.state)
    wanted.follow(index.follow)
    return index


def node_of(record: Record) -> str:
    """The node that a service or check record belongs to."""
    return record.key.partition("/")[0]


def is_watched(check: Record) -> bool:
    """Whether the check changes by time or with another check; see `coordinator.health`."""
    value = check.value
    definition = value.get("Definition") or {}
    return value.get("Type") in ("ttl", "alias") or "DeregisterCriticalServiceAfter" in definition


class CatalogIndex:
    """Records by what they are asked for. Sets hold keys of records."""

    def __init__(self, state: State) -> None:
        self._floor = max(state.table_index(table) for table in _TABLES)
        self._links = state.table_index(ENTRIES)
        self._gateways_changed = self._floor
        self._services: dict[str, Record] = {}
        self._checks: dict[str, Record] = {}
        self._by_name: defaultdict[str, set[str]] = defaultdict(set)
        self._by_destination: defaultdict[str, set[str]] = defaultdict(set)
        self._by_kind: defaultdict[str, set[str]] = defaultdict(set)
        self._by_node: defaultdict[str, set[str]] = defaultdict(set)
        self._checks_by_node: defaultdict[str, set[str]] = defaultdict(set)
        self._checks_about: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._watched: set[str] = set()
        self._changed = _Marks(self._floor)
        self._reached = _Marks(self._floor)
        self._node_changed = _Marks(self._floor)
        for record in state.table(SERVICES).values():
            self._put_service(record)
        for record in state.table(CHECKS).values():
            self._put_check(record)

    def instances(self, service: str) -> list[Record]:
        """The instances registered under this name, in order of their keys."""
        return self._found(self._by_name.get(service, ()))

    def spelled_like(self, service: str) -> set[str]:
        """The names that are this one but for case, of instances and of what proxies stand for."""
        wanted = service.lower()
        names = (*self._by_name, *self._by_destination)
        return {name for name in names if name.lower() == wanted}

    def proxies(self, service: str) -> list[Record]:
        """The connect-proxies whose destination the service is."""
        return self._found(self._by_destination.get(service, ()))

    def of_kind(self, kind: Kind) -> list[Record]:
        """All instances of one kind that is not the typical one."""
        return self._found(self._by_kind.get(kind, ()))

    def has(self, node: str, service_id: str) -> bool:
        """Whether there is an instance of this id on the node."""
        return f"{node}/{service_id}" in self._services

    def services_on(self, node: str) -> list[Record]:
        return self._found(self._by_node.get(node, ()))

    def checks_on(self, node: str) -> list[Record]:
        return [self._checks[key] for key in sorted(self._checks_by_node.get(node, ()))]

    def checks_of(self, node: str, service_id: str) -> list[Record]:
        """The checks of the node itself and of one instance on it."""
        of_node = self._checks_about.get((node, ""), ())
        own = self._checks_about.get((node, service_id), ()) if service_id else ()
        return [self._checks[key] for key in sorted((*of_node, *own))]

    def watched(self) -> list[Record]:
        """The checks that `is_watched`."""
        return [self._checks[key] for key in self._watched]

    def service_index(self, service: str) -> int:
        """The last revision that changed instances of this name, their nodes or their checks."""
        return self._changed.of(service)

    def connect_index(self, service: str) -> int:
        """The same for what a caller in the mesh dials to reach the service."""
        return max(
            self._reached.of(service),
            self.service_index(service),
            self._gateways_changed,
            self._links,
        )

    def node_index(self, node: str) -> int:
        """The last revision that changed the node, or a service or check on it."""
        return self._node_changed.of(node)

    def follow(self, effect: Effect) -> None:
        """Take in a commit."""
        for record in effect.deleted:
            self._follow(record, effect.revision, is_gone=True)
        for record in effect.written:
            self._follow(record, effect.revision, is_gone=False)

    def _follow(self, record: Record, revision: int, *, is_gone: bool) -> None:
        if record.table == SERVICES:
            self._replace_service(record, revision, is_gone)
        elif record.table == CHECKS:
            self._replace_check(record, revision, is_gone)
        elif record.table == NODES:
            self._mark_node(record.key, revision)
            self._touch(self.services_on(record.key), revision)
        elif record.table == ENTRIES and record.key.startswith(_LINKS):
            self._links = revision
        elif record.table == ENTRIES and record.key.startswith(_DEFAULTS):
            # may make a destination of it, to which gateways are linked
            self._mark_reached(record.key.removeprefix(_DEFAULTS), revision)

    def _replace_service(self, record: Record, revision: int, is_gone: bool) -> None:
        before = self._services.pop(record.key, None)
        if before is not None:
            for places, name in self._places(before):
                _remove(places, name, record.key)
            self._touch([before], revision)
        if not is_gone:
            self._put_service(record)
            self._touch([record], revision)
        self._mark_node(node_of(record), revision)

    def _put_service(self, record: Record) -> None:
        self._services[record.key] = record
        for places, name in self._places(record):
            places[name].add(record.key)

    def _places(self, record: Record) -> Iterator[tuple[_Places, str]]:
        value = record.value
        yield self._by_name, value["Service"]
        yield self._by_node, node_of(record)
        if kind := value.get("Kind", ""):
            yield self._by_kind, kind
        if destination := _destination(value):
            yield self._by_destination, destination

    def _replace_check(self, record: Record, revision: int, is_gone: bool) -> None:
        node = node_of(record)
        before = self._checks.pop(record.key, None)
        if before is not None:
            _remove(self._checks_by_node, node, record.key)
            _remove(self._checks_about, (node, before.value.get("ServiceID", "")), record.key)
            self._watched.discard(record.key)
            self._touch(self._about(before), revision)
        if not is_gone:
            self._put_check(record)
            self._touch(self._about(record), revision)
        self._mark_node(node, revision)

    def _put_check(self, record: Record) -> None:
        self._checks[record.key] = record
        node = node_of(record)
        self._checks_by_node[node].add(record.key)
        self._checks_about[node, record.value.get("ServiceID", "")].add(record.key)
        if is_watched(record):
            self._watched.add(record.key)

    def _about(self, check: Record) -> list[Record]:
        """The instances that the check is about: one, or all on its node."""
        node, service_id = node_of(check), check.value.get("ServiceID")
        if not service_id:
            return self.services_on(node)
        found = self._services.get(f"{node}/{service_id}")
        return [found] if found else []

    def _touch(self, instances: Iterable[Record], revision: int) -> None:
        for record in instances:
            value = record.value
            name = value["Service"]
            self._changed.mark(name, revision, is_there=name in self._by_name)
            if destination := _destination(value):
                self._mark_reached(destination, revision)
            if value.get("Kind") == Kind.TERMINATING_GATEWAY:
                self._gateways_changed = revision

    def _mark_reached(self, service: str, revision: int) -> None:
        self._reached.mark(service, revision, is_there=service in self._by_destination)

    def _mark_node(self, node: str, revision: int) -> None:
        is_there = node in self._by_node or node in self._checks_by_node
        self._node_changed.mark(node, revision, is_there=is_there)

    def _found(self, keys: Iterable[str]) -> list[Record]:
        return [self._services[key] for key in sorted(keys)]


class _Marks:
    """When each name last changed. Of names that are gone the latest are known one by one, see `Graves`."""

    def __init__(self, floor: int) -> None:
        self._at: dict[str, int] = {}
        self._gone = Graves(floor)

    def of(self, name: str) -> int:
        return self._at.get(name) or self._gone.of_key(name)

    def mark(self, name: str, revision: int, *, is_there: bool) -> None:
        if is_there:
            self._at[name] = revision
        else:
            self._at.pop(name, None)
            self._gone.bury(name, revision)


def _remove(
    places: "_Places | defaultdict[tuple[str, str], set[str]]", name: Any, key: str
) -> None:
    """Take a key out, and with the last one the name: names come and go for as long as we run."""
    places[name].discard(key)
    if not places[name]:
        del places[name]


def _destination(service: dict[str, Any]) -> str:
    """The service that the instance is a proxy of, empty if it is none."""
    if service.get("Kind") != Kind.CONNECT_PROXY:
        return ""
    return str((service.get("Proxy") or {}).get("DestinationServiceName", ""))
