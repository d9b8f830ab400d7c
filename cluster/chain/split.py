"""Splitters: one for a service and all those it leads to, flattened into one list of shares.

Belongs here: following splits, effective weights, which load balancer a splitter has. Never here: merging
headers (`headers`), or what a split leads to in the end (`resolve`).

A split to another service, without a subset, goes on to the splitter of that service; a share of a share is
rounded to a hundredth of a per cent.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

from .assembly import Assembly
from .entries import SPLITTER, Body
from .errors import ChainError
from .headers import merged
from .place import Place
from .resolve import resolve
from .values import Node, Split, Splitter, key

#: Deeper nesting and more shares than anybody means; without a limit, shares double with each level.
MAX_DEPTH = 32
MAX_SPLITS = 1000

_HASHING = ("maglev", "ring_hash")
_HUNDREDTH = Decimal("0.01")


def split_or_resolve(assembly: Assembly, service: str) -> Node:
    """The splitter of a service, or its resolver if it has none. Raises ChainError."""
    splitter = _splitter(assembly, service)
    return splitter or resolve(assembly, Place(service=service, datacenter=assembly.datacenter))


def rounded(weight: float) -> float:
    """A weight to a hundredth, halves away from zero."""
    return float(Decimal(repr(float(weight))).quantize(_HUNDREDTH, ROUND_HALF_UP))


def _splitter(assembly: Assembly, service: str) -> Splitter | None:
    name = node_name(service)
    known = assembly.nodes.get(f"splitter:{name}")
    if isinstance(known, Splitter):
        return known
    body = assembly.advanced(SPLITTER, service)
    if body is None:
        return None
    _enter(assembly, service)
    splits: list[Split] = []
    balancers: list[Body] = []
    for definition in body.get("Splits") or ():
        splits += _shares(assembly, service, definition, balancers)
        if len(splits) > MAX_SPLITS:
            raise ChainError(f"service {service} splits into more than {MAX_SPLITS} shares")
    assembly.splitting.pop()
    balancer = dict(balancers[0]) if balancers else {}
    node = Splitter(name=name, splits=tuple(splits), load_balancer=balancer)
    assembly.add(node)
    return node


def node_name(service: str) -> str:
    """What routers and splitters are called."""
    return f"{service}.default.default"


def _enter(assembly: Assembly, service: str) -> None:
    if service in assembly.splitting:
        circle = assembly.splitting[assembly.splitting.index(service) :]
        way = " -> ".join(f"splitter:{node_name(one)}" for one in (*circle, service))
        raise ChainError(f"detected circular reference: [{way}]")
    if len(assembly.splitting) == MAX_DEPTH:
        raise ChainError(f"splitters are nested more than {MAX_DEPTH} deep at service {service}")
    assembly.splitting.append(service)


def _shares(
    assembly: Assembly, service: str, definition: Body, balancers: list[Body]
) -> Iterator[Split]:
    """What one split comes to. The first load balancer that hashes is the splitter's."""
    onward, subset = definition.get("Service") or service, definition.get("ServiceSubset", "")
    weight = rounded(definition.get("Weight", 0))
    inner = _splitter(assembly, onward) if onward != service and not subset else None
    if inner is not None:
        for share in inner.splits:
            yield Split(
                definition=merged(share.definition, definition),
                weight=rounded(weight * share.weight / 100),
                next_node=share.next_node,
            )
        return
    place = Place(service=onward, subset=subset, datacenter=assembly.datacenter)
    node = resolve(assembly, place)
    if node.load_balancer.get("Policy") in _HASHING:
        balancers.append(node.load_balancer)
    yield Split(definition=dict(definition), weight=weight, next_node=key(node))
