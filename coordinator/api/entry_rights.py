"""What it takes to read and to write a configuration entry of each kind, as in Consul. Pure.

Belongs here: kind and name to rights. Never here: who has them. A kind that is not in the tables is read and
written with the right to the mesh.
"""

from collections.abc import Mapping
from typing import Any

from cluster.chain.references import leads_to
from coordinator.acl.rights import (
    Right,
    intention_read,
    intention_write,
    mesh_read,
    mesh_write,
    provider_read,
    service_read,
    service_write,
)

from .call import Rights

#: Entries of one service: who may write the service may write them.
_OF_A_SERVICE = ("service-defaults", "service-router", "service-splitter", "service-resolver")
_GATEWAYS = ("ingress-gateway", "terminating-gateway")
#: What every service in the mesh lives by, and so may be read by all.
_READ_BY_ALL = ("proxy-defaults", "mesh")


def entry_read(kind: str, name: str) -> Rights:
    if kind in _READ_BY_ALL:
        return ()
    if kind in (*_OF_A_SERVICE, *_GATEWAYS):
        return service_read(name)
    if kind == "jwt-provider":
        return provider_read
    return intention_read(name) if kind == "service-intentions" else mesh_read


def entry_write(kind: str, name: str, body: Mapping[str, Any] | None = None) -> Rights:
    """With the body, also the right to read each service that a chain is led to, as Consul asks."""
    if kind == "service-intentions":
        return intention_write(name)
    if kind not in _OF_A_SERVICE:
        return mesh_write
    return (service_write(name), *_led_to(body or {}))


def _led_to(body: Mapping[str, Any]) -> tuple[Right, ...]:
    return tuple(service_read(name) for name in sorted(leads_to(body)))
