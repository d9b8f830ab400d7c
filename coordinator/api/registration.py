"""Writing to the catalog: `/v1/catalog/register` and `/deregister`.

Belongs here: the two endpoints. Never here: what a registration amounts to (`registering`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from coordinator.acl.rights import Right, node_write, service_write
from coordinator.catalog_changes import (
    NODE_FIELDS,
    node_removal,
    registration_changes,
    service_removal,
)
from coordinator.entries.registrations import check_registration
from coordinator.store.records import Change, Delete
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, NODES, SERVICES

from .answers import ApiError, refuse
from .body import Fields, read_object
from .endpoint import Call, Do, at
from .needs import in_answer
from .services import Services


async def commit(services: Services, changes: Callable[[State], list[Change]]) -> None:
    """Commit what `changes` makes of the present state. Raises ApiError (400) for its ValueError.

    What the rights depend on may change while others commit, so `changes` asks for them.
    """
    async with services.writes:
        try:
            made = changes(services.wanted.state)
        except ValueError as error:
            raise ApiError(400, str(error)) from None
        await services.wanted.commit(made)


def registration_rights(state: State, body: Mapping[str, Any]) -> tuple[Right, ...]:
    """What a registration in the form of `check_registration` takes, as Consul asks it.

    The right to the node if it changes, to every service whose instance is written or overwritten, and for
    a proxy to its destination, as one of whose instances it will be found.
    """
    return tuple(dict.fromkeys(_registration_rights(state, body)))


def _registration_rights(state: State, body: Mapping[str, Any]) -> Iterator[Right]:
    node, service = str(body["Node"]), body.get("Service")
    present = state.get(NODES, node)
    if present is None or not (body.get("SkipNodeUpdate") or _same_node(present.value, body)):
        yield node_write(node)
    if service is not None:
        yield service_write(service["Service"])
        overwritten = state.get(SERVICES, f"{node}/{service['ID']}")
        if overwritten is not None:
            yield service_write(overwritten.value["Service"])
        if destination := (service.get("Proxy") or {}).get("DestinationServiceName"):
            yield service_write(destination)
    for check in body.get("Checks", ()):
        yield _check_right(state, node, service, check)
        if overwritten := state.get(CHECKS, f"{node}/{check['CheckID']}"):
            yield check_write(node, overwritten.value)


def _same_node(present: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether a registration leaves the node as it is."""
    after = {to: body[name] for name, to in NODE_FIELDS.items() if name in body}
    return dict(present) == {"Node": body["Node"], "Address": body.get("Address")} | after


def _check_right(
    state: State, node: str, service: Mapping[str, Any] | None, check: Mapping[str, Any]
) -> Right:
    wanted = check.get("ServiceID")
    if not wanted:
        return node_write(node)
    if service is not None and service["ID"] == wanted:
        return service_write(service["Service"])
    record = state.get(SERVICES, f"{node}/{wanted}")
    return service_write(record.value["Service"]) if record else node_write(node)


def check_write(node: str, check: Mapping[str, Any]) -> Right:
    """A service's check is the service's, any other the node's."""
    name = check.get("ServiceName")
    return service_write(name) if name else node_write(node)


async def _register(call: Call) -> bool:
    body, problems = check_registration(await read_object(call.request))
    if body is None:
        raise refuse(400, problems)
    _check_datacenter(call, body.get("Datacenter", ""))

    def changes(state: State) -> list[Change]:
        call.require(registration_rights(state, body))
        return registration_changes(state, body)

    await commit(call.services, changes)
    return True


async def _deregister(call: Call) -> bool:
    body = Fields(await read_object(call.request))
    node, service, check = body.text("Node"), body.text("ServiceID"), body.text("CheckID")
    if not node:
        raise ApiError(400, "Must provide node")
    _check_datacenter(call, body.text("Datacenter"))

    def changes(state: State) -> list[Change]:
        call.require(_removal_right(call, node, service, check))
        return _removal(state, node, service, check)

    await commit(call.services, changes)
    return True


def _removal_right(call: Call, node: str, service: str, check: str) -> Right:
    """Who may write the node may take anything off it; else it takes the right to what is removed."""
    if call.may(node_write(node)):
        return node_write(node)
    key = f"{node}/{service or check}"
    record = call.state.get(SERVICES if service else CHECKS, key)
    if record is None:
        return node_write(node)
    return service_write(record.value["Service"]) if service else check_write(node, record.value)


def _removal(state: State, node: str, service: str, check: str) -> list[Change]:
    if service:
        return service_removal(state, node, service)
    if check:
        return [Delete(table=CHECKS, key=f"{node}/{check}")]
    return node_removal(state, node)


def _check_datacenter(call: Call, datacenter: str) -> None:
    if datacenter not in ("", call.services.datacenter):
        raise ApiError(500, f"No path to datacenter {datacenter[:64]!r}")


ROUTES = (
    at("/v1/catalog/register", PUT=Do(answer=_register, needs=in_answer)),
    at("/v1/catalog/deregister", PUT=Do(answer=_deregister, needs=in_answer)),
)
