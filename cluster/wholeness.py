"""Whether a snapshot is whole: nothing refers to what is not there, no name or port is used twice.  ●

Belongs here: the reasons why one is not. Never here: its bytes (`cluster.sections`).
"""

from collections import Counter
from collections.abc import Iterator

import msgspec

from cluster.errors import Problem
from cluster.ingress.routes import IngressGateway
from cluster.routes import Listener
from cluster.snapshot import Snapshot

#: What is looked at: the policy refers to nothing, and nothing to it.
_FIELDS = tuple(field.name for field in msgspec.structs.fields(Snapshot) if field.name != "policy")


def problems(snapshot: Snapshot, before: Snapshot | None = None) -> tuple[Problem, ...]:
    """Why a snapshot is not whole: references without a target, names or ports used twice.

    Nothing is asked again of what is the same as in one `before` that was whole.
    """
    if before is not None and all(
        getattr(snapshot, name) is getattr(before, name) for name in _FIELDS
    ):
        return ()
    return (
        *_listener_problems(snapshot),
        *_reference_problems(snapshot),
        *_name_problems(snapshot),
        *_trust_problems(snapshot),
    )


def _listener_problems(snapshot: Snapshot) -> Iterator[Problem]:
    by_port: dict[tuple[str, int], list[Listener]] = {}
    for listener in snapshot.listeners:
        there = by_port.setdefault((listener.node, listener.port), [])
        yield from (clash(one, listener) for one in there if one.shares_place(listener))
        there.append(listener)


def clash(first: Listener, second: Listener) -> Problem:
    """Two gateways want one place."""
    return Problem(
        path="listeners",
        message=f"{first.kind} {first.gateway!r} and {second.kind} {second.gateway!r} both want port "
        f"{first.port} of {first.address or 'every address'} on node {first.node!r}",
    )


def _reference_problems(snapshot: Snapshot) -> Iterator[Problem]:
    sets = {endpoint_set.name for endpoint_set in snapshot.endpoints}
    for gateway in snapshot.terminating:
        for route in gateway.routes:
            if route.endpoints not in sets:
                yield Problem(
                    path=f"terminating.{gateway.name}",
                    message=f"service {route.service} refers to endpoints {route.endpoints!r}, "
                    "which are not there",
                )
    for mesh_route in snapshot.mesh:
        if mesh_route.endpoints not in sets:
            yield Problem(
                path="mesh",
                message=f"{mesh_route.server_name} refers to endpoints {mesh_route.endpoints!r}, "
                "which are not there",
            )
    for front in snapshot.ingress:
        for name in _sets_of(front):
            if name not in sets:
                yield Problem(
                    path=f"ingress.{front.name}",
                    message=f"it refers to endpoints {name!r}, which are not there",
                )


def _sets_of(gateway: IngressGateway) -> frozenset[str]:
    """The endpoint sets that the targets of an ingress gateway refer to."""
    return frozenset(
        name
        for listener in gateway.listeners
        for service in listener.services
        for target in service.targets
        for name in (target.endpoints, target.plaintext)
        if name
    )


def _name_problems(snapshot: Snapshot) -> Iterator[Problem]:
    for gateway in snapshot.terminating:
        names = Counter(name for route in gateway.routes for name in route.server_names)
        yield from _repeated(f"terminating.{gateway.name}", names)
    yield from _repeated("mesh", Counter(route.server_name for route in snapshot.mesh))
    yield from _repeated("terminating", Counter(g.name for g in snapshot.terminating))
    yield from _repeated("ingress", Counter(g.name for g in snapshot.ingress))
    for front in snapshot.ingress:
        ports = Counter(str(listener.port) for listener in front.listeners)
        yield from _repeated(f"ingress.{front.name}", ports)
    yield from _repeated("endpoints", Counter(s.name for s in snapshot.endpoints))


def _repeated(path: str, names: Counter[str]) -> Iterator[Problem]:
    for name, count in names.items():
        if count > 1:
            yield Problem(path=path, message=f"{name!r} is there {count} times")


def _trust_problems(snapshot: Snapshot) -> Iterator[Problem]:
    roots = snapshot.trust.bundle.roots
    if not roots:
        yield Problem(path="trust", message="there is no CA root")
    elif sum(root.active for root in roots) != 1:
        yield Problem(path="trust", message="exactly one CA root must be active")
