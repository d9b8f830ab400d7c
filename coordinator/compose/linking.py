"""Which services each terminating gateway is linked to, and by which TLS.

Belongs here: Consul's rules of linking and its wildcard. Never here: what a link makes the gateway serve
(`routes`).

An explicit element overrides the wildcard's for its service completely, and stays without an instance; what
the wildcard gives goes with the last plain instance, or with the service-defaults that made it a destination.
Source: Consul, "Terminating gateway configuration entry", linked services.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.names import WILDCARD
from cluster.routes import GatewayKind, OriginationTls
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

from .catalog import Catalog, linkable

KIND = GatewayKind.TERMINATING.value
_DEFAULTS = "service-defaults/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One service of one terminating gateway. The indexes are those of the gateway's entry.

    `service_kind` is `service` with a plain instance, else `destination` if service-defaults say so; what
    is not known yet is neither.
    """

    gateway: str
    service: str
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    sni: str = ""
    rewrite_host: bool = True
    from_wildcard: bool = False
    service_kind: str = ""
    create_index: int
    modify_index: int

    @property
    def tls(self) -> OriginationTls | None:
        """How to speak TLS with the service; None is plain text."""
        if not (self.ca_file or self.cert_file or self.key_file or self.sni):
            return None
        return OriginationTls(
            ca_file=self.ca_file,
            cert_file=self.cert_file,
            key_file=self.key_file,
            server_name=self.sni,
        )

    def row(self) -> dict[str, Any]:
        """The link as `/v1/catalog/gateway-services` shows it; Consul leaves empty fields out."""
        optional = {
            "CAFile": self.ca_file,
            "CertFile": self.cert_file,
            "KeyFile": self.key_file,
            "SNI": self.sni,
            "FromWildcard": self.from_wildcard,
            "ServiceKind": self.service_kind,
            "AutoHostRewrite": self.rewrite_host,
        }
        return {
            "Gateway": {"Name": self.gateway},
            "Service": {"Name": self.service},
            "GatewayKind": KIND,
            **{name: value for name, value in optional.items() if value},
            "CreateIndex": self.create_index,
            "ModifyIndex": self.modify_index,
        }


def gateway_services(state: State, catalog: Catalog | None = None) -> tuple[Link, ...]:
    """Every link of every gateway, by gateway and service; the `*` elements themselves are not there."""
    known = linkable(state) if catalog is None else catalog.linkable
    kinds = dict.fromkeys(_destinations(state), "destination") | dict.fromkeys(known, "service")
    found = (link for record in _entries(state) for link in _links(record, kinds))
    return tuple(sorted(found, key=lambda link: (link.gateway, link.service)))


def gateways_by_service(links: Iterable[Link]) -> Mapping[str, tuple[str, ...]]:
    """For each linked service the gateways that lead to it."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for link in links:
        found[link.service].append(link.gateway)
    return {service: tuple(sorted(gateways)) for service, gateways in found.items()}


def gateways_of(state: State, service: str, *, is_linkable: bool) -> frozenset[str]:
    """The gateways that lead to one service: what `gateways_by_service` says of it, without the others.

    `is_linkable`: whether `Catalog.linkable` holds the service.
    """
    defaults = state.get(ENTRIES, f"{_DEFAULTS}{service}")
    is_covered = is_linkable or _is_destination(defaults)
    found = set()
    for record in _entries(state):
        names = {element["Name"] for element in record.value.get("Services") or ()}
        if service in names or (is_covered and WILDCARD in names):
            found.add(str(record.value["Name"]))
    return frozenset(found)


def _destinations(state: State) -> Iterator[str]:
    """The services that only service-defaults know, with addresses outside."""
    found = (record for record in state.under(ENTRIES, _DEFAULTS) if _is_destination(record))
    return (str(record.value["Name"]) for record in found)


def _is_destination(defaults: Record | None) -> bool:
    return defaults is not None and bool(defaults.value.get("Destination"))


def _entries(state: State) -> Iterator[Record]:
    return state.under(ENTRIES, f"{KIND}/")


def _links(record: Record, kinds: Mapping[str, str]) -> Iterator[Link]:
    """The links of one gateway; `kinds` are all services that a wildcard covers, with what they are."""
    elements = {element["Name"]: element for element in record.value.get("Services") or ()}
    every = elements.pop(WILDCARD, None)
    for name, element in elements.items():
        yield _link(record, name, element, kind=kinds.get(name, ""))
    if every is not None:
        for name, kind in kinds.items():
            if name not in elements:
                yield _link(record, name, every, kind=kind, from_wildcard=True)


def _link(
    record: Record,
    service: str,
    element: Mapping[str, Any],
    *,
    kind: str,
    from_wildcard: bool = False,
) -> Link:
    return Link(
        gateway=record.value["Name"],
        service=service,
        ca_file=element.get("CAFile", ""),
        cert_file=element.get("CertFile", ""),
        key_file=element.get("KeyFile", ""),
        sni=element.get("SNI", ""),
        rewrite_host=not element.get("DisableAutoHostRewrite", False),
        from_wildcard=from_wildcard,
        service_kind=kind,
        create_index=record.create_index,
        modify_index=record.modify_index,
    )
