"""Which instances an endpoint speaks of: those of a service, or those that lead to it in the mesh. Pure.

Belongs here: choosing records. Never here: the mesh's own view of the catalog (`coordinator.compose`), which
is asked, or JSON.
"""

from collections.abc import Sequence

from coordinator.compose.catalog import Catalog, instances
from coordinator.compose.linking import gateway_services, gateways_by_service
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import SERVICES

from .answers import ApiError
from .endpoint import Call
from .shapes import in_order, node_of, node_record


def of_service(call: Call) -> list[Record]:
    """The instances that are registered under the service's name, narrowed as the request asks."""
    name = call.path("service")
    found = (r for r in call.state.table(SERVICES).values() if r.value["Service"] == name)
    return _narrowed(call, in_order(found))


def of_connect(call: Call) -> list[Record]:
    """What a caller in the mesh dials to reach the service."""
    return _narrowed(call, connect_view(call.state, call.path("service")))


def connect_view(state: State, service: str) -> list[Record]:
    """The service's proxies, its connect-native instances, and the gateways it is linked to."""
    catalog = Catalog(instances(state))
    gateways = gateways_by_service(gateway_services(state, catalog)).get(service, ())
    keys = {f"{found.node}/{found.id}" for found in catalog.connect(service, gateways)}
    return in_order(r for key, r in state.table(SERVICES).items() if key in keys)


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
    meta = pairs_of(call, "node-meta").items()
    return [
        record
        for record in records
        if tags <= {tag.lower() for tag in record.value.get("Tags", ())}
        and meta <= node_record(call.state, node_of(record)).value.get("Meta", {}).items()
    ]
