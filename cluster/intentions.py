"""Intentions: precedence, order, and which rule decides between a source and a destination.

Belongs here: Consul's rules of evaluation, for one pair. Never here: fast lookup (`cluster.authorize`)
or where intentions are kept.

Source: Consul, "Service intentions", sections on precedence and match order.
"""

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum, unique
from typing import Any

import msgspec

from cluster.names import WILDCARD, ServiceName

#: An intention that does not end. One object, as msgspec leaves out a float only where it is its default.
NEVER = 0.0


@unique
class Action(StrEnum):
    ALLOW = "allow"
    DENY = "deny"


class Intention(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """May `source` talk to `destination`? Either by `action` (L4) or by `permissions` (L7).

    `permissions` are kept as the configuration entry spells them; they are enforced per request by
    whoever speaks HTTP, and count as deny where there is no request. `jwt` is the token that the entry
    asks of every request, on top of the permissions. From `expires_at` (seconds since 1970; `NEVER` is 0)
    the rule says nothing any more.
    """

    source: ServiceName
    destination: ServiceName
    action: Action = Action.DENY
    permissions: tuple[dict[str, Any], ...] = ()
    jwt: dict[str, Any] = {}
    description: str = ""
    sameness_group: str = ""
    expires_at: float = NEVER

    def has_expired(self, now: float) -> bool:
        """Whether the rule has ended by `now`, in seconds since 1970."""
        return 0.0 < self.expires_at <= now

    @property
    def precedence(self) -> int:
        return precedence(self.source, self.destination)

    @property
    def allows(self) -> bool:
        """What this rule says of a connection without a request: permissions count as deny."""
        return self.action is Action.ALLOW and not self.permissions


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, and the rule that gave it; no rule means the default policy."""

    allowed: bool
    rule: Intention | None = None

    @property
    def by_default(self) -> bool:
        return self.rule is None


def precedence(source: ServiceName, destination: ServiceName) -> int:
    """9 (both exact) down to 1; how exact the destination is weighs more than the source."""
    return 3 + 3 * _exact_parts(destination) - (2 - _exact_parts(source))


def with_token(rule: Intention, jwt: Mapping[str, Any] | None) -> Intention:
    """The rule of an entry that asks every request for a token, if it does.

    A rule that allows becomes one with permissions: who knows nothing of tokens lets nobody in by it.
    """
    if not jwt:
        return rule
    if rule.permissions:
        return msgspec.structs.replace(rule, jwt=dict(jwt))
    if rule.action is Action.DENY:
        return rule
    permission = {"Action": Action.ALLOW.value, "JWT": dict(jwt)}
    return msgspec.structs.replace(rule, permissions=(permission,))


def in_order(intentions: Iterable[Intention]) -> tuple[Intention, ...]:
    """Evaluation order: highest precedence first, ties by name so that the order is stable."""
    return tuple(sorted(intentions, key=_order))


def in_force(intentions: Iterable[Intention], now: float) -> tuple[Intention, ...]:
    """Those that have not expired, in the same order."""
    return tuple(rule for rule in intentions if not rule.has_expired(now))


def next_expiry(intentions: Iterable[Intention]) -> float:
    """When the first of them ends, in seconds since 1970; infinity if none does."""
    return min((rule.expires_at for rule in intentions if rule.expires_at), default=math.inf)


def covers(pattern: ServiceName, service: ServiceName) -> bool:
    """Whether a source or destination pattern covers a service (or a pattern no wider than itself).

    Peers and partitions must be equal: a local `*` never covers a service of a peer.
    """
    return (
        pattern.peer == service.peer
        and pattern.partition == service.partition
        and pattern.namespace in (service.namespace, WILDCARD)
        and pattern.name in (service.name, WILDCARD)
    )


def matching_destination(
    intentions: Iterable[Intention], destination: ServiceName
) -> tuple[Intention, ...]:
    """All that could apply to connections towards `destination`, in evaluation order."""
    return in_order(i for i in intentions if covers(i.destination, destination))


def matching_source(intentions: Iterable[Intention], source: ServiceName) -> tuple[Intention, ...]:
    """All that could apply to connections from `source`, in evaluation order."""
    return in_order(i for i in intentions if covers(i.source, source))


def evaluate(
    intentions: Iterable[Intention],
    source: ServiceName,
    destination: ServiceName,
    *,
    default_allow: bool,
    permissions_allow: bool = False,
) -> Decision:
    """The first matching rule decides, and none below it is asked.

    `permissions_allow` is for views that ask whether some request could pass.
    """
    for rule in matching_destination(intentions, destination):
        if covers(rule.source, source):
            allowed = permissions_allow if rule.permissions else rule.allows
            return Decision(allowed=allowed, rule=rule)
    return Decision(allowed=default_allow)


def _exact_parts(name: ServiceName) -> int:
    if name.namespace == WILDCARD:
        return 0
    return 1 if name.name == WILDCARD else 2


def _order(intention: Intention) -> tuple[int | str, ...]:
    source, destination = intention.source, intention.destination
    return (
        -intention.precedence,
        intention.sameness_group,
        source.peer,
        source.partition,
        source.namespace,
        source.name,
        destination.partition,
        destination.namespace,
        destination.name,
    )
