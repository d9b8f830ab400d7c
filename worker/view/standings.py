"""How the endpoints of a target have done lately, and which of them are out for it.

Belongs here: the register of one worker, which a new view takes over for endpoints that stay. Never here: the
decision (`cluster.balance.ejection`), or what counts as a failure.

Nearly all endpoints are in good standing and are not in the register at all: a success costs a look into an
empty dict.
"""

import random
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

import structlog

from cluster.balance.ejection import (
    GOOD,
    Crowd,
    PassiveHealth,
    Standing,
    after_failure,
    after_success,
)
from cluster.balance.picker import NOBODY
from cluster.routes import Endpoint
from worker.telemetry.tally import Count

log = structlog.get_logger()

#: An endpoint, whatever its health and weight are now.
_Place = tuple[str, int]


@dataclass(slots=True)
class Register:
    """What is known of a target's endpoints; lives as long as the target."""

    standings: dict[_Place, Standing] = field(default_factory=dict)
    #: Nobody is out from this moment on.
    all_in_at: float = 0.0


class Standings:
    """The endpoints of one target under the rules of one view."""

    __slots__ = ("_endpoints", "_register", "_rules", "_told")

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        rules: PassiveHealth,
        register: Register | None = None,
        told: Count | None = None,
    ) -> None:
        """`told` counts ejections."""
        self._endpoints = {_place(one): one for one in endpoints}
        self._rules = rules
        self._register = register or Register()
        self._told = told

    @property
    def register(self) -> Register:
        """What is known, whatever the rules are: who asks it when nobody is out needs to ask no more."""
        return self._register

    def out(self, now: float) -> Container[Endpoint]:
        """The endpoints that get no requests now."""
        if now >= self._register.all_in_at:
            return NOBODY
        known = self._register.standings
        return {
            endpoint
            for place, endpoint in self._endpoints.items()
            if known.get(place, GOOD).is_out(now)
        }

    def succeeded(self, endpoint: Endpoint) -> None:
        known = self._register.standings
        if known:
            place = _place(endpoint)
            standing = known.get(place)
            if standing is not None and standing.failures:
                known[place] = after_success(standing)

    def failed(self, endpoint: Endpoint, now: float, chance: random.Random) -> None:
        """One more failure; what it leads to, the rules say."""
        place = _place(endpoint)
        if place not in self._endpoints:
            return  # of a view that is gone
        register, before = self._register, self._register.standings.get(place, GOOD)
        standing = after_failure(before, self._rules, self._crowd(now), now, chance)
        register.standings[place] = standing
        if standing.is_out(now) and not before.is_out(now):
            register.all_in_at = max(register.all_in_at, standing.out_until)
            self._tell(endpoint, standing.out_until - now)

    def _crowd(self, now: float) -> Crowd:
        known = self._register.standings
        out = sum(known.get(place, GOOD).is_out(now) for place in self._endpoints)
        return Crowd(len(self._endpoints), out)

    def _tell(self, endpoint: Endpoint, seconds: float) -> None:
        log.warning("an endpoint is out for its failures", endpoint=str(endpoint), seconds=seconds)
        if self._told is not None:
            self._told.inc()


class KeptStandings:
    """The registers of all targets, by a key that stays the same from view to view."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], Register] = {}
        self._used: set[tuple[str, ...]] = set()

    def of(
        self,
        key: tuple[str, ...],
        endpoints: Iterable[Endpoint],
        rules: PassiveHealth,
        told: Count,
    ) -> Standings:
        """Those of a target in a new view; what is known of endpoints that are there no more goes."""
        self._used.add(key)
        endpoints = tuple(endpoints)
        places = {_place(one) for one in endpoints}
        before = self._kept.get(key)
        if before is None:
            register = Register()
        else:
            kept = {p: s for p, s in before.standings.copy().items() if p in places}
            register = before if len(kept) == len(before.standings) else _cut(before, kept)
        self._kept[key] = register
        return Standings(endpoints, rules, register, told)

    def forget_others(self) -> None:
        """Forget all that were not asked for since the last time."""
        self._kept = {key: one for key, one in self._kept.items() if key in self._used}
        self._used = set()


def _cut(before: Register, kept: dict[_Place, Standing]) -> Register:
    return Register(standings=kept, all_in_at=before.all_in_at)


def _place(endpoint: Endpoint) -> _Place:
    return endpoint.address, endpoint.port
