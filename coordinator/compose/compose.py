"""One snapshot from the wanted state, or all the reasons why there is none.

Belongs here: putting the sections together and asking whether they are whole. Never here: the sections
themselves, each of which has its module.
"""

from cluster.errors import SnapshotRejected
from cluster.snapshot import Snapshot, Trust, problems
from coordinator.store.state import State

from .catalog import Catalog, instances
from .linking import gateway_services
from .listeners import listeners
from .policy import policy
from .routes import routes


def compose(state: State, *, default_allow: bool, trust: Trust) -> Snapshot:
    """What the gateways of `trust.datacenter` serve; equal states give equal snapshots.

    Raises `SnapshotRejected` with every problem when it is not whole, so that the last one stands.
    """
    catalog = Catalog(instances(state))
    listening, unheard = listeners(state)
    served = routes(state, catalog, gateway_services(state, catalog), trust)
    snapshot = Snapshot(
        trust=trust,
        listeners=listening,
        terminating=served.terminating,
        mesh=served.mesh,
        endpoints=served.endpoints,
        policy=policy(state, default_allow=default_allow),
    )
    if found := (*unheard, *problems(snapshot)):
        raise SnapshotRejected(found)
    return snapshot
