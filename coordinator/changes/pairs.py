"""Which pairs of services a change newly allows or denies.

Belongs here: comparing two policies over the services that are known. Never here: who is known, or deciding
about one pair (`cluster.authorize`).

Five thousand services make twenty-five million pairs. So only destinations whose rules changed are looked
at, and for each the sources that a rule names; all others are treated alike, and are asked for once. What
is listed is bounded; the totals are not.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice

import msgspec

from cluster.intentions import Intention
from cluster.names import WILDCARD, ServiceName
from cluster.policies import RulesByDestination
from cluster.snapshot import Policy

LISTED = 10_000
#: Stands for whoever is not named by any rule.
_ANYBODY = ServiceName(name=WILDCARD)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    source: str
    destination: str


class PairChanges(msgspec.Struct, frozen=True, kw_only=True):
    """The pairs, up to a bound, and how many there are."""

    newly_allowed: tuple[Pair, ...] = ()
    newly_denied: tuple[Pair, ...] = ()
    allowed_total: int = 0
    denied_total: int = 0


class _Found:
    """Pairs of one verdict, listed as far as there is room."""

    def __init__(self, room: int) -> None:
        self.pairs: list[Pair] = []
        self.total = 0
        self._room = room

    def add(self, sources: Iterable[ServiceName], count: int, destination: ServiceName) -> None:
        self.total += count
        room = max(self._room - len(self.pairs), 0)
        names = (str(source) for source in islice(sources, room))
        self.pairs += [Pair(source=name, destination=str(destination)) for name in names]


def pair_changes(
    before: Policy, after: Policy, known: Iterable[ServiceName], *, listed: int = LISTED
) -> PairChanges:
    """`known` are the services of this cluster; who is named by a rule is known too."""
    services = {name for name in (*known, *_named(before), *_named(after)) if not name.peer}
    local = dict.fromkeys(sorted(services))
    old, new = RulesByDestination(before), RulesByDestination(after)
    allowed, denied = _Found(listed), _Found(listed)
    for destination in sorted(_affected(before, after, local)):
        _compare(old, new, destination, local, {True: allowed, False: denied})
    return PairChanges(
        newly_allowed=tuple(allowed.pairs),
        newly_denied=tuple(denied.pairs),
        allowed_total=allowed.total,
        denied_total=denied.total,
    )


def _compare(
    before: RulesByDestination,
    after: RulesByDestination,
    destination: ServiceName,
    local: Collection[ServiceName],
    found: dict[bool, _Found],
) -> None:
    old, new = before.policy(destination), after.policy(destination)
    rules = (*before.towards(destination), *after.towards(destination))
    named = {rule.source for rule in rules if _is_exact(rule.source)}
    for source in sorted(named):
        allowed = new.decide(source).allowed
        if allowed != old.decide(source).allowed:
            found[allowed].add((source,), 1, destination)
    allowed = new.decide(_ANYBODY).allowed
    if allowed != old.decide(_ANYBODY).allowed:
        others = (one for one in local if one not in named)
        count = len(local) - sum(one in local for one in named)
        found[allowed].add(others, count, destination)


def _affected(before: Policy, after: Policy, local: Iterable[ServiceName]) -> Iterable[ServiceName]:
    """The destinations whose rules are not the same."""
    old, new = _by_destination(before), _by_destination(after)
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    if before.default_allow != after.default_allow or any(not _is_exact(name) for name in changed):
        return local
    return changed


def _by_destination(policy: Policy) -> dict[ServiceName, list[Intention]]:
    found: dict[ServiceName, list[Intention]] = {}
    for rule in policy.intentions:
        found.setdefault(rule.destination, []).append(rule)
    return found


def _named(policy: Policy) -> Iterator[ServiceName]:
    for rule in policy.intentions:
        yield from (name for name in (rule.source, rule.destination) if _is_exact(name))


def _is_exact(name: ServiceName) -> bool:
    return WILDCARD not in (name.name, name.namespace)
