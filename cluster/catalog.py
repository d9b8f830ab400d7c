"""The catalog as values: service instances, their health, and the endpoints they become.

Belongs here: what an instance is, and whether it may get traffic. Never here: Consul's JSON shapes
(`coordinator.entries.services`), which instances a service has (`coordinator.compose.catalog`), or choosing
one endpoint (`cluster.pick`).

Source: Consul, "Catalog" and "Health" HTTP APIs.
"""

from collections.abc import Iterable
from enum import StrEnum, unique

import msgspec

from cluster.names import ServiceName
from cluster.routes import Endpoint

MAX_WEIGHT = 128


@unique
class Health(StrEnum):
    """A check's status, worst last; an instance is as well as the worst of its checks."""

    PASSING = "passing"
    WARNING = "warning"
    CRITICAL = "critical"


@unique
class Kind(StrEnum):
    """What an instance is."""

    TYPICAL = ""
    CONNECT_PROXY = "connect-proxy"
    MESH_GATEWAY = "mesh-gateway"
    TERMINATING_GATEWAY = "terminating-gateway"
    INGRESS_GATEWAY = "ingress-gateway"


_WORST_LAST = tuple(Health)


class Instance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One registered instance of a service, with its node's address and its own health."""

    node: str
    id: str
    service: ServiceName
    node_address: str
    kind: Kind = Kind.TYPICAL
    address: str = ""
    port: int = 0
    meta: dict[str, str] = {}
    weight_passing: int = 1
    weight_warning: int = 1
    native: bool = False
    proxied_service: str = ""
    health: Health = Health.PASSING

    @property
    def host(self) -> str:
        """The LAN address: the service's own, else its node's."""
        return self.address or self.node_address


def worst(statuses: Iterable[Health]) -> Health:
    """The health of something with these checks; without any it is healthy."""
    found = Health.PASSING
    for status in statuses:  # nearly all pass, of 25,000 in a composition
        if status is not found and _WORST_LAST.index(status) > _WORST_LAST.index(found):
            found = status
    return found


def endpoint(instance: Instance, *, only_passing: bool = False) -> Endpoint:
    """What a gateway needs to know of an instance: where, whether, how much.

    A critical check, a weight below 1, or (with `only_passing`) any check that does not pass, makes it
    unhealthy; its weight is then shown as 1. Weights end at 128.
    """
    warned = instance.health is Health.WARNING
    weight = instance.weight_warning if warned else instance.weight_passing
    healthy = instance.health is not Health.CRITICAL and weight >= 1
    if only_passing and instance.health is not Health.PASSING:
        healthy = False
    return Endpoint(
        address=instance.host,
        port=instance.port,
        healthy=healthy,
        weight=min(weight, MAX_WEIGHT) if weight >= 1 else 1,
    )
