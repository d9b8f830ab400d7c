"""Intentions grouped by destination, so that a policy for one service does not walk all of them.

Belongs here: the grouping. Never here: what an intention means (`cluster.intentions`, `cluster.authorize`).
"""

import msgspec

from cluster.authorize import DestinationPolicy
from cluster.http import RequestPolicy
from cluster.intentions import Intention, covers, in_force, next_expiry
from cluster.names import WILDCARD, ServiceName
from cluster.snapshot import Policy


class RulesByDestination:
    """Asked for linked services when a view is compiled, for live connections, and by plans."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._default_allow = policy.default_allow
        self.next_expiry = next_expiry(policy.intentions)
        self._exact: dict[ServiceName, list[Intention]] = {}
        self._wild: list[Intention] = []
        for rule in policy.intentions:
            name = rule.destination
            if WILDCARD in (name.name, name.namespace):
                self._wild.append(rule)
            else:
                self._exact.setdefault(name, []).append(rule)

    def at(self, now: float) -> "RulesByDestination":
        """The same without what has expired by `now`, in seconds since 1970."""
        if self.next_expiry > now:
            return self
        rules = in_force(self._policy.intentions, now)
        return RulesByDestination(msgspec.structs.replace(self._policy, intentions=rules))

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
        return (*self._exact.get(destination, ()), *wild)
