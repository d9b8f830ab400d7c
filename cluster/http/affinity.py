"""What keeps a client with an endpoint: a request hashed by a resolver's hash policies.

Belongs here: the hash of a request, and cookies that clients are given for it. Never here: choosing by it
(`cluster.balance`).

Each policy that finds something adds to the hash; one that is terminal ends it if there is a hash by then. No
hash at all leaves the choice to chance.
Source: consul-gateways.md 6.6; Envoy, `RouteAction.HashPolicy`.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from cluster.balance import HashBy, HashPolicy
from cluster.balance.hashing import BITS, hash64

from .cookies import cookie_value, set_cookie
from .criteria import header_value, parameter_value
from .request import Request, wire_text

_Finder: TypeAlias = Callable[[Request, str], str | None]
_MASK = (1 << BITS) - 1


@dataclass(frozen=True, slots=True)
class Affinity:
    """`key` is what to pick by, None for any; `cookies` are values of `Set-Cookie` for the response."""

    key: int | None = None
    cookies: tuple[str, ...] = ()


NO_AFFINITY = Affinity()


class Affinities:
    """The hash policies of a way, compiled."""

    __slots__ = ("_policies",)

    def __init__(self, policies: Iterable[HashPolicy]) -> None:
        self._policies = tuple((policy, _finder(policy)) for policy in policies)

    @property
    def are_any(self) -> bool:
        return bool(self._policies)

    def of(self, request: Request, source_ip: str, chance: random.Random) -> Affinity:
        """Whom a request belongs to. `chance` makes the cookie of a client that has none."""
        if not self._policies:
            return NO_AFFINITY
        key: int | None = None
        cookies: list[str] = []
        for policy, find in self._policies:
            value = find(request, source_ip)
            if value is None and policy.gives_cookies:
                value = f"{chance.getrandbits(BITS):016x}"
                cookies.append(_cookie(policy, value))
            if value is not None:
                key = _combined(key, hash64(value))
            if policy.terminal and key is not None:
                break
        return Affinity(key, tuple(cookies))


def _finder(policy: HashPolicy) -> _Finder:
    name = wire_text(policy.name)
    match policy.by:
        case HashBy.SOURCE_IP:
            return lambda _, source_ip: source_ip or None
        case HashBy.COOKIE:
            return lambda request, _: cookie_value(request.headers, name)
        case HashBy.QUERY:
            return lambda request, _: parameter_value(request.query, name)
        case HashBy.HEADER:
            value_of = header_value(name)
            return lambda request, _: value_of(request)


def _cookie(policy: HashPolicy, value: str) -> str:
    age = None if policy.session else policy.age_seconds
    return set_cookie(wire_text(policy.name), value, path=policy.path, max_age_seconds=age)


def _combined(key: int | None, found: int) -> int:
    """As Envoy does: order counts, and two equal values do not cancel out."""
    if key is None:
        return found
    return ((key << 1 | key >> (BITS - 1)) & _MASK) ^ found
