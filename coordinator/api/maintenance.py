"""Taking the own node or one of its services out of service by hand: `/v1/agent/maintenance` and
`/v1/agent/service/maintenance`.

Belongs here: the two endpoints. It is a critical check with a name of its own, so everything that looks at
health follows by itself. Source: Consul, "Agent: Enable maintenance mode".
"""

from typing import Any

from coordinator.acl.rights import node_write
from coordinator.catalog_changes import NODE_MAINTENANCE, SERVICE_MAINTENANCE, registration_changes
from coordinator.store.records import Change, Delete
from coordinator.store.state import State
from coordinator.store.tables import CHECKS

from .agent import OWN_ADDRESS
from .agent_services import require_write
from .answers import ApiError
from .endpoint import Call, Do, at
from .needs import in_answer
from .registration import commit

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


async def _service(call: Call) -> None:
    service = call.path("service")
    enable = _enable(call)
    require_write(call, service)
    check = _check(call, f"{SERVICE_MAINTENANCE}{service}", "service")
    await _set(call, check | {"ServiceID": service}, enable)


async def _node(call: Call) -> None:
    await _set(call, _check(call, NODE_MAINTENANCE, "node"), _enable(call))


def _check(call: Call, identity: str, what: str) -> dict[str, Any]:
    default = f"Maintenance mode is enabled for this {what}, but no reason was provided."
    return {
        "CheckID": identity,
        "Name": f"{what.capitalize()} Maintenance Mode",
        "Status": "critical",
        "Notes": call.query("reason") or f"{default} This is a default message.",
        "Type": "maintenance",
    }


async def _set(call: Call, check: dict[str, Any], enable: bool) -> None:
    """Entering it twice keeps the first reason."""
    node, key = call.services.node_name, f"{call.services.node_name}/{check['CheckID']}"

    def changes(state: State) -> list[Change]:
        if not enable:
            return [Delete(table=CHECKS, key=key)]
        if state.get(CHECKS, key) is not None:
            return []
        place = {"Node": node, "Address": OWN_ADDRESS, "SkipNodeUpdate": True}
        return registration_changes(state, place | {"Checks": [check]})

    await commit(call.services, changes)


def _enable(call: Call) -> bool:
    text = call.query("enable")
    if not text:
        raise ApiError(400, "Missing value for enable")
    if text not in _TRUE + _FALSE:
        raise ApiError(400, f"Invalid value for enable: {text[:40]!r}")
    return text in _TRUE


ROUTES = (
    at(
        "/v1/agent/maintenance",
        PUT=Do(answer=_node, needs=lambda call: node_write(call.services.node_name)),
    ),
    at("/v1/agent/service/maintenance/{service:path}", PUT=Do(answer=_service, needs=in_answer)),
)
