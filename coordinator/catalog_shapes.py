"""Records of the catalog in Consul's JSON. Pure.

Belongs here: nodes, instances and checks as each endpoint spells them. Never here: which are asked for.
Records hold what was registered; what Consul always shows, its zero values, is filled in here.
"""

from collections.abc import Iterable
from typing import Any

from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import NODES

_SERVICE = {
    "ID": "",
    "Service": "",
    "Tags": [],
    "Address": "",
    "TaggedAddresses": {},
    "Meta": {},
    "Port": 0,
    "Weights": {"Passing": 1, "Warning": 1},
    "EnableTagOverride": False,
    "Proxy": {},
    "Connect": {},
}
_CHECK = {
    "Node": "",
    "CheckID": "",
    "Name": "",
    "Status": "",
    "Notes": "",
    "Output": "",
    "ServiceID": "",
    "ServiceName": "",
    "ServiceTags": [],
    "Type": "",
    "Interval": "",
    "Timeout": "",
    "ExposedPort": 0,
    "Definition": {},
}


def indexes(record: Record) -> dict[str, int]:
    return {"CreateIndex": record.create_index, "ModifyIndex": record.modify_index}


def node_shape(record: Record, datacenter: str) -> dict[str, Any]:
    """A node, as every endpoint shows it."""
    value = record.value
    return {
        "ID": value.get("ID", ""),
        "Node": value["Node"],
        "Address": value.get("Address", ""),
        "Datacenter": datacenter,
        "TaggedAddresses": value.get("TaggedAddresses", {}),
        "Meta": value.get("Meta", {}),
        **indexes(record),
    }


def service_shape(record: Record) -> dict[str, Any]:
    """An instance, as health and node endpoints show it."""
    return _SERVICE | record.value | indexes(record)


def check_shape(record: Record) -> dict[str, Any]:
    return {**_CHECK, **record.value, **indexes(record)}


def catalog_service_shape(record: Record, node: Record, datacenter: str) -> dict[str, Any]:
    """An instance with its node, flat, as `/v1/catalog/service` shows it."""
    place, service = node_shape(node, datacenter), _SERVICE | record.value
    names = ("ID", "Node", "Address", "Datacenter", "TaggedAddresses")
    return {name: place[name] for name in names} | {
        "NodeMeta": place["Meta"],
        "ServiceKind": service.get("Kind", ""),
        "ServiceID": service["ID"],
        "ServiceName": service["Service"],
        "ServiceTags": service["Tags"],
        "ServiceAddress": service["Address"],
        "ServiceTaggedAddresses": service["TaggedAddresses"],
        "ServiceWeights": service["Weights"],
        "ServiceMeta": service["Meta"],
        "ServicePort": service["Port"],
        "ServiceSocketPath": service.get("SocketPath", ""),
        "ServiceEnableTagOverride": service["EnableTagOverride"],
        "ServiceProxy": service["Proxy"],
        "ServiceConnect": service["Connect"],
        **indexes(record),
    }


def agent_service_shape(record: Record, datacenter: str) -> dict[str, Any]:
    """An instance, as `/v1/agent/services` shows it."""
    shown = service_shape(record)
    return shown | {"Kind": shown.get("Kind", ""), "Datacenter": datacenter}


def node_record(state: State, node: str) -> Record:
    """The node of an instance; one whose record is gone, against the rules, is shown without an address."""
    absent = Record(table=NODES, key=node, value={"Node": node}, create_index=0, modify_index=0)
    return state.get(NODES, node) or absent


def in_order(records: Iterable[Record]) -> list[Record]:
    """By key, so that equal states give equal answers."""
    return sorted(records, key=lambda record: record.key)
