"""What a change of an entry can break: the services whose chains must be looked at again.

Belongs here: following references backwards. Never here: what is looked at.
"""

from collections.abc import Iterable, Iterator, Mapping

from cluster.chain.entries import GRAPH_KINDS, PROXY_DEFAULTS, SERVICE_DEFAULTS, Body
from cluster.chain.protocol import proxies_protocol
from cluster.names import WILDCARD

from .index import (
    EXPORTS,
    INGRESS,
    INTENTIONS,
    Index,
    Key,
    exported_names,
    has_permissions,
    named_services,
)


def reached(index: Index, changes: Mapping[Key, Body | None]) -> set[str]:
    """The services whose chains, or what depends on them, these changes together may concern.

    `index` is what was before. That is enough: whoever leads somewhere only afterwards is changed too.
    """
    found = (_reached(index, key, index.get(*key), body) for key, body in changes.items())
    return {service for services in found for service in services}


def _reached(index: Index, key: Key, before: Body | None, after: Body | None) -> Iterator[str]:
    kind, name = key
    if kind in (*GRAPH_KINDS, SERVICE_DEFAULTS):
        yield from ancestors(index, name)
    elif kind == PROXY_DEFAULTS and proxies_protocol(before) != proxies_protocol(after):
        yield from everything(index)
    elif kind == INGRESS and after is not None:
        yield from named_services(after)
    elif kind == EXPORTS and after is not None:
        yield from _newly_exported(index, after)
    elif kind == INTENTIONS and after is not None and has_permissions(after):
        yield name


def ancestors(index: Index, service: str) -> set[str]:
    """The service and all whose chains may come by it."""
    found, waiting = {service}, [service]
    while waiting:
        heads = {name for kind, name in index.referrers(waiting.pop()) if kind in GRAPH_KINDS}
        waiting += heads - found
        found |= heads
    return found


def everything(index: Index) -> set[str]:
    """Every service whose chain is more than itself, or that an entry judges by its protocol."""
    ingress, intentions = index.of_kind(INGRESS).values(), index.of_kind(INTENTIONS).items()
    return {
        *heads(index),
        *(name for name, body in intentions if has_permissions(body)),
        *(name for body in ingress for name in named_services(body)),
    }


def heads(index: Index) -> set[str]:
    """The services that have an entry of the graph."""
    return {name for kind in GRAPH_KINDS for name in index.of_kind(kind)}


def _newly_exported(index: Index, body: Body) -> Iterable[str]:
    names = set(exported_names(body))
    return heads(index) if WILDCARD in names else names & heads(index)
