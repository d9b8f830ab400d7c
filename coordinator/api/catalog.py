"""The catalog, without health: `/v1/catalog`.

Belongs here: reading it. Never here: writing to it (`registration`), or health (`health`).
"""

from collections.abc import Mapping
from typing import Any

from cluster.filters.catalog import CATALOG_SERVICE, GATEWAY_SERVICE, NODE, SERVICE
from coordinator.acl.rights import Right, node_read, service_read
from coordinator.catalog_index import node_of
from coordinator.catalog_shapes import (
    catalog_service_shape,
    in_order,
    node_record,
    node_shape,
    service_shape,
)
from coordinator.store.records import Record
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES

from .central_config import central_config
from .endpoint import Call, Read, at
from .filtering import Filterable
from .needs import Each, anyone, each, in_answer, named
from .selection import (
    connect_index,
    links_of_gateway,
    of_connect,
    of_service,
    on_nodes_asked_for,
    pairs_of,
    service_index,
)


def _datacenters(call: Call) -> list[str]:
    return [call.services.datacenter]


def _nodes(call: Call) -> list[dict[str, Any]]:
    wanted = pairs_of(call, "node-meta").items()
    records = in_order(call.state.table(NODES).values())
    kept = [r for r in records if wanted <= r.value.get("Meta", {}).items()]
    return [node_shape(record, call.services.datacenter) for record in kept]


def _services(call: Call) -> dict[str, list[str]]:
    """Names, each with the tags of all its instances."""
    found: dict[str, set[str]] = {}
    is_near = on_nodes_asked_for(call)
    for record in filter(is_near, call.state.table(SERVICES).values()):
        found.setdefault(record.value["Service"], set()).update(record.value.get("Tags", ()))
    return {name: sorted(found[name]) for name in sorted(found)}


def _service(call: Call) -> list[dict[str, Any]]:
    return _flat(call, of_service(call))


def _connect(call: Call) -> list[dict[str, Any]]:
    return _flat(call, of_connect(call))


def _flat(call: Call, records: list[Any]) -> list[dict[str, Any]]:
    shown = [
        catalog_service_shape(r, node_record(call.state, node_of(r)), call.services.datacenter)
        for r in records
    ]
    if not call.flag("merge-central-config"):
        return shown
    central = central_config(call)
    return [central.merged_flat(one) for one in shown]


def _node(call: Call) -> dict[str, Any] | None:
    node = _readable_node(call)
    if node is None:
        return None
    shown = {r.value["ID"]: service_shape(r) for r in _readable_services(call, node)}
    return {"Node": node_shape(node, call.services.datacenter), "Services": shown}


def _node_services(call: Call) -> dict[str, Any]:
    node = _readable_node(call)
    if node is None:
        return {"Node": None, "Services": None}
    shown = [service_shape(r) for r in _readable_services(call, node)]
    return {"Node": node_shape(node, call.services.datacenter), "Services": shown}


def _readable_node(call: Call) -> Record | None:
    """The node of the path, if it is there for this speaker."""
    record = call.state.get(NODES, call.path("node"))
    found = call.readable([record] if record else [], lambda one: node_read(one.key))
    return found[0] if found else None


def _readable_services(call: Call, node: Record) -> list[Record]:
    found = call.services.catalog.services_on(node.key)
    return call.readable(found, lambda one: service_read(one.value["Service"]))


def _gateway_services(call: Call) -> list[dict[str, Any]]:
    return [link.row() for link in links_of_gateway(call.state, call.path("gateway"))]


def _node_index(call: Call) -> int:
    return call.services.catalog.node_index(call.path("node"))


def _instance(row: Mapping[str, Any]) -> tuple[Right, ...]:
    return node_read(row["Node"]), service_read(row["ServiceName"])


def _link(row: Mapping[str, Any]) -> tuple[Right, ...]:
    return service_read(row["Gateway"]["Name"]), service_read(row["Service"]["Name"])


_READABLE: Each = each(_instance)
_INSTANCES = Filterable(shape=CATALOG_SERVICE)
_OF_NODE = Filterable(shape=SERVICE, under="Services")

ROUTES = (
    at("/v1/catalog/datacenters", GET=Read(answer=_datacenters, needs=anyone)),
    at(
        "/v1/catalog/nodes",
        GET=Read(
            answer=_nodes,
            needs=each(lambda row: node_read(row["Node"])),
            tables=(NODES,),
            filterable=Filterable(shape=NODE),
        ),
    ),
    at(
        "/v1/catalog/services",
        GET=Read(
            answer=_services,
            needs=named(lambda name, _: service_read(name)),
            tables=(NODES, SERVICES),
        ),
    ),
    at(
        "/v1/catalog/service/{service}",
        GET=Read(
            answer=_service,
            needs=_READABLE,
            tables=(NODES, SERVICES, CHECKS, ENTRIES),
            index=service_index,
            filterable=_INSTANCES,
        ),
    ),
    at(
        "/v1/catalog/connect/{service}",
        GET=Read(
            answer=_connect,
            needs=_READABLE,
            tables=(NODES, SERVICES, CHECKS, ENTRIES),
            index=connect_index,
            filterable=_INSTANCES,
        ),
    ),
    at(
        "/v1/catalog/node/{node}",
        GET=Read(
            answer=_node,
            needs=in_answer,
            tables=(NODES, SERVICES, CHECKS),
            index=_node_index,
            filterable=_OF_NODE,
        ),
    ),
    at(
        "/v1/catalog/node-services/{node}",
        GET=Read(
            answer=_node_services,
            needs=in_answer,
            tables=(NODES, SERVICES, CHECKS),
            index=_node_index,
            filterable=_OF_NODE,
        ),
    ),
    at(
        "/v1/catalog/gateway-services/{gateway}",
        GET=Read(
            answer=_gateway_services,
            needs=each(_link),
            tables=(SERVICES, ENTRIES),
            filterable=Filterable(shape=GATEWAY_SERVICE),
        ),
    ),
)
