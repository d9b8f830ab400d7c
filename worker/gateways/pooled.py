"""Connections that a pool counts, dialled for one request and given back after it.

Belongs here: what gateway kinds share of that. Never here: choosing an endpoint, or dialling it and proving
who answers, which differ by kind; nor connections that carry many requests (`multiplexed`).
"""

from cluster.errors import Refused
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.gateways.inbound import Inbound
from worker.gateways.multiplexed import Dial, Kept
from worker.http.pool import Upstream


async def dial(inbound: Inbound, first: Endpoint, kept: Kept, connect: Dial) -> Upstream:
    """A new connection to `first`, or to where `connect` went on to. Raises `Refused` (overload) and what
    `connect` raises.
    """
    pools = inbound.world.pools
    key, made_with = kept(first)
    if not pools.may_dial(key):
        raise Refused(End.OVERLOAD, f"too many connections to {first}")
    try:
        leg, endpoint = await connect()
    except BaseException:  # cancelled or failed: it is counted no more
        pools.forget(key)
        raise
    if endpoint != first:
        pools.forget(key)
        key, made_with = kept(endpoint)
        pools.count(key)
    return Upstream(leg, endpoint, key, made_with)
