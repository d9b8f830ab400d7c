"""Instances with their health: `/v1/health`.

Belongs here: the catalog together with its checks. Never here: running a check.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from typing import Any

from cluster.catalog import Health
from cluster.filters.catalog import CHECK, HEALTH
from coordinator.acl.rights import Right, node_read, service_read
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES

from .answers import ApiError
from .central_config import CentralConfig, central_config
from .endpoint import Call, Read, at
from .filtering import Filterable
from .needs import each
from .selection import of_connect, of_ingress, of_service, on_nodes_asked_for
from .shapes import (
    check_shape,
    checks_on,
    in_order,
    node_of,
    node_record,
    node_shape,
    service_shape,
)

_STATES = ("any", *Health)


def _health_of(select: Callable[[Call], list[Record]]) -> Callable[[Call], list[dict[str, Any]]]:
    def answer(call: Call) -> list[dict[str, Any]]:
        records = select(call)
        checks = _checks_of_nodes(call.state, {node_of(record) for record in records})
        central = central_config(call) if call.flag("merge-central-config") else None
        shown = [_instance(call, record, checks, central) for record in records]
        return [one for one in shown if _passes(one)] if call.flag("passing") else shown

    return answer


def _checks_of_nodes(state: State, nodes: Set[str]) -> Mapping[tuple[str, str], list[Record]]:
    """The checks on these nodes by node and service id, which is empty for those of the node itself."""
    found: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in state.table(CHECKS).values():
        if (node := node_of(record)) in nodes:
            found[node, record.value.get("ServiceID", "")].append(record)
    return found


def _instance(
    call: Call,
    record: Record,
    checks: Mapping[tuple[str, str], list[Record]],
    central: CentralConfig | None,
) -> dict[str, Any]:
    """The instance, its node, and the checks of both."""
    node = node_record(call.state, node_of(record))
    own = in_order(
        (*checks.get((node.key, ""), ()), *checks.get((node.key, record.value["ID"]), ()))
    )
    shown = service_shape(record)
    return {
        "Node": node_shape(node, call.services.datacenter),
        "Service": shown if central is None else central.merged(shown),
        "Checks": [check_shape(check) for check in own],
    }


def _passes(shown: dict[str, Any]) -> bool:
    return all(check["Status"] == Health.PASSING for check in shown["Checks"])


def _node(call: Call) -> list[dict[str, Any]]:
    return [check_shape(record) for record in checks_on(call.state, call.path("node"))]


def _checks(call: Call) -> list[dict[str, Any]]:
    return _where(call, lambda check: check.get("ServiceName") == call.path("service"))


def _state(call: Call) -> list[dict[str, Any]]:
    status = call.path("state")
    if status not in _STATES:
        raise ApiError(400, f"unknown state {status[:40]!r}, must be one of {', '.join(_STATES)}")
    return _where(call, lambda check: status in ("any", check.get("Status")))


def _where(call: Call, kept: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    records, is_near = in_order(call.state.table(CHECKS).values()), on_nodes_asked_for(call)
    return [check_shape(record) for record in records if kept(record.value) and is_near(record)]


def check_rights(row: Mapping[str, Any]) -> tuple[Right, ...]:
    """What it takes to see a check: the node, and the service if it is one's."""
    service = row["ServiceName"]
    return (node_read(row["Node"]), *([service_read(service)] if service else ()))


def _rights(row: Mapping[str, Any]) -> tuple[Right, ...]:
    return node_read(row["Node"]["Node"]), service_read(row["Service"]["Service"])


_SHOWN = each(_rights)
_SHOWN_CHECKS = each(check_rights)
_INSTANCES = (NODES, SERVICES, CHECKS)
_ENTRIES = Filterable(shape=HEALTH)
_CHECKS = Filterable(shape=CHECK)

ROUTES = (
    at(
        "/v1/health/service/{service}",
        GET=Read(
            answer=_health_of(of_service), needs=_SHOWN, tables=_INSTANCES, filterable=_ENTRIES
        ),
    ),
    at(
        "/v1/health/connect/{service}",
        GET=Read(
            answer=_health_of(of_connect),
            needs=_SHOWN,
            tables=(*_INSTANCES, ENTRIES),
            filterable=_ENTRIES,
        ),
    ),
    at(
        "/v1/health/ingress/{service}",
        GET=Read(
            answer=_health_of(of_ingress),
            needs=_SHOWN,
            tables=(*_INSTANCES, ENTRIES),
            filterable=_ENTRIES,
        ),
    ),
    at(
        "/v1/health/node/{node}",
        GET=Read(
            answer=_node,
            needs=_SHOWN_CHECKS,
            tables=(CHECKS,),
            prefix=lambda call: f"{call.path('node')}/",
            filterable=_CHECKS,
        ),
    ),
    at(
        "/v1/health/checks/{service}",
        GET=Read(answer=_checks, needs=_SHOWN_CHECKS, tables=(CHECKS, NODES), filterable=_CHECKS),
    ),
    at(
        "/v1/health/state/{state}",
        GET=Read(answer=_state, needs=_SHOWN_CHECKS, tables=(CHECKS, NODES), filterable=_CHECKS),
    ),
)
