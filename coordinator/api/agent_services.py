"""The services of the coordinator's own node: `/v1/agent/services`, `/v1/agent/service`.

Belongs here: registering, reading and deregistering them. Never here: their checks (`agent_checks`), their
health in one word (`agent_health`), or the catalog of other nodes.
"""

import hashlib
from typing import Any

import msgspec
import trio
from starlette.responses import Response

from cluster.filters.catalog import SERVICE
from coordinator.acl.rights import Right, node_read, node_write, service_read, service_write
from coordinator.catalog_changes import definition_changes, service_removal
from coordinator.catalog_shapes import agent_service_shape
from coordinator.entries.services import check_service
from coordinator.store.records import Change, Record
from coordinator.store.state import State
from coordinator.store.tables import SERVICES

from .agent import OWN_ADDRESS
from .agent_checks import refuse_unrunnable
from .answers import ApiError, json_answer, refuse
from .blocking import until_gone
from .body import read_object
from .endpoint import Call, Do, Read, at
from .filtering import Filterable
from .needs import each, in_answer
from .parameters import block_seconds
from .registration import commit, registration_rights

_HASH_HEADER = "X-Consul-ContentHash"


def unknown_service(service: str) -> ApiError:
    """404, in Consul's words."""
    text = f'Unknown service ID "{service}". Ensure that the service ID is passed, not the service'
    return ApiError(404, f"{text} name.")


async def _register(call: Call) -> None:
    definition, problems = check_service(await read_object(call.request))
    if definition is None:
        raise refuse(400, problems)
    sidecar = definition.get("Sidecar", {})
    refuse_unrunnable((*definition.get("Checks", ()), *sidecar.get("Checks", ())))
    node, replace = call.services.node_name, call.flag("replace-existing-checks")

    def changes(state: State) -> list[Change]:
        call.require(_definition_rights(state, node, definition))
        return definition_changes(state, node, OWN_ADDRESS, definition, replace_checks=replace)

    await commit(call.services, changes)


def _definition_rights(state: State, node: str, definition: dict[str, Any]) -> tuple[Right, ...]:
    """The node itself is the agent's own, and needs no right."""
    sidecar = definition.get("Sidecar")
    bodies = [definition, *([sidecar] if sidecar else [])]
    return tuple(
        right
        for body in bodies
        for right in registration_rights(state, {"Node": node} | body)
        if right.resource == "service"
    )


async def _deregister(call: Call) -> None:
    node, service = call.services.node_name, call.path("service")

    def changes(state: State) -> list[Change]:
        require_write(call, service)
        return _removal(state, node, service)

    await commit(call.services, changes)


def require_write(call: Call, service: str) -> None:
    """Raises ApiError: 403 without the right to write the service, 404 if there is none of the id."""
    node = call.services.node_name
    record = call.state.get(SERVICES, f"{node}/{service}")
    call.require(service_write(record.value["Service"]) if record else node_write(node))
    if record is None:
        raise unknown_service(service)


def _removal(state: State, node: str, service: str) -> list[Change]:
    """The service, and the sidecar that came with it."""
    sidecar = f"{service}-sidecar-proxy"
    return service_removal(state, node, service) + service_removal(state, node, sidecar)


def _services(call: Call) -> dict[str, Any]:
    own = call.services.catalog.services_on(call.services.node_name)
    return {r.value["ID"]: agent_service_shape(r, call.services.datacenter) for r in own}


async def _service(call: Call) -> Response:
    """One service with the hash of its content; `?hash=` waits until the content has another."""
    _require_read(call)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_gone, call.request, nursery.cancel_scope)
        await _hold(call)
        nursery.cancel_scope.cancel()
    _require_read(call.again())
    shown = _shown(call, call.services.wanted.state)
    headers = {_HASH_HEADER: shown["ContentHash"]}
    return json_answer(shown, pretty=call.flag("pretty"), headers=headers)


async def _hold(call: Call) -> None:
    """Return when the content has another hash than the one that is known, or the time is up."""
    wanted, known = call.services.wanted, call.query("hash")

    def is_another() -> bool:
        record = _record(call, wanted.state)
        return record is None or _shown(call, wanted.state)["ContentHash"] != known

    with trio.move_on_after(block_seconds(call.request.query_params)):
        await wanted.wait_until(is_another, tables=(SERVICES,), prefix=_key(call))


def _require_read(call: Call) -> None:
    """Raises ApiError (403). To learn that there is no such service takes the right to the node."""
    record = _record(call, call.state)
    own_node = node_read(call.services.node_name)
    call.require(service_read(record.value["Service"]) if record else own_node)


def _key(call: Call) -> str:
    return f"{call.services.node_name}/{call.path('service')}"


def _record(call: Call, state: State) -> Record | None:
    return state.get(SERVICES, _key(call))


def _shown(call: Call, state: State) -> dict[str, Any]:
    """The service as the endpoint shows it. Raises ApiError (404)."""
    record = _record(call, state)
    if record is None:
        raise unknown_service(call.path("service"))
    shown = agent_service_shape(record, call.services.datacenter)
    content = {name: shown[name] for name in shown if not name.endswith("Index")}
    encoded = msgspec.json.encode(content, order="deterministic")
    return shown | {"ContentHash": hashlib.sha256(encoded).hexdigest()[:16]}


ROUTES = (
    at(
        "/v1/agent/services",
        GET=Read(
            answer=_services,
            needs=each(lambda one: service_read(one["Service"])),
            filterable=Filterable(shape=SERVICE),
        ),
    ),
    at("/v1/agent/service/register", PUT=Do(answer=_register, needs=in_answer)),
    at("/v1/agent/service/deregister/{service:path}", PUT=Do(answer=_deregister, needs=in_answer)),
    at("/v1/agent/service/{service}", GET=Do(answer=_service, needs=in_answer)),
)
