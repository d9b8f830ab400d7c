"""Intentions grouped by destination, so that a policy for one service does not walk all of them.

Belongs here: the grouping, a shard at a time: a shard that did not change is not grouped again. Never here:
what an intention means (`cluster.intentions`, `cluster.authorize`).
"""

import math
from dataclasses import dataclass

import msgspec

from cluster.authorize import DestinationPolicy
from cluster.http import Normalisation, RequestPolicy
from cluster.intentions import Intention, covers, in_force, next_expiry
from cluster.names import WILDCARD, ServiceName
from cluster.sections import rule_key
from cluster.shards import parts_of, shard_of
from cluster.snapshot import Policy


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """The rules of one shard."""

    part: tuple[Intention, ...]
    exact: dict[ServiceName, tuple[Intention, ...]]
    wild: tuple[Intention, ...]
    sources: frozenset[str]
    next_expiry: float


def _grouped(part: tuple[Intention, ...]) -> _Group:
    exact: dict[ServiceName, list[Intention]] = {}
    wild: list[Intention] = []
    for rule in part:
        name = rule.destination
        if WILDCARD in (name.name, name.namespace):
            wild.append(rule)
        else:
            exact.setdefault(name, []).append(rule)
    return _Group(
        part=part,
        exact={name: tuple(rules) for name, rules in exact.items()},
        wild=tuple(wild),
        sources=frozenset(str(rule.source) for rule in part),
        next_expiry=next_expiry(part),
    )


class RulesByDestination:
    """Asked for linked services when a view is compiled, for live connections, and by plans."""

    def __init__(self, policy: Policy, before: "RulesByDestination | None" = None) -> None:
        """Shards that are the same as those of `before` are taken from there."""
        self._policy = policy
        self._default_allow = policy.default_allow
        known = before._groups if before is not None else {}
        self._groups: dict[int, _Group] = {}
        for number, part in parts_of(policy.intentions, rule_key).items():
            group = known.get(number)
            is_same = group is not None and group.part is part
            self._groups[number] = group if group and is_same else _grouped(part)
        self._wild = tuple(rule for group in self._groups.values() for rule in group.wild)
        ends = (group.next_expiry for group in self._groups.values())
        self.next_expiry = min(ends, default=math.inf)

    @property
    def normalisation(self) -> Normalisation:
        """How a request is read before any of them is asked."""
        return self._policy.normalisation

    def at(self, now: float) -> "RulesByDestination":
        """The same without what has expired by `now`, in seconds since 1970."""
        if self.next_expiry > now:
            return self
        rules = in_force(self._policy.intentions, now)
        return RulesByDestination(msgspec.structs.replace(self._policy, intentions=rules))

    @property
    def sources(self) -> frozenset[str]:
        """The names of all sources that some rule has."""
        return frozenset().union(*(group.sources for group in self._groups.values()))

    def policy(self, destination: ServiceName) -> DestinationPolicy:
        """The intentions towards `destination`, compiled."""
        rules = self.towards(destination)
        return DestinationPolicy(destination, rules, default_allow=self._default_allow)

    def request_policy(self, destination: ServiceName) -> RequestPolicy:
        """The same for each request, where the destination speaks HTTP."""
        return RequestPolicy(
            destination,
            self.towards(destination),
            default_allow=self._default_allow,
            issuers={one.name: one.issuer for one in self._policy.providers},
        )

    def towards(self, destination: ServiceName) -> tuple[Intention, ...]:
        """The rules that cover `destination`, in no order that means anything."""
        wild = (rule for rule in self._wild if covers(rule.destination, destination))
        group = self._groups.get(shard_of(destination.name))
        return (*(group.exact.get(destination, ()) if group else ()), *wild)
