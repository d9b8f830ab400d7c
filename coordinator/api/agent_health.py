"""The health of a service of the coordinator's own node as a status code: `/v1/agent/health/service`.

Belongs here: one word for all checks of a service, for load balancers that only look at the status.
Never here: the catalog's view of health (`health`).

200 passing, 429 warning, 503 critical or in maintenance, 404 unknown. Source: Consul, "Agent: Service".
"""

from typing import Any

from starlette.responses import Response

from cluster.catalog import Health, worst
from coordinator.acl.rights import service_read
from coordinator.catalog_changes import is_maintenance
from coordinator.catalog_index import node_of
from coordinator.catalog_shapes import agent_service_shape
from coordinator.store.records import Record
from coordinator.store.tables import SERVICES

from .agent_checks import own_check_shape
from .answers import PLAIN_TEXT, json_answer
from .endpoint import Call, Do, at
from .needs import in_answer

MAINTENANCE = "maintenance"
_CODES = {Health.PASSING: 200, Health.WARNING: 429, Health.CRITICAL: 503, MAINTENANCE: 503}


async def _by_id(call: Call) -> Response:
    node, service = call.services.node_name, call.path("service")
    record = call.state.get(SERVICES, f"{node}/{service}")
    call.require(service_read(record.value["Service"] if record else service))
    if record is None:
        absent = {"AggregatedStatus": Health.CRITICAL, "Service": None, "Checks": None}
        return _answer(call, 404, f"ServiceId {service} not found", absent)
    shown = _info(call, record)
    status = shown["AggregatedStatus"]
    return _answer(call, _CODES[status], status, shown)


async def _by_name(call: Call) -> Response:
    name = call.path("service")
    found = call.services.catalog.instances(name)
    own = [record for record in found if node_of(record) == call.services.node_name]
    shown = [_info(call, record) for record in own]
    if not shown:
        return _answer(call, 404, f"ServiceName {name} Not Found", [])
    statuses = [one["AggregatedStatus"] for one in shown]
    status = max(statuses, key=lambda status: _CODES[status])
    return _answer(call, _CODES[status], status, shown)


def _info(call: Call, record: Record) -> dict[str, Any]:
    """The service, its checks and its node's, and what they come to."""
    checks = call.services.catalog.checks_of(call.services.node_name, record.value["ID"])
    status: str = worst(Health(check.value["Status"]) for check in checks)
    if any(is_maintenance(check) for check in checks):
        status = MAINTENANCE
    return {
        "AggregatedStatus": status,
        "Service": agent_service_shape(record, call.services.datacenter),
        "Checks": [own_check_shape(call, check) for check in checks],
    }


def _answer(call: Call, code: int, text: str, value: Any) -> Response:
    """The word alone for whoever wants plain text."""
    accept = call.request.headers.get("accept", "")
    wanted = call.query("format", "text" if accept.startswith("text/plain") else "json")
    if wanted == "text":
        return Response(text, code, media_type=PLAIN_TEXT)
    response = json_answer(value, pretty=call.flag("pretty"))
    response.status_code = code
    return response


ROUTES = (
    at("/v1/agent/health/service/id/{service:path}", GET=Do(answer=_by_id, needs=in_answer)),
    at(
        "/v1/agent/health/service/name/{service:path}",
        GET=Do(answer=_by_name, needs=lambda call: service_read(call.path("service"))),
    ),
)
