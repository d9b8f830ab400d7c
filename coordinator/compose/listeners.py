"""Where each registered gateway instance listens.

Belongs here: the address and port of a registration, the bind options of its `Proxy.Config`, and which of two
that want one place has it: the one registered first. Never here: sockets.

An ingress gateway listens on the ports of its configuration entry, at each address of its registration.
Source: Consul, "Gateway options" of the Envoy proxy configuration.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cluster.errors import Problem
from cluster.ingress import IngressGateway, IngressListener
from cluster.routes import GatewayKind, Listener
from cluster.wholeness import clash
from coordinator.store.state import State
from coordinator.store.tables import SERVICES

_KINDS = {kind.value: kind for kind in GatewayKind}
_TAGGED = ("envoy_gateway_bind_tagged_addresses", "envoy_mesh_gateway_bind_tagged_addresses")
_EXTRA = ("envoy_gateway_bind_addresses", "envoy_mesh_gateway_bind_addresses")
_NO_DEFAULT = ("envoy_gateway_no_default_bind", "envoy_mesh_gateway_no_default_bind")

_Place = tuple[Any, Any]


class _Wanted(NamedTuple):
    """One listener that is asked for, sensibly or not."""

    address: Any
    port: Any
    server_may_speak_first: bool


def listeners(
    state: State, ingress: Iterable[IngressGateway] = ()
) -> tuple[tuple[Listener, ...], tuple[Problem, ...]]:
    """All listeners, in order, and why some registrations cannot be listened for.

    A registration that is wrong costs its own listener, never anybody else's update.
    """
    found: list[Listener] = []
    problems: list[Problem] = []
    ports = {gateway.name: gateway.listeners for gateway in ingress}
    gateways = (
        (record.create_index, key, record.value)
        for key, record in state.table(SERVICES).items()
        if record.value.get("Kind", "") in _KINDS
    )
    for _, key, value in sorted(gateways, key=lambda one: one[:2]):  # first come, first served
        _collect(key, value, _wanted(value, ports), found, problems)
    kept, losers = _without_clashes(found)
    return tuple(sorted(kept)), (*problems, *losers)


def _without_clashes(found: list[Listener]) -> tuple[list[Listener], list[Problem]]:
    """Those that can live together; where two cannot, the earlier one, and a problem that names both."""
    kept: list[Listener] = []
    problems: list[Problem] = []
    by_port: dict[tuple[str, int], list[Listener]] = {}
    for listener in found:
        there = by_port.setdefault((listener.node, listener.port), [])
        rival = next((one for one in there if one.shares_place(listener)), None)
        if rival is None:
            there.append(listener)
            kept.append(listener)
        else:
            problems.append(clash(rival, listener))
    return kept, problems


def _wanted(
    value: Mapping[str, Any], ports: Mapping[str, Iterable[IngressListener]]
) -> tuple[_Wanted, ...]:
    """The places of one gateway; `ports` are the listeners of ingress gateways."""
    places = tuple(dict.fromkeys(_places(value)))
    if value["Kind"] == GatewayKind.INGRESS:
        addresses = dict.fromkeys(address for address, _ in places)
        return tuple(
            _Wanted(*place, one.server_may_speak_first)
            for one in ports.get(value["Service"], ())
            for place in _without_covered(tuple((address, one.port) for address in addresses))
        )
    return tuple(_Wanted(*place, False) for place in _without_covered(places))


def _collect(
    key: str,
    value: Mapping[str, Any],
    wanted: Iterable[_Wanted],
    found: list[Listener],
    problems: list[Problem],
) -> None:
    for address, port, server_may_speak_first in wanted:
        listener = Listener(
            node=key.partition("/")[0],
            gateway=value["Service"],
            kind=_KINDS[value["Kind"]],
            address=address if isinstance(address, str) else "",
            port=port if isinstance(port, int) else 0,
            server_may_speak_first=server_may_speak_first,
        )
        if wrong := _wrong(address, port):
            message = f"{listener.kind} {listener.gateway!r} on node {listener.node!r} {wrong}"
            problems.append(Problem(path=f"services/{key}", message=message))
        else:
            found.append(listener)


def _places(value: Mapping[str, Any]) -> Iterator[_Place]:
    """Address and port of each listener in the order that Consul names: default, tagged, extra."""
    options = (value.get("Proxy") or {}).get("Config") or {}
    if not _option(options, _NO_DEFAULT):
        yield value.get("Address", ""), value.get("Port", 0)
    if _option(options, _TAGGED):
        for _, tagged in sorted((value.get("TaggedAddresses") or {}).items()):
            yield tagged.get("Address", ""), tagged.get("Port", 0)
    extra = _option(options, _EXTRA)
    for _, bound in sorted(extra.items()) if isinstance(extra, Mapping) else ():
        spelled = {name.lower(): part for name, part in bound.items()}
        yield spelled.get("address", ""), spelled.get("port", 0)


def _option(options: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((options[name] for name in names if name in options), None)


def _without_covered(places: tuple[_Place, ...]) -> tuple[_Place, ...]:
    """Whoever listens on every address of a port needs no second socket for one of them."""
    everywhere = {port for address, port in places if address in _ANY}
    kept = (place for place in places if place[0] in _ANY or place[1] not in everywhere)
    return tuple(kept)


_ANY = ("", "0.0.0.0", "::")


def _wrong(address: Any, port: Any) -> str:
    """Why nobody can listen there, as the end of a sentence; empty if one can."""
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        return f"cannot listen on port {port!r}"
    try:
        if address != "":
            ipaddress.ip_address(address)
    except ValueError:
        return f"cannot listen on {address!r}: not an IP address of the node"
    return ""
