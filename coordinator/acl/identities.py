"""Service and node identities: what a program needs to be a service in the mesh, or an agent of a node. Pure.

Belongs here: the rules that Consul makes of an identity. Never here: who bears one.
Source: Consul, "ACL policies", service identities and node identities.
"""

from .rights import Access
from .rules import Rule, Rules

_SEE_SERVICES = Rule(resource="service", access=Access.READ, is_prefix=True)
_SEE_NODES = Rule(resource="node", access=Access.READ, is_prefix=True)


def service_identity(name: str) -> Rules:
    """To be the service and its sidecar, and to discover all others."""
    return (
        Rule(resource="service", access=Access.WRITE, name=name),
        Rule(resource="service", access=Access.WRITE, name=f"{name}-sidecar-proxy"),
        _SEE_SERVICES,
        _SEE_NODES,
    )


def node_identity(name: str) -> Rules:
    """To register the node, and to discover services."""
    return (Rule(resource="node", access=Access.WRITE, name=name), _SEE_SERVICES)
