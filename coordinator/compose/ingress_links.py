"""Which services each ingress gateway exposes, on which port, by which protocol and hosts.

Belongs here: Consul's rules of linking and its wildcard. Never here: matching a host (`cluster.ingress`), or
what a link makes the gateway serve.

The wildcard of a listener covers each service in the mesh whose chain speaks exactly the listener's protocol.
A service that the listener names as well has its own element, and stays without an instance.
Source: Consul, "Ingress gateway configuration entry", wildcard service specifier.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.names import WILDCARD
from cluster.routes import GatewayKind
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

from .catalog import connectable
from .chains import chain_protocols

KIND = GatewayKind.INGRESS.value


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressLink:
    """One service on one listener of an ingress gateway. The indexes are those of the gateway's entry.

    `hosts` are those of the entry; without any the service has its default pattern.
    """

    gateway: str
    service: str
    port: int
    protocol: str
    hosts: tuple[str, ...] = ()
    from_wildcard: bool = False
    create_index: int
    modify_index: int

    def row(self) -> dict[str, Any]:
        """The link as `/v1/catalog/gateway-services` shows it; Consul leaves empty fields out."""
        optional = {
            "Port": self.port,
            "Protocol": self.protocol,
            "Hosts": list(self.hosts),
            "FromWildcard": self.from_wildcard,
        }
        return {
            "Gateway": {"Name": self.gateway},
            "Service": {"Name": self.service},
            "GatewayKind": KIND,
            **{name: value for name, value in optional.items() if value},
            "CreateIndex": self.create_index,
            "ModifyIndex": self.modify_index,
        }


def ingress_links(state: State) -> tuple[IngressLink, ...]:
    """Every link of every ingress gateway, by gateway, service and port."""
    covered = Covered(state)
    records = state.under(ENTRIES, f"{KIND}/")
    found = (link for record in records for link in links_of(record, covered.services))
    return tuple(sorted(found, key=lambda link: (link.gateway, link.service, link.port)))


def links_of(record: Record, covered: Callable[[str], Iterable[str]]) -> Iterator[IngressLink]:
    """The links of one gateway; `covered` gives the services that a wildcard covers, by protocol."""
    for listener in record.value.get("Listeners") or ():
        for name, element, from_wildcard in exposed(listener, covered):
            yield _link(record, listener, name, element, from_wildcard=from_wildcard)


def exposed(
    listener: Mapping[str, Any], covered: Callable[[str], Iterable[str]]
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """The services of one listener, the element that each has, and whether that is the wildcard's."""
    elements = {element["Name"]: element for element in listener.get("Services") or ()}
    every = elements.pop(WILDCARD, None)
    for name, element in elements.items():
        yield name, element, False
    if every is not None:
        for name in covered(_protocol(listener)):
            if name not in elements:
                yield name, every, True


class Covered:
    """The services of the mesh by protocol, looked up when the first wildcard asks."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._by_protocol: dict[str, list[str]] | None = None

    def services(self, protocol: str) -> Iterable[str]:
        if self._by_protocol is None:
            self._by_protocol = {}
            protocol_of = chain_protocols(self._state)
            for service in connectable(self._state):
                self._by_protocol.setdefault(protocol_of(service), []).append(service)
        return self._by_protocol.get(protocol, ())


def _link(
    record: Record,
    listener: Mapping[str, Any],
    service: str,
    element: Mapping[str, Any],
    *,
    from_wildcard: bool,
) -> IngressLink:
    return IngressLink(
        gateway=record.value["Name"],
        service=service,
        port=listener.get("Port", 0),
        protocol=_protocol(listener),
        hosts=tuple(element.get("Hosts") or ()),
        from_wildcard=from_wildcard,
        create_index=record.create_index,
        modify_index=record.modify_index,
    )


def _protocol(listener: Mapping[str, Any]) -> str:
    return listener.get("Protocol") or "tcp"
