"""Which instances an endpoint speaks of: those of a service, or those that lead to it in the mesh. Pure.

Belongs here: choosing records. Never here: the mesh's own view of the catalog (`coordinator.compose`), which
is asked, or JSON.
"""

from collections.abc import Callable, Sequence

from cluster.catalog import Kind
from coordinator.catalog_index import node_of
from coordinator.catalog_shapes import in_order, node_record
from coordinator.compose.catalog import is_native, is_outside
from coordinator.compose.ingress_links import IngressLink, ingress_links
from coordinator.compose.linking import Link, gateway_services, gateways_of
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

from .answers import ApiError
from .endpoint import Call


def of_service(call: Call) -> list[Record]:
    """The instances that are registered under the service's name, narrowed as the request asks."""
    return _narrowed(call, call.services.catalog.instances(call.path("service")))


def of_connect(call: Call) -> list[Record]:
    """What a caller in the mesh dials to reach the service."""
    return _narrowed(call, connect_view(call, call.path("service")))


def connect_view(call: Call, service: str) -> list[Record]:
    """The service's proxies, its connect-native instances, and the gateways it is linked to."""
    catalog = call.services.catalog
    own = catalog.instances(service)
    is_linkable = any(is_outside(record.value) for record in own)
    linked = gateways_of(call.state, service, is_linkable=is_linkable)
    gateways = catalog.of_kind(Kind.TERMINATING_GATEWAY) if linked else ()
    return in_order(
        (
            *catalog.proxies(service),
            *(one for one in own if not one.value.get("Kind") and is_native(one.value)),
            *(one for one in gateways if one.value["Service"] in linked),
        )
    )


def service_index(call: Call) -> int:
    """When `of_service` last changed, with what is shown of it."""
    return max(call.services.catalog.service_index(call.path("service")), _central_index(call))


def connect_index(call: Call) -> int:
    """When `of_connect` last changed, with what is shown of it."""
    return max(call.services.catalog.connect_index(call.path("service")), _central_index(call))


def _central_index(call: Call) -> int:
    return call.state.table_index(ENTRIES) if call.flag("merge-central-config") else 0


def of_ingress(call: Call) -> list[Record]:
    """The instances of ingress gateways that expose the service."""
    service = call.path("service")
    gateways = {link.gateway for link in ingress_links(call.state) if link.service == service}
    found = call.services.catalog.of_kind(Kind.INGRESS_GATEWAY)
    return _narrowed(call, [record for record in found if record.value["Service"] in gateways])


def links_of_gateway(state: State, gateway: str) -> list[Link | IngressLink]:
    """The services that a gateway leads to or exposes; of a gateway that nobody knows none."""
    links: tuple[Link | IngressLink, ...] = ()
    if state.get(ENTRIES, f"{Kind.TERMINATING_GATEWAY}/{gateway}"):
        links = gateway_services(state)
    elif state.get(ENTRIES, f"{Kind.INGRESS_GATEWAY}/{gateway}"):
        links = ingress_links(state)
    return [link for link in links if link.gateway == gateway]


def on_nodes_asked_for(call: Call) -> Callable[[Record], bool]:
    """Whether a service or check is on a node with all the metadata that was asked for.

    Raises ApiError (400).
    """
    meta = pairs_of(call, "node-meta").items()
    if not meta:
        return lambda record: True
    return lambda record: (
        meta <= node_record(call.state, node_of(record)).value.get("Meta", {}).items()
    )


def pairs_of(call: Call, name: str) -> dict[str, str]:
    """A repeated parameter of the form `key:value`. Raises ApiError (400)."""
    pairs = {}
    for text in call.request.query_params.getlist(name):
        key, colon, value = text.partition(":")
        if not key or not colon:
            raise ApiError(400, f"query parameter '{name}' is key:value, found {text[:40]!r}")
        pairs[key] = value
    return pairs


def _narrowed(call: Call, records: Sequence[Record]) -> list[Record]:
    """Those with all the tags, on nodes with all the metadata, that were asked for."""
    tags = {tag.lower() for tag in call.request.query_params.getlist("tag") if tag}
    is_near = on_nodes_asked_for(call)
    return [
        record
        for record in records
        if tags <= {tag.lower() for tag in record.value.get("Tags", ())} and is_near(record)
    ]
