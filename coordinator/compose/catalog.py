"""The catalog's records as instances, indexed the ways in which the mesh asks for them.

Belongs here: who the instances of a service are, plain and seen from the mesh. Never here: which services a
terminating gateway is linked to (`linking`), or what a route to them looks like (`routes`).

Records are Consul's JSON: `nodes` by node, `services` by `node/id`, `checks` by `node/id`.
Source: Consul, "Catalog" HTTP API; connect view: `/v1/health/connect/:service`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from cluster.catalog import Health, Instance, Kind, worst
from cluster.names import ServiceName
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, NODES, SERVICES

_HEALTH = {health.value: health for health in Health}
_KINDS = {kind.value: kind for kind in Kind}
#: What the catalog is made of.
TABLES = (NODES, SERVICES, CHECKS)
#: The service of Consul's own servers, which no wildcard links.
CONSUL = "consul"

#: In the `Meta` of an instance outside the mesh: "true" has ingress gateways dial it without TLS.
PLAINTEXT = "lockgate-plaintext"

_Healths = Mapping[tuple[str, str], list[Health]]
_Listed = dict[str, tuple[Instance, ...]]


def instances(state: State) -> tuple[Instance, ...]:
    """Every registered instance with its node's address and its health, in order of node and id.

    A status or a kind that nobody knows is taken for the careful one: critical, and not part of the mesh.
    """
    nodes = {key: record.value for key, record in state.table(NODES).items()}
    return _instances(state.table(SERVICES).values(), nodes, state.table(CHECKS).values())


def some_instances(
    state: State, services: Iterable[Record], checks: Iterable[Record]
) -> tuple[Instance, ...]:
    """As `instances`, of these records of services and of what is checked about them."""
    nodes = {key: record.value for key, record in state.table(NODES).items()}
    return _instances(services, nodes, checks)


def _instances(
    services: Iterable[Record], nodes: Mapping[str, Any], checks: Iterable[Record]
) -> tuple[Instance, ...]:
    healths = _healths(checks)
    in_order = sorted(services, key=lambda record: record.key)
    found = (_instance(record, nodes, healths) for record in in_order)
    return tuple(instance for instance in found if instance is not None)


def _healths(checks: Iterable[Record]) -> _Healths:
    """Statuses by (node, service id); those of the node itself have an empty id."""
    healths: defaultdict[tuple[str, str], list[Health]] = defaultdict(list)
    for record in checks:
        healths[place_of(record)].append(health_of(record))
    return healths


def place_of(check: Record) -> tuple[str, str]:
    """Node and id of the instance that a check is of; the id is empty if it is of the node."""
    return check.key.partition("/")[0], check.value.get("ServiceID", "")


def health_of(check: Record) -> Health:
    return _HEALTH.get(check.value.get("Status", ""), Health.CRITICAL)


def _instance(record: Record, nodes: Mapping[str, Any], healths: _Healths) -> Instance | None:
    node, _, identity = record.key.partition("/")
    statuses = (*healths.get((node, ""), ()), *healths.get((node, identity), ()))
    return instance_of(record, nodes.get(node, {}), statuses)


def instance_of(
    record: Record, node: Mapping[str, Any], statuses: Collection[Health]
) -> Instance | None:
    """The instance of a service's record, the value of its node, and its checks; None of an unknown kind."""
    key, value = record.key, record.value
    kind = _KINDS.get(value.get("Kind", ""))
    if kind is None:
        return None
    weights = value.get("Weights") or {}
    name, _, identity = key.partition("/")
    return Instance(
        node=name,
        id=identity,
        service=ServiceName(name=value["Service"]),
        node_address=node.get("Address", ""),
        kind=kind,
        address=value.get("Address", ""),
        port=value.get("Port", 0),
        meta=value.get("Meta") or {},
        weight_passing=weights.get("Passing", 1),
        weight_warning=weights.get("Warning", 1),
        native=is_native(value),
        proxied_service=(value.get("Proxy") or {}).get("DestinationServiceName", ""),
        health=worst(statuses) if statuses else Health.PASSING,
    )


def is_outside(service: Mapping[str, Any]) -> bool:
    """Whether the instance is one that makes the wildcard link cover its service; see `Catalog.linkable`."""
    return service["Service"] != CONSUL and not service.get("Kind") and not is_native(service)


def linkable(state: State) -> tuple[str, ...]:
    """As `Catalog.linkable`, for who needs no instance."""
    values = (record.value for record in state.table(SERVICES).values())
    return tuple(sorted({value["Service"] for value in values if is_outside(value)}))


