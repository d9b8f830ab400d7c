"""What a view knows of intentions, and keeping what did not change.

Belongs here: the rules by destination, and the names that may be metric labels. Never here: what an intention
means (`cluster.intentions`).
"""

from collections.abc import Iterator
from operator import is_

from cluster.policies import RulesByDestination
from cluster.routes import MeshRoute
from cluster.shards import Parts, Sharded
from cluster.snapshot import Policy, Snapshot


class KeptRules:
    """The rules of the view before: only shards that changed are grouped again."""

    def __init__(self) -> None:
        self._policy: Policy | None = None
        self._rules: RulesByDestination | None = None

    def of(self, policy: Policy) -> RulesByDestination:
        """Those that have expired among them."""
        if self._rules is None or policy is not self._policy:
            self._policy, self._rules = policy, RulesByDestination(policy, self._rules)
        return self._rules


class KnownSources:
    """All names that policy or catalog know. The same object for as long as they are the same."""

    def __init__(self) -> None:
        self._made_of: tuple[object, ...] = ()
        self._names: frozenset[str] = frozenset()
        self._mesh: dict[int, tuple[tuple[MeshRoute, ...], frozenset[str]]] = {}

    def of(self, snapshot: Snapshot, rules: RulesByDestination) -> frozenset[str]:
        made_of = (snapshot.mesh, snapshot.terminating, snapshot.ingress, rules)
        if len(self._made_of) == len(made_of) and all(map(is_, made_of, self._made_of)):
            return self._names
        self._made_of = made_of
        parts = _parts(snapshot.mesh)
        self._mesh = {number: self._routes(number, part) for number, part in parts.items()}
        mesh = (names for _, names in self._mesh.values())
        found = rules.sources.union(*mesh, _gateways(snapshot))
        if found != self._names:
            self._names = found
        return self._names

    def _routes(
        self, number: int, part: tuple[MeshRoute, ...]
    ) -> tuple[tuple[MeshRoute, ...], frozenset[str]]:
        known = self._mesh.get(number)
        if known is not None and known[0] is part:
            return known
        return part, frozenset(str(route.service) for route in part)


def _parts(mesh: tuple[MeshRoute, ...]) -> Parts[MeshRoute]:
    return mesh.parts if isinstance(mesh, Sharded) else {0: mesh}


def _gateways(snapshot: Snapshot) -> Iterator[str]:
    for gateway in snapshot.terminating:
        for linked in gateway.routes:
            yield str(linked.service)
    for front in snapshot.ingress:
        yield front.name
