"""Intentions grouped by destination, so that a policy for one service does not walk all of them.

Belongs here: the grouping. Never here: what an intention means (`cluster.intentions`, `cluster.authorize`).
"""

from cluster.authorize import DestinationPolicy
from cluster.intentions import Intention, covers
from cluster.names import WILDCARD, ServiceName
from cluster.snapshot import Policy


class RulesByDestination:
    """Asked for the linked services when a view is compiled, and for others that have live connections."""

    def __init__(self, policy: Policy) -> None:
        self._default_allow = policy.default_allow
        self._exact: dict[ServiceName, list[Intention]] = {}
        self._wild: list[Intention] = []
        for rule in policy.intentions:
            name = rule.destination
            if WILDCARD in (name.name, name.namespace):
                self._wild.append(rule)
            else:
                self._exact.setdefault(name, []).append(rule)

    def policy(self, destination: ServiceName) -> DestinationPolicy:
        """The intentions towards `destination`, compiled."""
        wild = (rule for rule in self._wild if covers(rule.destination, destination))
        rules = (*self._exact.get(destination, ()), *wild)
        return DestinationPolicy(destination, rules, default_allow=self._default_allow)
