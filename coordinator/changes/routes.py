"""What of the routes a change adds, changes and removes.

Belongs here: comparing two snapshots, section by section. Never here: who may use a route (`pairs`), or the
CA's roots. A section that is not known by name is compared too: its parts are called by their own names.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cluster.ingress import IngressGateway
from cluster.routes import Listener, TerminatingGateway, TerminatingRoute
from cluster.sections import SECTIONS
from cluster.snapshot import Snapshot

from .entries import change_of
from .fields import FieldChange, field_changes

_NOT_ROUTES = ("policy", "trust")


class RouteChange(msgspec.Struct, frozen=True, kw_only=True):
    """One part of one section; `change` is create, update or delete."""

    section: str
    name: str
    change: str
    fields: tuple[FieldChange, ...] = ()


def route_changes(before: Snapshot, after: Snapshot) -> tuple[RouteChange, ...]:
    """Section by section, in order of the names."""
    return tuple(
        change
        for section in SECTIONS
        if section not in _NOT_ROUTES
        for change in _section(section, getattr(before, section), getattr(after, section))
    )


def _section(section: str, before: Any, after: Any) -> Iterator[RouteChange]:
    if before == after:
        return
    old, new = dict(_parts(section, before)), dict(_parts(section, after))
    for name in sorted({*old, *new}):
        was, is_ = old.get(name), new.get(name)
        if was != is_:
            fields = tuple(field_changes(_plain(was), _plain(is_)))
            yield RouteChange(section=section, name=name, change=change_of(was, is_), fields=fields)


def _parts(section: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The parts of a section with the name of each."""
    if not isinstance(value, tuple):
        yield section, value
        return
    for number, part in enumerate(value):
        match part:
            case TerminatingGateway():
                yield from _linked(part)
            case IngressGateway():
                yield from ((f"{part.name}:{one.port}", one) for one in part.listeners)
            case Listener():
                yield f"{part.node}/{part.gateway} {part.address}:{part.port}", part
            case _:
                own = getattr(part, "name", None) or getattr(part, "server_name", None)
                yield str(own or number), part


def _linked(gateway: TerminatingGateway) -> Iterator[tuple[str, TerminatingRoute]]:
    """By service; what it serves under further names, its subsets, by these."""
    named: set[str] = set()
    for route in gateway.routes:
        name = f"{gateway.name}/{route.service}"
        yield (f"{name} {' '.join(route.server_names)}" if name in named else name), route
        named.add(name)


def _plain(part: Any) -> Mapping[str, Any]:
    plain = msgspec.to_builtins(part)
    return plain if isinstance(plain, dict) else {}
