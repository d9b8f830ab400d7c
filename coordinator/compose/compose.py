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
from cluster.snapshot import EndpointSet, Policy, Snapshot, Trust, problems
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

from .catalog import TABLES as CATALOG_TABLES
from .catalog import Catalog, instances
from .ingress import ingress
from .linking import gateway_services, gateways_by_service
from .listeners import listeners
from .policy import KIND as _INTENTION_KIND
from .policy import Policies, policy
from .routes import Routes, routes

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
    rules = policy(state, default_allow=default_allow, now=now)
    return _composed(_served(state, Catalog(instances(state)), trust), rules, trust)


class Composer:
    """`compose` again and again: catalog, routes and rules are each made again only when they changed."""

    def __init__(self, *, default_allow: bool, clock: Callable[[], float]) -> None:
        """`clock` tells seconds since 1970."""
        self._clock = clock
        self._policies = Policies(default_allow=default_allow)
        self._catalog: tuple[object, Catalog] | None = None
        self._made: tuple[object, _Served] | None = None
        self._rules: tuple[int, float, Policy] | None = None

    def __call__(self, state: State, trust: Trust) -> Composed:
        """As `compose`. The states are those of one store, later ones after earlier ones."""
        return _composed(self._served(state, trust), self._policy(state), trust)

    def _policy(self, state: State) -> Policy:
        index, now = state.table_index(ENTRIES), self._clock()
        if self._rules is None or self._rules[0] != index or now >= self._rules[1]:
            rules = self._policies.of(state, now)
            self._rules = (index, next_expiry(rules.intentions), rules)
        return self._rules[2]

    def _served(self, state: State, trust: Trust) -> "_Served":
        indexes = tuple(state.table_index(table) for table in CATALOG_TABLES)
        if self._catalog is None or self._catalog[0] != indexes:
            self._catalog = (indexes, Catalog(instances(state)))
        seen = (indexes, _age_of_others(state), trust)
        if self._made is None or self._made[0] != seen:
            self._made = (seen, _served(state, self._catalog[1], trust))
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


def _served(state: State, catalog: Catalog, trust: Trust) -> _Served:
    links = gateway_services(state, catalog)
    found = routes(state, catalog, links, trust)
    front = ingress(state, catalog, gateways_by_service(links), found.endpoints, trust)
    listening, unheard = listeners(state, front.gateways)
    return _Served(
        listeners=listening,
        routes=found,
        ingress=front.gateways,
        endpoints=tuple(sorted((*found.endpoints, *front.endpoints), key=lambda one: one.name)),
        problems=tuple(dict.fromkeys((*unheard, *found.problems, *front.problems))),
    )


def _composed(served: _Served, rules: Policy, trust: Trust) -> Composed:
    snapshot = Snapshot(
        trust=trust,
        listeners=served.listeners,
        terminating=served.routes.terminating,
        mesh=served.routes.mesh,
        ingress=served.ingress,
        endpoints=served.endpoints,
        policy=rules,
    )
    if found := problems(snapshot):
        raise SnapshotRejected(found)
    return Composed(snapshot=snapshot, problems=served.problems)
