"""Writing to the catalog: `/v1/catalog/register` and `/deregister`.

Belongs here: the two endpoints. Never here: what a registration amounts to (`registering`).
"""

from collections.abc import Callable

from coordinator.entries.registrations import check_registration
from coordinator.store.records import Change, Delete
from coordinator.store.state import State
from coordinator.store.tables import CHECKS

from .answers import ApiError, refuse
from .body import Fields, read_object
from .endpoint import Call, Do, at
from .registering import node_removal, registration_changes, service_removal
from .services import Services


async def commit(services: Services, changes: Callable[[State], list[Change]]) -> None:
    """Commit what `changes` makes of the present state. Raises ApiError (400) for its ValueError."""
    async with services.writes:
        try:
            made = changes(services.wanted.state)
        except ValueError as error:
            raise ApiError(400, str(error)) from None
        await services.wanted.commit(made)


async def _register(call: Call) -> bool:
    body, problems = check_registration(await read_object(call.request))
    if body is None:
        raise refuse(400, problems)
    _check_datacenter(call, body.get("Datacenter", ""))
    await commit(call.services, lambda state: registration_changes(state, body))
    return True


async def _deregister(call: Call) -> bool:
    body = Fields(await read_object(call.request))
    node, service, check = body.text("Node"), body.text("ServiceID"), body.text("CheckID")
    if not node:
        raise ApiError(400, "Must provide node")
    _check_datacenter(call, body.text("Datacenter"))
    await commit(call.services, lambda state: _removal(state, node, service, check))
    return True


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
    at("/v1/catalog/register", PUT=Do(answer=_register)),
    at("/v1/catalog/deregister", PUT=Do(answer=_deregister)),
)
