"""Which live connections a policy would end.

Belongs here: judging what nodes tell of their connections. Never here: asking them, or ending anything
(`worker.live.revoked` does, by the same question).
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from cluster.authorize import DestinationPolicy
from cluster.names import ServiceName, written_service

Policies = Callable[[ServiceName], DestinationPolicy]


def would_close(
    connections: Iterable[Mapping[str, Any]], policy_of: Policies
) -> tuple[Mapping[str, Any], ...]:
    """Those of `lockgate connections list` whose permission would be gone.

    A connection without a source was not decided about here: a mesh gateway passes it on to somebody who
    does.
    """
    policy = cache(policy_of)
    return tuple(one for one in connections if one.get("source") and not _allowed(one, policy))


def _allowed(connection: Mapping[str, Any], policy_of: Policies) -> bool:
    destination = written_service(str(connection.get("destination", "")))
    return policy_of(destination).decide(written_service(str(connection["source"]))).allowed
