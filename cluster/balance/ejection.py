"""Passive health: an endpoint that keeps failing gets no requests for a while.

Belongs here: what a failure or a success makes of an endpoint's standing, as a decision over values. Never
here: what counts as a failure (a gateway kind says so), or where standings are kept.

So many failures without a success between them, and the endpoint is out: the first time for the base time,
the next for twice that, up to five minutes. Each interval that it is back in place takes one of those times
off again. No more of a target's endpoints are out at once than the rules allow, but one always may be.
Source: consul-gateways.md 3.7; Envoy, "Outlier detection", consecutive 5xx and the ejection algorithm.
"""

import random
from dataclasses import dataclass, replace

import msgspec

#: Envoy's `max_ejection_time`.
LONGEST_SECONDS = 300.0


class PassiveHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Consul's `PassiveHealthCheck` with Envoy's defaults: after how many failures in a row, with which
    chance, how many of all at once, and for how long.
    """

    interval_seconds: float = 10.0
    max_failures: int = 5
    enforcing_percent: int = 100
    max_ejection_percent: int = 10
    base_ejection_seconds: float = 30.0


USUAL_HEALTH = PassiveHealth()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an endpoint has done lately. It is out until `out_until`, which is 0 for one that never was."""

    failures: int = 0
    ejections: int = 0
    out_until: float = 0.0

    def is_out(self, now: float) -> bool:
        return now < self.out_until


GOOD = Standing()


@dataclass(frozen=True, slots=True)
class Crowd:
    """The endpoints of a target: how many there are, and how many are out."""

    total: int
    out: int

    def may_lose_one(self, rules: PassiveHealth) -> bool:
        return self.out == 0 or (self.out + 1) * 100 <= rules.max_ejection_percent * self.total


def after_failure(
    standing: Standing, rules: PassiveHealth, crowd: Crowd, now: float, chance: random.Random
) -> Standing:
    """The standing after one more failure at `now`; what comes late to one that is out says nothing."""
    if standing.is_out(now):
        return standing
    failures = standing.failures + 1
    if failures < rules.max_failures:
        return replace(standing, failures=failures)
    if not crowd.may_lose_one(rules) or chance.random() * 100 >= rules.enforcing_percent:
        return replace(standing, failures=0)
    ejections = _still_held_against(standing, rules, now) + 1
    most = max(rules.base_ejection_seconds, LONGEST_SECONDS)
    seconds = min(rules.base_ejection_seconds * ejections, most)
    return Standing(ejections=ejections, out_until=now + seconds)


def after_success(standing: Standing) -> Standing:
    """The failures before it are forgotten, earlier ejections are not."""
    return replace(standing, failures=0)


def _still_held_against(standing: Standing, rules: PassiveHealth, now: float) -> int:
    """The ejections that have not been lived down."""
    intervals = (now - standing.out_until) // max(rules.interval_seconds, 0.001)
    return max(0, standing.ejections - int(intervals))
