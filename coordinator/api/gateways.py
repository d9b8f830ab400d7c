"""What is asked about one gateway as a whole: `/v1/internal/ui/gateway-…`.

Belongs here: a gateway's services with how they are, and the intentions towards them. Never here: the links
themselves (`/v1/catalog/gateway-services`).
Source: Consul's UI, which asks for these; they are not documented.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from cluster.catalog import Health
from cluster.ingress import service_addresses, service_domains
from cluster.names import WILDCARD
from coordinator.acl.rights import Right, intention_read, service_read
from coordinator.catalog_index import CatalogIndex, node_of
from coordinator.compose.catalog import is_native
from coordinator.compose.ingress_links import IngressLink
from coordinator.compose.linking import Link
from coordinator.store.records import Record
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES

from .endpoint import Call, Read, at
from .selection import links_of_gateway

_EXTERNAL_SOURCE = "external-source"


def _services(call: Call) -> list[dict[str, Any]]:
    """A summary of each service, also of those that are linked and not registered."""
    links = links_of_gateway(call.state, call.path("gateway"))
    by_service: defaultdict[str, list[Link | IngressLink]] = defaultdict(list)
    for link in links:
        by_service[link.service].append(link)
    return [
        _summary(call, name, by_service[name]) for name in call.readable(by_service, service_read)
    ]


def _summary(call: Call, name: str, links: Iterable[Link | IngressLink]) -> dict[str, Any]:
    found = call.services.catalog.instances(name)
    statuses = Counter(_statuses(call.services.catalog, found))
    metas = [record.value.get("Meta") or {} for record in found]
    return {
        "Name": name,
        "Datacenter": call.services.datacenter,
        "Tags": sorted({tag for record in found for tag in record.value.get("Tags") or ()}),
        "Nodes": sorted({node_of(record) for record in found}),
        "ExternalSources": sorted({m[_EXTERNAL_SOURCE] for m in metas if _EXTERNAL_SOURCE in m}),
        "InstanceCount": len(found),
        "ChecksPassing": statuses[Health.PASSING],
        "ChecksWarning": statuses[Health.WARNING],
        "ChecksCritical": statuses[Health.CRITICAL],
        "GatewayConfig": _config(call, links),
        "TransparentProxy": False,
        "ConnectNative": any(is_native(record.value) for record in found),
    }


def _statuses(catalog: CatalogIndex, instances: Iterable[Record]) -> Iterator[str]:
    """The status of each check of the instances and their nodes, each check once."""
    checks = {
        check.key: check
        for record in instances
        for check in catalog.checks_of(node_of(record), record.value["ID"])
    }
    return (check.value.get("Status", "") for check in checks.values())


def _config(call: Call, links: Iterable[Link | IngressLink]) -> dict[str, Any]:
    """Where clients outside the mesh find the service; a terminating gateway has no such place."""
    addresses = [
        address
        for link in links
        if isinstance(link, IngressLink)
        for address in service_addresses(
            link.port, link.hosts, service_domains(link.service, call.services.datacenter)
        )
    ]
    return {"Addresses": list(dict.fromkeys(addresses))} if addresses else {}


def _intentions(call: Call) -> list[dict[str, Any]]:
    """The intentions towards any service of the gateway, in evaluation order."""
    links = links_of_gateway(call.state, call.path("gateway"))
    names = {link.service for link in links} | ({WILDCARD} if links else set())
    found = [p.shown for p in call.services.pairs.all() if p.rule.destination.name in names]
    return call.readable(found, lambda row: intention_read(row["DestinationName"]))


def _read_right(call: Call) -> Right:
    return service_read(call.path("gateway"))


ROUTES = (
    at(
        "/v1/internal/ui/gateway-services-nodes/{gateway}",
        GET=Read(answer=_services, needs=_read_right, tables=(NODES, SERVICES, CHECKS, ENTRIES)),
    ),
    at(
        "/v1/internal/ui/gateway-intentions/{gateway}",
        GET=Read(answer=_intentions, needs=_read_right, tables=(SERVICES, ENTRIES)),
    ),
)