def connectable(state: State) -> tuple[str, ...]:
    """The services with an instance in the mesh, a proxy or a native one; Consul's own is not told."""
    found = set()
    for record in state.table(SERVICES).values():
        kind = record.value.get("Kind", "")
        if kind == Kind.CONNECT_PROXY:
            found.add((record.value.get("Proxy") or {}).get("DestinationServiceName", ""))
        elif kind == Kind.TYPICAL and is_native(record.value):
            found.add(record.value["Service"])
    return tuple(sorted(found - {"", CONSUL}))


def exportable(state: State) -> tuple[str, ...]:
    """The services that the wildcard of an export covers: those of typical kind, but for Consul's own."""
    values = (record.value for record in state.table(SERVICES).values())
    found = {value["Service"] for value in values if not value.get("Kind")}
    return tuple(sorted(found - {CONSUL}))


def is_native(service: Mapping[str, Any]) -> bool:
    """Whether the instance speaks the mesh's TLS itself."""
    return bool((service.get("Connect") or {}).get("Native"))


class Catalog:
    """Instances by what they are to the mesh. Gateways and natives by service, proxies by destination."""

    def __init__(self, found: Iterable[Instance]) -> None:
        self._outside: _Listed = {}
        self._inside: _Listed = {}
        self._gateways: _Listed = {}
        self._put((), found)

    def after(self, gone: Iterable[Instance], come: Iterable[Instance]) -> "Catalog":
        """One without these and with those. What is the same of both is shared; this one stays as it is."""
        made = Catalog(())
        made._outside, made._inside = dict(self._outside), dict(self._inside)
        made._gateways = dict(self._gateways)
        made._put(gone, come)
        return made

    def _put(self, gone: Iterable[Instance], come: Iterable[Instance]) -> None:
        changed: dict[tuple[str, str], dict[str, Instance]] = {}
        for instance in gone:
            if place := _place(instance):
                self._present(place, changed).pop(_key(instance), None)
        for instance in come:
            if place := _place(instance):
                self._present(place, changed)[_key(instance)] = instance
        for (kind, name), present in changed.items():
            listed = self._listed(kind)
            if present:
                listed[name] = tuple(present[key] for key in sorted(present))
            else:
                listed.pop(name, None)

    def _present(
        self, place: tuple[str, str], changed: dict[tuple[str, str], dict[str, Instance]]
    ) -> dict[str, Instance]:
        if place not in changed:
            kind, name = place
            changed[place] = {_key(one): one for one in self._listed(kind).get(name, ())}
        return changed[place]

    def _listed(self, kind: str) -> "_Listed":
        return {"outside": self._outside, "inside": self._inside}.get(kind, self._gateways)

    @property
    def linkable(self) -> tuple[str, ...]:
        """What the wildcard link covers: services with a plain instance, but for Consul's own."""
        return tuple(sorted(name for name in self._outside if name != CONSUL))

    def plain(self, service: str) -> tuple[Instance, ...]:
        """Instances of typical kind that are not connect-native: what a terminating gateway dials."""
        return self._outside.get(service, ())

    def plaintext(self, service: str) -> tuple[Instance, ...]:
        """Those of them that ingress gateways may dial as they are: their registrations say so."""
        return tuple(one for one in self.plain(service) if one.meta.get(PLAINTEXT) == "true")

    def connect(self, service: str, gateways: Iterable[str] = ()) -> tuple[Instance, ...]:
        """What a caller in the mesh dials to reach `service`, which is linked to these gateways."""
        inside = self._inside.get(service, ())
        linked = tuple(one for name in gateways for one in self._gateways.get(name, ()))
        return (*inside, *linked) if linked else inside

    def in_mesh(self, linked: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
        """Services with at least one instance that `connect` gives."""
        reached = {
            service for service, gateways in linked.items() if self.connect(service, gateways)
        }
        return tuple(sorted(reached | self._inside.keys()))


def _key(instance: Instance) -> str:
    """As the records of services are ordered."""
    return f"{instance.node}/{instance.id}"


def _place(instance: Instance) -> tuple[str, str] | None:
    """As what the instance is listed, and by which name."""
    match instance.kind:
        case Kind.TYPICAL:
            return ("inside" if instance.native else "outside"), instance.service.name
        case Kind.CONNECT_PROXY if instance.proxied_service:
            return "inside", instance.proxied_service
        case Kind.TERMINATING_GATEWAY:
            return "gateways", instance.service.name
    return None
