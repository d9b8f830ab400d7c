"""Which services are exported to whom: `/v1/exported-services`.

Belongs here: the entry with its wildcard resolved. Never here: what an exported service may lead to
(`coordinator.entries.cross`), or exporting it.
"""

from collections.abc import Iterator
from typing import Any

from cluster.names import WILDCARD
from coordinator.acl.rights import mesh_read
from coordinator.compose.catalog import exportable
from coordinator.store.tables import ENTRIES, SERVICES

from .endpoint import Call, Read, at

_ENTRY = "exported-services/default"


def _exported(call: Call) -> list[dict[str, Any]]:
    """Each service once, by name, with all its consumers."""
    peers: dict[str, set[str]] = {}
    for service, consumers in _elements(call):
        peers.setdefault(service, set()).update(consumers)
    return [
        {"Service": name, "Consumers": {"Peers": sorted(peers[name])}}
        for name in sorted(peers)
        if peers[name]
    ]


def _elements(call: Call) -> Iterator[tuple[str, set[str]]]:
    record = call.state.get(ENTRIES, _ENTRY)
    for element in record.value.get("Services") or () if record else ():
        consumers = {one["Peer"] for one in element.get("Consumers") or () if one.get("Peer")}
        if element["Name"] == WILDCARD:
            yield from ((name, consumers) for name in exportable(call.state))
        else:
            yield element["Name"], consumers


ROUTES = (
    at(
        "/v1/exported-services",
        GET=Read(answer=_exported, needs=mesh_read, tables=(SERVICES, ENTRIES)),
    ),
)
