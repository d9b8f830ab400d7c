"""The service definitions in a node's configuration file, in the catalog under that node's name.

Belongs here: replacing what a node registered this way before. Never here: the bus, or a definition's rules.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import trio

from cluster.errors import Problem
from coordinator.catalog_changes import definition_changes, service_removal, sidecar_port
from coordinator.entries.service_shape import PROXY_KIND
from coordinator.entries.services import check_service
from coordinator.store.records import Change, Put
from coordinator.store.state import State
from coordinator.store.tables import NODE_FILES, NODES
from coordinator.store.wanted import Wanted


class OwnServices:
    """Takes what nodes register for themselves. `writes` is the lock that the API's writes hold too."""

    def __init__(self, wanted: Wanted, writes: trio.Lock) -> None:
        self._wanted = wanted
        self._writes = writes

    async def register(
        self, node: str, definitions: tuple[dict[str, object], ...]
    ) -> tuple[Problem, ...]:
        """Put them in place of the node's earlier ones; all or nothing. Raises StoreError."""
        bodies, problems = _bodies(node, definitions)
        if problems:
            return problems
        async with self._writes:
            try:
                changes = _changes(self._wanted.state, node, bodies)
            except ValueError as error:
                return (Problem(message=str(error)),)
            await self._wanted.commit(changes)
        return ()


def _bodies(
    node: str, definitions: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], tuple[Problem, ...]]:
    """The registrations that definitions amount to, sidecars included."""
    bodies: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for definition in definitions:
        checked, found = check_service(definition, strict=True)
        problems += found
        if checked is None:
            continue
        sidecar = checked.pop("Sidecar", None)
        bodies += [one for one in (checked, sidecar) if one]
    return bodies, (*problems, *_repeated(bodies))


def _repeated(bodies: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    """Two services of one id would be one, the later of them."""
    seen: set[str] = set()
    for body in bodies:
        service_id = str(body["Service"]["ID"])
        if service_id in seen:
            yield Problem(path="service", message=f"there are two of the id {service_id!r}")
        seen.add(service_id)


def _changes(state: State, node: str, bodies: Sequence[dict[str, Any]]) -> list[Change]:
    """Raises ValueError with a sentence for what does not fit the catalog."""
    ids = [body["Service"]["ID"] for body in bodies]
    before = state.get(NODE_FILES, node)
    gone = [one for one in (before.value["services"] if before else ()) if one not in ids]
    changes: list[Change] = []
    for service_id in gone:
        changes += service_removal(state, node, service_id)
    for body in _with_ports(state, node, bodies):
        address = _address(state, node, body)
        changes += definition_changes(state, node, address, body, replace_checks=True)
    return [*changes, Put(table=NODE_FILES, key=node, value={"services": ids})]


def _with_ports(
    state: State, node: str, bodies: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The bodies, with a port of its own for each sidecar that came without one."""
    taken = {body["Service"].get("Port", 0) for body in bodies}
    for body in bodies:
        service = body["Service"]
        if service.get("Kind") == PROXY_KIND and not service.get("SocketPath"):
            service = service | {"Port": sidecar_port(state, node, service, taken)}
            taken.add(service["Port"])
        yield body | {"Service": service}


def _address(state: State, node: str, body: Mapping[str, Any]) -> str:
    """The node's address as the catalog has it, else the one this service listens on."""
    record = state.get(NODES, node)
    return str(record.value["Address"]) if record else str(body["Service"].get("Address", ""))
