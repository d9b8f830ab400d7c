"""What the files of a development cluster ask for, completed so that it can run.  ●

Belongs here: which registrations and entries are written, in which order. Never here: writing them.

A gateway that only a configuration entry names is registered on this node, on a free port of loopback; so
the shortest file that shows something is one entry. A listener of an ingress gateway that names no port gets
a free one, too.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from cluster.routes import GatewayKind
from coordinator.entries.load import EntryItem, Item, RegistrationItem, ServiceItem

INGRESS = GatewayKind.INGRESS.value
GATEWAY_KINDS = tuple(kind.value for kind in GatewayKind)


_FIRST = (
    "proxy-defaults",
    "service-defaults",
    "service-resolver",
    "service-splitter",
    "service-router",
)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One write to the API, and what it is called in an error."""

    path: str
    body: dict[str, Any]
    what: str


def requests(items: Iterable[Item], node: str, find_port: Callable[[], int]) -> tuple[Request, ...]:
    """All writes, registrations before entries, and of those first what others are judged by."""
    items = tuple(items)
    registrations = [*_given(items, node, find_port)]
    registrations += _missing(items, registrations, node, find_port)
    entries = [
        Request(
            path="/v1/config",
            body=_with_ports(item.entry.body, find_port),
            what=f"{item.entry.kind}/{item.entry.name}",
        )
        for item in sorted(items, key=_rank)
        if isinstance(item, EntryItem)
    ]
    writes = [
        Request(path="/v1/catalog/register", body=body, what=_name(body)) for body in registrations
    ]
    return (*writes, *entries)


def _rank(item: Item) -> int:
    """A listener fits a service by the protocol that other entries give it."""
    kind = item.entry.kind if isinstance(item, EntryItem) else ""
    return _FIRST.index(kind) if kind in _FIRST else len(_FIRST)


def _with_ports(entry: dict[str, Any], find_port: Callable[[], int]) -> dict[str, Any]:
    if entry.get("Kind") != INGRESS:
        return entry
    listeners = [
        one if one.get("Port") else {**one, "Port": find_port()}
        for one in entry.get("Listeners") or ()
    ]
    return {**entry, "Listeners": listeners}


def _given(
    items: Iterable[Item], node: str, find_port: Callable[[], int]
) -> Iterator[dict[str, Any]]:
    for item in items:
        if isinstance(item, RegistrationItem):
            yield item.registration
        elif isinstance(item, ServiceItem):
            place = {"Node": node, "Address": "127.0.0.1"}
            sidecar = item.definition.get("Sidecar")
            yield {**place, **{k: v for k, v in item.definition.items() if k != "Sidecar"}}
            if sidecar:
                service = sidecar["Service"]
                if not (service.get("Port") or service.get("SocketPath")):
                    service = {**service, "Port": find_port()}
                yield {**place, **sidecar, "Service": service}


def _missing(
    items: Iterable[Item],
    registrations: Iterable[dict[str, Any]],
    node: str,
    find_port: Callable[[], int],
) -> list[dict[str, Any]]:
    registered = {body["Service"]["Service"] for body in registrations if "Service" in body}
    return [
        _gateway_registration(item.entry.name, item.entry.kind, node, find_port())
        for item in items
        if isinstance(item, EntryItem)
        and item.entry.kind in GATEWAY_KINDS
        and item.entry.name not in registered
    ]


def _gateway_registration(name: str, kind: str, node: str, port: int) -> dict[str, Any]:
    service = {"ID": name, "Service": name, "Kind": kind, "Address": "127.0.0.1", "Port": port}
    return {"Node": node, "Address": "127.0.0.1", "Service": service}


def _name(body: dict[str, Any]) -> str:
    service = body.get("Service")
    return f"service {service['Service']}" if service else f"node {body['Node']}"
