"""One snapshot from the wanted state, and what of that state it had to leave out.

Belongs here: putting the sections together and asking whether they are whole. Never here: the sections
themselves, each of which has its module.

What is wrong in the wanted state is left out and told; it does not keep the rest from being published. A
registration that makes no sense must not hold up the withdrawal of a permission.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cluster.errors import Problem, SnapshotRejected
from cluster.snapshot import Policy, Snapshot, Trust, problems
from coordinator.store.state import State

from .catalog import TABLES as CATALOG_TABLES
from .catalog import Catalog, instances
from .linking import gateway_services
from .listeners import listeners
from .policy import policy
from .routes import routes


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
    return _compose(state, Catalog(instances(state)), rules, trust)


class Composer:
    """`compose` again and again: the catalog, half of the work, is only read again when it has changed."""

    def __init__(self, *, default_allow: bool, clock: Callable[[], float]) -> None:
        """`clock` tells seconds since 1970."""
        self._default_allow = default_allow
        self._clock = clock
        self._catalog: tuple[tuple[int, ...], Catalog] | None = None

    def __call__(self, state: State, trust: Trust) -> Composed:
        """As `compose`. The states are those of one store, later ones after earlier ones."""
        indexes = tuple(state.table_index(table) for table in CATALOG_TABLES)
        if self._catalog is None or self._catalog[0] != indexes:
            self._catalog = (indexes, Catalog(instances(state)))
        rules = policy(state, default_allow=self._default_allow, now=self._clock())
        return _compose(state, self._catalog[1], rules, trust)


def _compose(state: State, catalog: Catalog, rules: Policy, trust: Trust) -> Composed:
    listening, unheard = listeners(state)
    served = routes(state, catalog, gateway_services(state, catalog), trust)
    snapshot = Snapshot(
        trust=trust,
        listeners=listening,
        terminating=served.terminating,
        mesh=served.mesh,
        endpoints=served.endpoints,
        policy=rules,
    )
    if found := problems(snapshot):
        raise SnapshotRejected(found)
    return Composed(snapshot=snapshot, problems=(*unheard, *served.problems))
