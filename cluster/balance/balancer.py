"""A resolver's `LoadBalancer` as a value: the policy, its numbers, and what requests are hashed by.

Belongs here: reading it. Never here: choosing (`picker`), or hashing a request (`cluster.http.affinity`).
Source: consul-gateways.md 6.6.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Any, TypeAlias

import msgspec

from cluster.durations import parse_duration

Fields: TypeAlias = Mapping[str, Any]

MINIMUM_RING_SIZE = 1024
MAXIMUM_RING_SIZE = 8 * 1024 * 1024
CHOICES = 2


@unique
class LoadBalancing(StrEnum):
    """How an endpoint is chosen; the values are Consul's, and unset is `round_robin`."""

    ROUND_ROBIN = "round_robin"
    LEAST_REQUEST = "least_request"
    RANDOM = "random"
    RING_HASH = "ring_hash"
    MAGLEV = "maglev"


class Balancer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The policy of a target's endpoints. `choices` are for `least_request`, ring sizes for `ring_hash`."""

    policy: LoadBalancing = LoadBalancing.ROUND_ROBIN
    minimum_ring_size: int = MINIMUM_RING_SIZE
    maximum_ring_size: int = MAXIMUM_RING_SIZE
    choices: int = CHOICES


@unique
class HashBy(StrEnum):
    """What of a request is hashed."""

    HEADER = "header"
    COOKIE = "cookie"
    QUERY = "query_parameter"
    SOURCE_IP = "source_ip"


class HashPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to hash. A cookie with an age (seconds) or `session` is given to clients that have none.

    `terminal` ends it here if there is a hash by now.
    """

    by: HashBy
    name: str = ""
    terminal: bool = False
    session: bool = False
    age_seconds: int = 0
    path: str = ""

    @property
    def gives_cookies(self) -> bool:
        return self.by is HashBy.COOKIE and (self.session or self.age_seconds > 0)


def balancer_of(spelled: Fields) -> Balancer:
    """The balancer of a `LoadBalancer` that is valid, or empty."""
    ring, least = spelled.get("RingHashConfig") or {}, spelled.get("LeastRequestConfig") or {}
    return Balancer(
        policy=LoadBalancing(spelled.get("Policy") or LoadBalancing.ROUND_ROBIN),
        minimum_ring_size=ring.get("MinimumRingSize") or MINIMUM_RING_SIZE,
        maximum_ring_size=ring.get("MaximumRingSize") or MAXIMUM_RING_SIZE,
        choices=least.get("ChoiceCount") or CHOICES,
    )


def hash_policies_of(spelled: Fields) -> tuple[HashPolicy, ...]:
    """What requests are hashed by, in order."""
    return tuple(_hash_policy(one) for one in spelled.get("HashPolicies") or ())


def _hash_policy(spelled: Fields) -> HashPolicy:
    terminal = bool(spelled.get("Terminal"))
    if spelled.get("SourceIP"):
        return HashPolicy(by=HashBy.SOURCE_IP, terminal=terminal)
    cookie = spelled.get("CookieConfig") or {}
    ttl = cookie.get("TTL")
    return HashPolicy(
        by=HashBy(spelled["Field"]),
        name=spelled.get("FieldValue") or "",
        terminal=terminal,
        session=bool(cookie.get("Session")),
        age_seconds=parse_duration(ttl) // 1_000_000_000 if ttl else 0,
        path=cookie.get("Path") or "",
    )
