"""Which services an entry leads requests to.

Belongs here: the names in routers, splitters and resolvers. Never here: whether they exist, or following
them.
"""

from collections.abc import Iterator, Mapping
from typing import Any


def leads_to(body: Mapping[str, Any]) -> frozenset[str]:
    """The other services that a router, a splitter or a resolver names; of other kinds none."""
    return frozenset(_named(body)) - {"", body.get("Name", "")}


def _named(body: Mapping[str, Any]) -> Iterator[str]:
    for route in body.get("Routes") or ():
        yield (route.get("Destination") or {}).get("Service", "")
    for split in body.get("Splits") or ():
        yield split.get("Service", "")
    yield (body.get("Redirect") or {}).get("Service", "")
    for failover in (body.get("Failover") or {}).values():
        yield failover.get("Service", "")
        for target in failover.get("Targets") or ():
            yield target.get("Service", "")
