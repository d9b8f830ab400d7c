"""Which endpoint of a target a request goes to.

Belongs here: every load balancing policy as a picker, pure but for the place in a round. Never here: HTTP,
health, dialling. `cluster.pick` is the same question for connections, where only weights count.

    picker = picker_of(way.balancer, endpoints, active)       # once for each change of the endpoints
    endpoint = picker.pick(chance, key=key, without=ejected)  # None: 503
"""

from collections.abc import Sequence

from cluster.routes import Endpoint

from .balancer import (
    Balancer,
    HashBy,
    HashPolicy,
    LoadBalancing,
    balancer_of,
    hash_policies_of,
)
from .drawn import Drawn, LeastRequest
from .maglev import Maglev
from .picker import Active, Picker
from .ring import RingHash
from .rotation import RoundRobin

__all__ = [
    "Active",
    "Balancer",
    "HashBy",
    "HashPolicy",
    "LoadBalancing",
    "Picker",
    "balancer_of",
    "hash_policies_of",
    "picker_of",
]


def _idle(endpoint: Endpoint) -> int:
    return 0


def picker_of(balancer: Balancer, endpoints: Sequence[Endpoint], active: Active = _idle) -> Picker:
    """The picker of a target's endpoints; `active` counts requests, for `least_request`."""
    match balancer.policy:
        case LoadBalancing.ROUND_ROBIN:
            return RoundRobin(endpoints)
        case LoadBalancing.RANDOM:
            return Drawn(endpoints)
        case LoadBalancing.LEAST_REQUEST:
            return LeastRequest(endpoints, balancer.choices, active)
        case LoadBalancing.RING_HASH:
            return RingHash(endpoints, balancer.minimum_ring_size, balancer.maximum_ring_size)
        case LoadBalancing.MAGLEV:
            return Maglev(endpoints)
