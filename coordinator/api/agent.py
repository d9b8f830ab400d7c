"""The agent's endpoints, which speak for the coordinator's own node: `/v1/agent`.

Belongs here: registering services and reporting checks there. Never here: the catalog of other nodes.
"""

from collections.abc import Mapping
from typing import Any

from cluster.catalog import Health
from cluster.filters.catalog import CHECK, SERVICE
from coordinator.acl.rights import (
    Right,
    agent_read,
    node_read,
    node_write,
    service_read,
    service_write,
)
from coordinator.entries.services import check_service
from coordinator.store.records import Change, Put
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, NODES, SERVICES

from .answers import ApiError, refuse
from .body import Fields, read_object
from .endpoint import Call, Do, Read, at
from .filtering import Filterable
from .needs import each, in_answer
from .registering import free_sidecar_port, registration_changes, service_removal
from .registration import check_write, commit, registration_rights
from .shapes import agent_service_shape, check_shape, checks_on, services_on

_OWN_ADDRESS = "127.0.0.1"  # until somebody registers the node with another


async def _register(call: Call) -> None:
    definition, problems = check_service(await read_object(call.request))
    if definition is None:
        raise refuse(400, problems)
    node = call.services.node_name
    call.require(_definition_rights(call.state, node, definition))
    await commit(call.services, lambda state: _definition_changes(state, node, definition))


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


def _definition_changes(state: State, node: str, definition: dict[str, Any]) -> list[Change]:
    changes = _instance_changes(state, node, definition)
    if sidecar := definition.get("Sidecar"):
        service = sidecar["Service"]
        present = state.get(SERVICES, f"{node}/{service['ID']}")
        port = service.get("Port") or (present.value.get("Port") if present else 0)
        service = service | {"Port": port or free_sidecar_port(state, node)}
        changes += _instance_changes(state, node, sidecar | {"Service": service})
    return changes


def _instance_changes(state: State, node: str, definition: dict[str, Any]) -> list[Change]:
    place = {"Node": node, "Address": _OWN_ADDRESS, "SkipNodeUpdate": True}
    return registration_changes(state, place | definition)


async def _deregister(call: Call) -> None:
    node, service = call.services.node_name, call.path("service")
    record = call.state.get(SERVICES, f"{node}/{service}")
    call.require(service_write(record.value["Service"]) if record else node_write(node))
    if record is None:
        raise ApiError(
            404, f'Unknown service ID "{service}": the service ID is passed, not its name'
        )
    await commit(call.services, lambda state: _removal(state, node, service))


def _removal(state: State, node: str, service: str) -> list[Change]:
    """The service, and the sidecar that came with it."""
    sidecar = f"{service}-sidecar-proxy"
    return service_removal(state, node, service) + service_removal(state, node, sidecar)


def _report(status: Health) -> Do:
    async def answer(call: Call) -> None:
        await _set_status(call, call.path("check"), status, call.query("note"))

    return Do(answer=answer, needs=in_answer)


async def _update(call: Call) -> None:
    body = Fields(await read_object(call.request))
    if body.text("Status") not in tuple(Health):
        raise ApiError(400, f"Invalid check status: {body.text('Status')[:40]!r}")
    await _set_status(call, call.path("check"), Health(body.text("Status")), body.text("Output"))


async def _set_status(call: Call, check: str, status: Health, output: str) -> None:
    node = call.services.node_name
    key = f"{node}/{check}"
    record = call.state.get(CHECKS, key)
    call.require(check_write(node, record.value if record else {}))
    if record is None:
        raise ApiError(404, f'Unknown check ID "{check}": the check ID is passed, not its name')
    await commit(call.services, lambda state: _status_change(state, key, status, output))


def _status_change(state: State, key: str, status: Health, output: str) -> list[Change]:
    record = state.get(CHECKS, key)
    if record is None:
        return []  # removed a moment ago
    value = record.value | {"Status": status.value, "Output": output}
    return [Put(table=CHECKS, key=key, value=value)]


def _self(call: Call) -> dict[str, Any]:
    services, node = call.services, call.services.node_name
    record = call.state.get(NODES, node)
    address = record.value["Address"] if record else _OWN_ADDRESS
    return {
        "Config": {
            "Datacenter": services.datacenter,
            "PrimaryDatacenter": services.datacenter,
            "NodeName": node,
            "Server": True,
            "DefaultIntentionPolicy": "allow" if services.default_allow else "deny",
            "Version": services.version,
        },
        "Member": {"Name": node, "Addr": address, "Tags": {"dc": services.datacenter}, "Status": 1},
        "Meta": record.value.get("Meta", {}) if record else {},
        "Lockgate": {"Version": services.version, "TrustDomain": services.authority.trust_domain},
    }


def _own_agent(call: Call) -> Right:
    return agent_read(call.services.node_name)


def _services(call: Call) -> dict[str, Any]:
    own = services_on(call.state, call.services.node_name)
    return {r.value["ID"]: agent_service_shape(r, call.services.datacenter) for r in own}


def _check_read(check: Mapping[str, Any]) -> Right:
    name = check["ServiceName"]
    return service_read(name) if name else node_read(check["Node"])


def _checks(call: Call) -> dict[str, Any]:
    return {
        r.value["CheckID"]: check_shape(r) for r in checks_on(call.state, call.services.node_name)
    }


ROUTES = (
    at("/v1/agent/self", GET=Read(answer=_self, needs=_own_agent, tables=(NODES,))),
    at(
        "/v1/agent/services",
        GET=Read(
            answer=_services,
            needs=each(lambda one: service_read(one["Service"])),
            filterable=Filterable(shape=SERVICE),
        ),
    ),
    at(
        "/v1/agent/checks",
        GET=Read(answer=_checks, needs=each(_check_read), filterable=Filterable(shape=CHECK)),
    ),
    at("/v1/agent/service/register", PUT=Do(answer=_register, needs=in_answer)),
    at("/v1/agent/service/deregister/{service:path}", PUT=Do(answer=_deregister, needs=in_answer)),
    at("/v1/agent/check/pass/{check:path}", PUT=_report(Health.PASSING)),
    at("/v1/agent/check/warn/{check:path}", PUT=_report(Health.WARNING)),
    at("/v1/agent/check/fail/{check:path}", PUT=_report(Health.CRITICAL)),
    at("/v1/agent/check/update/{check:path}", PUT=Do(answer=_update, needs=in_answer)),
)
