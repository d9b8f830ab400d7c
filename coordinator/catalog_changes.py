"""What a registration does to the catalog, as changes to commit. Pure.

Belongs here: Consul's upsert and deregistration over nodes, services and checks. Never here: whether a body
is well formed (`coordinator.entries`), or HTTP.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from coordinator.store.records import Change, Delete, Put, Record
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, NODES, SERVICES

NODE_FIELDS = {"ID": "ID", "TaggedAddresses": "TaggedAddresses", "NodeMeta": "Meta"}
#: Where Consul's agents find a port for a sidecar that has none.
SIDECAR_PORTS = range(21000, 21256)
#: The ids of the checks that stand for maintenance; of a service it ends in the service's id.
NODE_MAINTENANCE = "_node_maintenance"
SERVICE_MAINTENANCE = "_service_maintenance:"


def registration_changes(state: State, body: Mapping[str, Any]) -> list[Change]:
    """The changes of a registration in the form that `check_registration` gives.

    Raises ValueError with a sentence for one that does not fit what is there.
    """
    node = str(body["Node"])
    if "/" in node:
        raise ValueError(f"the node's name {node[:64]!r} holds a slash")
    changes: list[Change] = list(_node_changes(state, node, body))
    service = body.get("Service")
    if service is not None:
        changes.append(Put(table=SERVICES, key=f"{node}/{service['ID']}", value=service))
    for check in body.get("Checks", ()):
        value = _check(state, node, check, service)
        changes.append(Put(table=CHECKS, key=f"{node}/{value['CheckID']}", value=value))
    return changes


def definition_changes(
    state: State,
    node: str,
    address: str,
    definition: Mapping[str, Any],
    *,
    replace_checks: bool = False,
) -> list[Change]:
    """The changes of a service definition in the form that `check_service` gives, its sidecar included.

    A check that is there already keeps its status, as with Consul's agents: registering again is no news
    of its health. `replace_checks` removes the service's other checks, but for maintenance. `address` is
    for a node that is not registered yet. Raises ValueError.
    """
    changes = _instance_changes(state, node, address, definition, replace_checks)
    if sidecar := definition.get("Sidecar"):
        service = sidecar["Service"]
        service = service | {"Port": sidecar_port(state, node, service)}
        sidecar = sidecar | {"Service": service}
        changes += _instance_changes(state, node, address, sidecar, replace_checks)
    return changes


def check_changes(
    state: State, node: str, address: str, checks: Iterable[Mapping[str, Any]]
) -> list[Change]:
    """The changes of checks that were registered on their own, which keep the status that they have."""
    place = {"Node": node, "Address": address, "SkipNodeUpdate": True}
    remembered = [_remembered(state, node, check) for check in checks]
    return registration_changes(state, place | {"Checks": remembered})


def _instance_changes(
    state: State, node: str, address: str, body: Mapping[str, Any], replace_checks: bool
) -> list[Change]:
    checks = [_remembered(state, node, check) for check in body.get("Checks", ())]
    place = {"Node": node, "Address": address, "SkipNodeUpdate": True}
    changes = registration_changes(state, place | {**body, "Checks": checks})
    if replace_checks:
        kept = {check["CheckID"] for check in checks}
        found = checks_of(state, node, body["Service"]["ID"])
        gone = [r for r in found if r.value["CheckID"] not in kept and not is_maintenance(r)]
        changes += [Delete(table=CHECKS, key=record.key) for record in gone]
    return changes


def _remembered(state: State, node: str, check: Mapping[str, Any]) -> dict[str, Any]:
    present = state.get(CHECKS, f"{node}/{check['CheckID']}")
    if present is None:
        return dict(check)
    known = {name: present.value[name] for name in ("Status", "Output") if name in present.value}
    return dict(check) | known


def is_maintenance(check: Record) -> bool:
    """Whether somebody took the node or the service out of service by hand."""
    name = str(check.value["CheckID"])
    return name == NODE_MAINTENANCE or name.startswith(SERVICE_MAINTENANCE)


def checks_of(state: State, node: str, service_id: str) -> Iterator[Record]:
    """The checks of one instance."""
    found = state.under(CHECKS, f"{node}/")
    return (record for record in found if record.value.get("ServiceID") == service_id)


def service_removal(state: State, node: str, service_id: str) -> list[Change]:
    """An instance and its checks."""
    return [
        Delete(table=SERVICES, key=f"{node}/{service_id}"),
        *(Delete(table=CHECKS, key=record.key) for record in checks_of(state, node, service_id)),
    ]


def node_removal(state: State, node: str) -> list[Change]:
    """A node and everything on it."""
    found = (r for table in (SERVICES, CHECKS) for r in state.under(table, f"{node}/"))
    return [
        Delete(table=NODES, key=node),
        *(Delete(table=record.table, key=record.key) for record in found),
    ]


def sidecar_port(
    state: State, node: str, service: Mapping[str, Any], taken: Collection[int] = ()
) -> int:
    """The port that a sidecar asks for, else the one that it has, else the lowest that is free.

    `taken` are ports given away in the same breath. Raises ValueError when none is free.
    """
    present = state.get(SERVICES, f"{node}/{service['ID']}")
    port = service.get("Port") or (present.value.get("Port") if present else 0)
    return port or _free_port(state, node, taken)


def _free_port(state: State, node: str, taken: Collection[int]) -> int:
    used = {record.value.get("Port") for record in state.under(SERVICES, f"{node}/")}
    for port in SIDECAR_PORTS:
        if port not in used and port not in taken:
            return port
    first, last = SIDECAR_PORTS[0], SIDECAR_PORTS[-1]
    raise ValueError(f"no port from {first} to {last} is free for a sidecar on node {node}")


def _node_changes(state: State, node: str, body: Mapping[str, Any]) -> Iterator[Change]:
    """The node itself; one that is there stays as it is if the registration wants it so."""
    present = state.get(NODES, node)
    if body.get("SkipNodeUpdate") and present is not None:
        return
    if not body.get("Address"):
        raise ValueError(f"node {node} is not registered yet, so its Address is required")
    value = {"Node": node, "Address": body["Address"]}
    value |= {to: body[name] for name, to in NODE_FIELDS.items() if name in body}
    yield Put(table=NODES, key=node, value=value)


def _check(
    state: State, node: str, check: Mapping[str, Any], service: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The check with the node and the service that it belongs to filled in."""
    value = {**check, "Node": node}
    service_id = value.get("ServiceID")
    if not service_id:
        return value
    if service is None or service["ID"] != service_id:
        record = state.get(SERVICES, f"{node}/{service_id}")
        if record is None:
            name = str(check["CheckID"])[:64]
            raise ValueError(f"check {name}: there is no service {service_id!r} on node {node}")
        service = record.value
    value["ServiceName"] = service["Service"]
    return value | ({"ServiceTags": service["Tags"]} if service.get("Tags") else {})
