"""One snapshot from the wanted state, and what of that state it had to leave out.

Belongs here: putting the sections together and asking whether they are whole. Never here: the sections
themselves, each of which has its module.

What is wrong in the wanted state is left out and told; it does not keep the rest from being published. A
registration that makes no sense must not hold up the withdrawal of a permission.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cluster.errors import Problem, SnapshotRejected
from cluster.ingress import IngressGateway
from cluster.intentions import next_expiry
from cluster.routes import Listener
from cluster.sections import in_shards
from cluster.snapshot import (
    EndpointSet,
    Policy,
    Snapshot,
    Trust,
)
from cluster.wholeness import problems
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES, SERVICES

from .catalog import Catalog
from .ingress import ingress
from .kept import KeptCatalog, KeptRoutes
from .linking import gateway_services, gateways_by_service
from .listeners import listeners
from .policy import KIND as _INTENTION_KIND
from .policy import Policies
from .routes import Routes, routes
from .subsets import age_of_what_filters_see

_INTENTIONS = f"{_INTENTION_KIND}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A snapshot, and why it is not all that was wanted."""

    snapshot: Snapshot
    problems: tuple[Problem, ...] = ()


def compose(state: State, *, default_allow: bool, trust: Trust, now: float = 0.0) -> Composed:
    """What the gateways of `trust.datacenter` serve; equal states give equal snapshots.

    Intentions that have expired by `now` (seconds since 1970) are left out.

    Raises `SnapshotRejected` with every problem when the result is not whole, which is a bug in here.
    """
    return Composer(default_allow=default_allow, clock=lambda: now)(state, trust)


class Composer:
    """`compose` again and again: of catalog, routes and rules only what changed is made again."""

    def __init__(self, *, default_allow: bool, clock: Callable[[], float]) -> None:
        """`clock` tells seconds since 1970."""
        self._clock = clock
        self._policies = Policies(default_allow=default_allow)
        self._catalog = KeptCatalog()
        self._routes = KeptRoutes()
        self._made: tuple[object, _Served] | None = None
        self._rules: tuple[int, float, Policy] | None = None
        self._last: Snapshot | None = None

    def __call__(self, state: State, trust: Trust) -> Composed:
        """As `compose`. The states are those of one store, later ones after earlier ones."""
        served = self._served(state, trust)
        snapshot = in_shards(_snapshot(served, self._policy(state), trust), self._last)
        if found := problems(snapshot, self._last):
            raise SnapshotRejected(found)
        self._last = snapshot
        return Composed(snapshot=snapshot, problems=served.problems)

    def _policy(self, state: State) -> Policy:
        index, now = state.table_index(ENTRIES), self._clock()
        if self._rules is None or self._rules[0] != index or now >= self._rules[1]:
            rules = self._policies.of(state, now)
            self._rules = (index, next_expiry(rules.intentions), rules)
        return self._rules[2]

    def _served(self, state: State, trust: Trust) -> "_Served":
        catalog = self._catalog.of(state)
        filtered = age_of_what_filters_see(state)
        seen = (catalog, state.table_index(SERVICES), _age_of_others(state), filtered, trust)
        if self._made is None or self._made[0] != seen:
            self._made = (seen, _served(state, catalog, trust, self._routes))
        return self._made[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """What a snapshot holds beside trust and intentions."""

    listeners: tuple[Listener, ...]
    routes: Routes
    ingress: tuple[IngressGateway, ...]
    endpoints: tuple[EndpointSet, ...]
    problems: tuple[Problem, ...]


def _age_of_others(state: State) -> tuple[int, int]:
    """Another value for other entries, those of intentions aside: how many, and when the last was written."""
    others = [
        record.modify_index
        for key, record in state.table(ENTRIES).items()
        if not key.startswith(_INTENTIONS)
    ]
    return len(others), max(others, default=0)


def _served(state: State, catalog: Catalog, trust: Trust, kept: KeptRoutes) -> _Served:
    links = gateway_services(state, catalog)
    found = routes(state, catalog, links, trust, kept)
    front = ingress(state, catalog, gateways_by_service(links), found.endpoints, trust)
    listening, unheard = listeners(state, front.gateways)
    return _Served(
        listeners=listening,
        routes=found,
        ingress=front.gateways,
        endpoints=tuple(sorted((*found.endpoints, *front.endpoints), key=lambda one: one.name)),
        problems=tuple(dict.fromkeys((*unheard, *found.problems, *front.problems))),
    )


def _snapshot(served: _Served, rules: Policy, trust: Trust) -> Snapshot:
    return Snapshot(
        trust=trust,
        listeners=served.listeners,
        terminating=served.routes.terminating,
        mesh=served.routes.mesh,
        ingress=served.ingress,
        endpoints=served.endpoints,
        policy=rules,
    )
