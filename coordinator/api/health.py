"""Instances with their health: `/v1/health`.

Belongs here: the catalog together with its checks. Never here: running a check.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cluster.catalog import Health
from cluster.filters.catalog import CHECK, HEALTH
from coordinator.acl.rights import Right, node_read, service_read
from coordinator.store.records import Record
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES

from .answers import ApiError
from .endpoint import Call, Read, at
from .filtering import Filterable
from .needs import each
from .selection import of_connect, of_service
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
        shown = [_instance(call, record) for record in select(call)]
        return [one for one in shown if _passes(one)] if call.flag("passing") else shown

    return answer


def _instance(call: Call, record: Record) -> dict[str, Any]:
    """The instance, its node, and the checks of both."""
    node = node_record(call.state, node_of(record))
    about = ("", record.value["ID"])
    checks = [r for r in checks_on(call.state, node.key) if r.value.get("ServiceID", "") in about]
    return {
        "Node": node_shape(node, call.services.datacenter),
        "Service": service_shape(record),
        "Checks": [check_shape(check) for check in checks],
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
    records = in_order(call.state.table(CHECKS).values())
    return [check_shape(record) for record in records if kept(record.value)]


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
        GET=Read(answer=_checks, needs=_SHOWN_CHECKS, tables=(CHECKS,), filterable=_CHECKS),
    ),
    at(
        "/v1/health/state/{state}",
        GET=Read(answer=_state, needs=_SHOWN_CHECKS, tables=(CHECKS,), filterable=_CHECKS),
    ),
)
