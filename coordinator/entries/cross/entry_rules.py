"""What must hold of one entry next to others, without a chain.

Belongs here: JWT providers, names of gateways, permissive mutual TLS. Never here: rules that need a chain
(`service_rules`).
"""

from collections.abc import Iterator

from cluster.chain.entries import PROXY_DEFAULTS, SERVICE_DEFAULTS, Body
from cluster.errors import Problem

from .index import INGRESS, INTENTIONS, Index, Key, named_providers

JWT_PROVIDER = "jwt-provider"
TERMINATING = "terminating-gateway"
MESH = "mesh"


def entry_problems(index: Index, key: Key) -> tuple[Problem, ...]:
    """Everything that is wrong about an entry; nothing of one that is not there."""
    body = index.get(*key)
    if body is None:
        return ()
    kind, name = key
    found: Iterator[tuple[str, str]] = iter(())
    if kind == INTENTIONS:
        found = _providers(index, body)
    elif kind == TERMINATING:
        found = _clash(index, name)
    elif kind in (SERVICE_DEFAULTS, PROXY_DEFAULTS):
        found = _permissive(index, body)
    return tuple(
        Problem(path=f"{kind}/{name}: {path}" if path else f"{kind}/{name}", message=message)
        for path, message in found
    )


def _providers(index: Index, body: Body) -> Iterator[tuple[str, str]]:
    for path, provider in named_providers(body):
        if index.get(JWT_PROVIDER, provider) is None:
            yield path, f"JWT provider {provider} must exist"


def _clash(index: Index, name: str) -> Iterator[tuple[str, str]]:
    if index.get(INGRESS, name) is not None:
        yield "Name", f"an {INGRESS} and a {TERMINATING} cannot both have the name {name}"


def _permissive(index: Index, body: Body) -> Iterator[tuple[str, str]]:
    mesh = index.get(MESH, MESH) or {}
    if body.get("MutualTLSMode") == "permissive" and not mesh.get(
        "AllowEnablingPermissiveMutualTLS"
    ):
        message = "permissive needs AllowEnablingPermissiveMutualTLS = true in the mesh entry"
        yield "MutualTLSMode", message
