"""Instances with their health: `/v1/health`.

Belongs here: the catalog together with its checks. Never here: running a check.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cluster.catalog import Health
from cluster.filters.catalog import CHECK, HEALTH
from coordinator.acl.rights import Right, node_read, service_read
from coordinator.catalog_index import node_of
from coordinator.catalog_shapes import (
    check_shape,
    in_order,
    node_record,
    node_shape,
    service_shape,
)
from coordinator.store.records import Record
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES

from .answers import ApiError
from .central_config import CentralConfig, central_config
from .endpoint import Call, Read, at
from .filtering import Filterable
from .needs import each
from .selection import (
    connect_index,
    of_connect,
    of_ingress,
    of_service,
    on_nodes_asked_for,
    service_index,
)

_STATES = ("any", *Health)


def _health_of(select: Callable[[Call], list[Record]]) -> Callable[[Call], list[dict[str, Any]]]:
    def answer(call: Call) -> list[dict[str, Any]]:
        records = select(call)
        central = central_config(call) if call.flag("merge-central-config") else None
        shown = [_instance(call, record, central) for record in records]
        return [one for one in shown if _passes(one)] if call.flag("passing") else shown

    return answer


def _instance(call: Call, record: Record, central: CentralConfig | None) -> dict[str, Any]:
    """The instance, its node, and the checks of both."""
    node = node_record(call.state, node_of(record))
    checks = call.services.catalog.checks_of(node.key, record.value["ID"])
    shown = service_shape(record)
    return {
        "Node": node_shape(node, call.services.datacenter),
        "Service": shown if central is None else central.merged(shown),
        "Checks": [check_shape(check) for check in checks],
    }


def _passes(shown: dict[str, Any]) -> bool:
    return all(check["Status"] == Health.PASSING for check in shown["Checks"])


def _node(call: Call) -> list[dict[str, Any]]:
    found = call.services.catalog.checks_on(call.path("node"))
    return [check_shape(record) for record in found]


def _checks(call: Call) -> list[dict[str, Any]]:
    name, catalog, is_near = call.path("service"), call.services.catalog, on_nodes_asked_for(call)
    nodes = sorted({node_of(record) for record in catalog.instances(name)})
    found = (check for node in nodes for check in catalog.checks_on(node) if is_near(check))
    return [check_shape(check) for check in found if check.value.get("ServiceName") == name]


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
            answer=_health_of(of_service),
            needs=_SHOWN,
            tables=(*_INSTANCES, ENTRIES),
            index=service_index,
            filterable=_ENTRIES,
        ),
    ),
    at(
        "/v1/health/connect/{service}",
        GET=Read(
            answer=_health_of(of_connect),
            needs=_SHOWN,
            tables=(*_INSTANCES, ENTRIES),
            index=connect_index,
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
            tables=_INSTANCES,
            index=lambda call: call.services.catalog.node_index(call.path("node")),
            filterable=_CHECKS,
        ),
    ),
    at(
        "/v1/health/checks/{service}",
        GET=Read(
            answer=_checks,
            needs=_SHOWN_CHECKS,
            tables=_INSTANCES,
            index=lambda call: call.services.catalog.service_index(call.path("service")),
            filterable=_CHECKS,
        ),
    ),
    at(
        "/v1/health/state/{state}",
        GET=Read(answer=_state, needs=_SHOWN_CHECKS, tables=(CHECKS, NODES), filterable=_CHECKS),
    ),
)
