"""The checks of the coordinator's own node: `/v1/agent/checks`, `/v1/agent/check`.

Belongs here: registering checks, and reporting to those that wait for reports. Never here: when such a
check has waited for too long (`coordinator.health`), or doing the others, which gateway hosts do.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import trio

from cluster.catalog import Health
from cluster.filters.catalog import CHECK
from coordinator.acl.rights import Right, node_read, node_write, service_read, service_write
from coordinator.catalog_changes import check_changes
from coordinator.catalog_shapes import check_shape
from coordinator.entries.agent_check import check_lone_check
from coordinator.health.output import bounded
from coordinator.store.records import Change, Delete, Put, Record
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, SERVICES

from .agent import OWN_ADDRESS
from .answers import ApiError, refuse
from .body import Fields, read_object
from .endpoint import Call, Do, Read, at
from .filtering import Filterable
from .needs import each, in_answer
from .registration import check_write, commit

# What nobody here does, so that a check of this kind would stay critical for ever.
_UNRUNNABLE = ("script", "docker", "os_service", "udp", "h2ping")
_REPORTED = ("", "ttl")


def refuse_unrunnable(checks: Iterable[Mapping[str, Any]]) -> None:
    """Raises ApiError (400) for a check that no gateway host can do."""
    for check in checks:
        if check.get("Type") in _UNRUNNABLE:
            what = f"check {check['CheckID'][:64]}: {check['Type']} checks are not supported"
            raise ApiError(400, f"{what}; use TTL, TCP, HTTP, gRPC or an alias")


async def _register(call: Call) -> None:
    check, problems = check_lone_check(await read_object(call.request))
    if check is None:
        raise refuse(400, problems)
    refuse_unrunnable((check,))
    node = call.services.node_name

    def changes(state: State) -> list[Change]:
        call.require(_check_rights(call, check))
        return check_changes(state, node, OWN_ADDRESS, (check,))

    await commit(call.services, changes)


def _check_rights(call: Call, check: Mapping[str, Any]) -> tuple[Right, ...]:
    """A service's check is the service's, any other the node's; the same for one that it replaces."""
    node, service = call.services.node_name, check.get("ServiceID")
    record = call.state.get(SERVICES, f"{node}/{service}") if service else None
    present = call.state.get(CHECKS, f"{node}/{check['CheckID']}")
    right = service_write(record.value["Service"]) if record else node_write(node)
    return (right, *((check_write(node, present.value),) if present else ()))


async def _deregister(call: Call) -> None:
    await commit(call.services, lambda _: [Delete(table=CHECKS, key=_known(call).key)])


def _report(status: Health) -> Do:
    async def answer(call: Call) -> None:
        await _tell(call, status, call.query("note"))

    return Do(answer=answer, needs=in_answer)


async def _update(call: Call) -> None:
    body = Fields(await read_object(call.request))
    if body.text("Status") not in tuple(Health):
        raise ApiError(400, f"Invalid check status: {body.text('Status')[:40]!r}")
    await _tell(call, Health(body.text("Status")), body.text("Output"))


async def _tell(call: Call, status: Health, output: str) -> None:
    """Take a report, and write it if it must not wait."""
    check, heartbeats = _known(call), call.services.heartbeats
    if check.value.get("Type", "") not in _REPORTED:
        name = check.value["CheckID"]
        raise ApiError(500, f'CheckID "{name}" does not have associated TTL')
    limit = check.value.get("Definition", {}).get("OutputMaxSize", 0)
    output = bounded(output, limit if isinstance(limit, int) else 0)
    if heartbeats.told(check, status.value, output, trio.current_time()):
        with heartbeats.writing((check.key,)):
            await commit(
                call.services, lambda state: _status_change(state, check.key, status, output)
            )


def _known(call: Call) -> Record:
    """The check in the path, for whoever may write it. Raises ApiError (403, 404)."""
    node, check = call.services.node_name, call.path("check")
    record = call.state.get(CHECKS, f"{node}/{check}")
    call.require(check_write(node, record.value if record else {}))
    if record is None:
        text = (
            f'Unknown check ID "{check}". Ensure that the check ID is passed, not the check name.'
        )
        raise ApiError(404, text)
    return record


def _status_change(state: State, key: str, status: Health, output: str) -> list[Change]:
    record = state.get(CHECKS, key)
    if record is None:
        return []  # removed a moment ago
    value = record.value | {"Status": status.value, "Output": output}
    return [Put(table=CHECKS, key=key, value=value)]


def own_check_shape(call: Call, record: Record) -> dict[str, Any]:
    """A check with its newest output, which the catalog may not have yet."""
    return check_shape(record) | {"Output": call.services.heartbeats.output(record)}


def _check_read(check: Mapping[str, Any]) -> Right:
    name = check["ServiceName"]
    return service_read(name) if name else node_read(check["Node"])


def _checks(call: Call) -> dict[str, Any]:
    own = call.services.catalog.checks_on(call.services.node_name)
    return {r.value["CheckID"]: own_check_shape(call, r) for r in own}


ROUTES = (
    at(
        "/v1/agent/checks",
        GET=Read(answer=_checks, needs=each(_check_read), filterable=Filterable(shape=CHECK)),
    ),
    at("/v1/agent/check/register", PUT=Do(answer=_register, needs=in_answer)),
    at("/v1/agent/check/deregister/{check:path}", PUT=Do(answer=_deregister, needs=in_answer)),
    at("/v1/agent/check/pass/{check:path}", PUT=_report(Health.PASSING)),
    at("/v1/agent/check/warn/{check:path}", PUT=_report(Health.WARNING)),
    at("/v1/agent/check/fail/{check:path}", PUT=_report(Health.CRITICAL)),
    at("/v1/agent/check/update/{check:path}", PUT=Do(answer=_update, needs=in_answer)),
)
