"""Destinations: services outside that service-defaults name, without an instance in the catalog.

Belongs here: their routes on terminating gateways, one for each address, and the endpoint sets of these.
Never here: linking (`linking`), or services that are registered (`routes`).

Each address has a name of its own, under a service that is called after it; certificate and intentions are
those of the real service. A service that is registered as well is served as that.
Source: consul-gateways.md 4.6; Consul, service-defaults `Destination`.
"""

import re
from collections.abc import Container, Iterable, Iterator

from cluster.names import ServiceName, service_sni
from cluster.routes import Endpoint, TerminatingRoute
from cluster.snapshot import EndpointSet, Trust
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

_PREFIX = "destination."


def destinations(
    state: State, services: Iterable[str], registered: Container[str]
) -> dict[str, tuple[Endpoint, ...]]:
    """The addresses of each of these services that is a destination and has no instance."""
    found = {}
    for service in services:
        record = state.get(ENTRIES, f"service-defaults/{service}")
        said = (record.value.get("Destination") or {}) if record is not None else {}
        if said.get("Addresses") and service not in registered:
            port = said.get("Port") or 0
            found[service] = tuple(Endpoint(address=one, port=port) for one in said["Addresses"])
    return found


def destination_sets(found: dict[str, tuple[Endpoint, ...]]) -> Iterator[EndpointSet]:
    """One for each address."""
    for service, addresses in found.items():
        for one in addresses:
            yield EndpointSet(name=_set_name(service, one), endpoints=(one,))


def destination_routes(
    like: TerminatingRoute, addresses: Iterable[Endpoint], trust: Trust
) -> Iterator[TerminatingRoute]:
    """The routes of one destination; `like` is how the service would be served if it were registered."""
    for one in addresses:
        yield TerminatingRoute(
            service=like.service,
            datacenter=like.datacenter,
            server_names=(destination_sni(like.service, one.address, trust),),
            endpoints=_set_name(like.service.name, one),
            protocol=like.protocol,
            http=like.http,
            tls=like.tls,
            connect_timeout_seconds=like.connect_timeout_seconds,
        )


def destination_sni(service: ServiceName, address: str, trust: Trust) -> str:
    """The name by which one address is asked for; lower-case, as names are looked up."""
    pseudo = f"{re.sub('[.:]', '-', address)}.{service.name}"
    domain = trust.bundle.trust_domain
    name = service_sni(pseudo, datacenter=trust.datacenter, trust_domain=domain)
    return f"{_PREFIX}{name}".lower()


def _set_name(service: str, endpoint: Endpoint) -> str:
    return f"destination:{endpoint.address}:{service}"
