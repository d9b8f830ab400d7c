"""The entries that chains are made of, by kind and name.

Belongs here: how the compiler asks for an entry. Never here: where they are kept.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

Body: TypeAlias = Mapping[str, Any]
#: The stored body of an entry, or None if there is none: `entries("service-router", "web")`.
Entries: TypeAlias = Callable[[str, str], Body | None]

ROUTER = "service-router"
SPLITTER = "service-splitter"
RESOLVER = "service-resolver"
SERVICE_DEFAULTS = "service-defaults"
PROXY_DEFAULTS = "proxy-defaults"
GLOBAL = "global"
#: Kinds that make a service's chain more than the service itself.
GRAPH_KINDS = (ROUTER, SPLITTER, RESOLVER)


def entries_of(bodies: Iterable[Body]) -> Entries:
    """These entries, to be asked for by kind and name."""
    known = {(body["Kind"], body["Name"]): body for body in bodies}
    return lambda kind, name: known.get((kind, name))
