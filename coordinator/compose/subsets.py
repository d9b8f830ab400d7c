"""The subsets of services: which instances a service-resolver's filters select.

Belongs here: instances to fewer instances. Never here: the language of filters (`cluster.filters`), or where
a subset is asked for (`routes`, `ingress`).

A filter is asked about an instance as `/v1/health` shows it, its node and checks included; of a service
behind proxies that is the proxy, which has the service's `Meta` unless its registration says otherwise. A
terminating gateway is an instance of all subsets of what it is linked to: it serves each under a name of its
own, and selects there. With `OnlyPassing` instances that warn are there, and unhealthy. Of a resolver with a
default subset the service's own name leads to that.
Source: Consul, service-resolver, `Subsets` and `DefaultSubset`.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from cluster.catalog import Health, Instance, Kind
from cluster.filters import compile_filter
from cluster.filters.catalog import HEALTH
from coordinator.catalog_shapes import check_shape, node_record, node_shape, service_shape
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES

KIND = "service-resolver"
_NO_SUBSETS: Mapping[str, Any] = {}


class Subsets:
    """Those of one state."""

    def __init__(self, state: State, datacenter: str) -> None:
        self._state = state
        self._datacenter = datacenter

    def named(self, service: str) -> tuple[str, ...]:
        """The names of a service's subsets, in order."""
        return tuple(sorted(self._resolver(service).get("Subsets") or _NO_SUBSETS))

    def default(self, service: str) -> str:
        """The subset that the service's own name leads to; empty for all instances."""
        return str(self._resolver(service).get("DefaultSubset") or "")

    def select(self, service: str, subset: str, found: Iterable[Instance]) -> tuple[Instance, ...]:
        """Those of these instances that are in a subset; all without one. None of one that is not known."""
        if not subset:
            return tuple(found)
        spelled = (self._resolver(service).get("Subsets") or _NO_SUBSETS).get(subset)
        if spelled is None:
            return ()
        chosen = (one for one in found if self._is_in(one, spelled.get("Filter") or ""))
        if not spelled.get("OnlyPassing"):
            return tuple(chosen)
        return tuple(map(_passing_or_critical, chosen))

    def _resolver(self, service: str) -> Mapping[str, Any]:
        record = self._state.get(ENTRIES, f"{KIND}/{service}")
        return record.value if record is not None else _NO_SUBSETS

    def _is_in(self, instance: Instance, expression: str) -> bool:
        if not expression or instance.kind is Kind.TERMINATING_GATEWAY:
            return True
        record = self._state.get(SERVICES, f"{instance.node}/{instance.id}")
        if record is None:
            return False
        return compile_filter(expression, HEALTH).matches(self._shown(instance, record))

    def _shown(self, instance: Instance, record: Record) -> Mapping[str, Any]:
        checks = (
            *self._checks.get((instance.node, ""), ()),
            *self._checks.get((instance.node, instance.id), ()),
        )
        node = node_record(self._state, instance.node)
        return {
            "Node": node_shape(node, self._datacenter),
            "Service": service_shape(record),
            "Checks": [check_shape(check) for check in checks],
        }

    @cached_property
    def _checks(self) -> Mapping[tuple[str, str], list[Record]]:
        found: dict[tuple[str, str], list[Record]] = {}
        for record in self._state.table(CHECKS).values():
            place = record.key.partition("/")[0], record.value.get("ServiceID", "")
            found.setdefault(place, []).append(record)
        return found


def age_of_what_filters_see(state: State) -> tuple[int, ...]:
    """Another value when a filter may select others: nothing while there is no subset."""
    resolvers = state.under(ENTRIES, f"{KIND}/")
    if not any(record.value.get("Subsets") for record in resolvers):
        return ()
    return tuple(state.table_index(table) for table in (NODES, SERVICES, CHECKS))


def _passing_or_critical(instance: Instance) -> Instance:
    if instance.health is Health.PASSING or instance.kind is Kind.TERMINATING_GATEWAY:
        return instance
    return msgspec.structs.replace(instance, health=Health.CRITICAL)
