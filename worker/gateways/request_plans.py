"""What was decided for every request of one caller of the mesh, as a plan (`worker.http._plan`).

Belongs here: from a decision to a plan. Never here: deciding (`requests`).
"""

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cluster.authorize import Permit
from cluster.routes import Endpoint
from worker.dial.literal import is_address
from worker.gateways.inbound import Inbound
from worker.http import native
from worker.http.heads import Hop
from worker.http.pool import Key
from worker.telemetry.tally import Count
from worker.view.view import HttpTarget, TerminatingTarget

if TYPE_CHECKING:
    from worker.http._plan import Lane, Plan


class Led(NamedTuple):
    """Where every request is led, and who permitted that."""

    permit: Permit
    target: TerminatingTarget
    http: HttpTarget
    hop: Hop


def plan_of(inbound: Inbound, led: Led, allowed: Count) -> "Plan | None":
    """None where a request takes more than choosing an endpoint."""
    target, http, balanced = led.target, led.http, led.http.balanced
    if http.http2 or (balanced is not None and balanced.affinities.are_any):
        return None
    world = inbound.world
    draw = target.ways.draw if balanced is None else balanced.picker.pick
    healthy = target.ways.shares
    return native.plan.Plan(
        current=world.current,
        made_of=led,
        host=None,
        service=target.service,
        hop=led.hop,
        believes=True,
        timeout_seconds=http.route.request_timeout_seconds,
        meters=http.meters,
        make_lane=partial(_lane, inbound, led),
        endpoint=healthy[0].endpoint if len(healthy) == 1 else None,
        draw=partial(draw, world.chance),
        counted=(allowed,),
    )


def _lane(inbound: Inbound, led: Led, endpoint: Endpoint) -> "Lane":
    target, balanced = led.target, led.http.balanced
    return native.plan.Lane(
        endpoint=endpoint,
        host=own_name(led.http, endpoint),
        pools=inbound.world.pools,
        key=key_of(endpoint, target),
        origination=target.origination,
        room=None if balanced is None else balanced.room,
    )


def own_name(http: HttpTarget, endpoint: Endpoint) -> bytes | None:
    """An instance with a name is asked by its name, unless the link says otherwise (spec 4.5)."""
    if http.route.rewrites_host and not is_address(endpoint.address):
        return endpoint.address.encode()
    return None


def key_of(endpoint: Endpoint, target: TerminatingTarget) -> Key:
    """By service, too: who waits for a connection may get one to another instance of the same service."""
    return endpoint.address, endpoint.port, (target.service, target.origination)
