"""What was decided for every request of a caller to one host, as a plan (`worker.http._plan`).

Belongs here: from a decision to a plan. Never here: deciding (`ingress_requests`).
"""

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from cluster.authorize import Permit
from cluster.names import ServiceName
from cluster.routes import Endpoint
from worker.gateways.inbound import Inbound
from worker.gateways.ingress_upstreams import kept
from worker.http import native
from worker.http.heads import Hop
from worker.telemetry.tally import Count
from worker.view.view import IngressHttp, IngressRoute, IngressTarget, IngressWay, View

if TYPE_CHECKING:
    from worker.http._plan import Lane, Plan


class Led(NamedTuple):
    """Where every request for one host is led by one view, whatever else it says, and who permitted that.

    `permits` are of instances in plain, each with its counter; the policy says the same of every request.
    """

    view: View
    host: bytes
    target: IngressTarget
    http: IngressHttp
    found: IngressWay
    route: IngressRoute
    permits: tuple[tuple[IngressTarget, Permit, Count], ...]
    by_service: dict[ServiceName, Permit]

    @property
    def permit(self) -> Permit | None:
        """What the register shows while such a request is under way to the target."""
        if self.target.plaintext:
            return self.by_service[self.target.service]
        return self.permits[-1][1] if self.permits else None


def plan_of(inbound: Inbound, hop: Hop, led: Led) -> "Plan | None":
    """None where a request takes more than choosing an endpoint."""
    way, target = led.found.way, led.target
    if led.http.http2 or way.retries is not None or way.response_headers:
        return None
    world, picker = inbound.world, led.found.up[0][1]
    seconds = way.request_timeout_seconds
    return native.plan.Plan(
        current=world.current,
        made_of=led,
        host=led.host,
        service=target.service,
        hop=hop,
        believes=False,
        timeout_seconds=float("inf") if seconds is None else seconds,
        meters=led.http.meters,
        make_lane=partial(_lane, inbound, led),
        endpoint=_only(target),
        draw=partial(picker.pick, world.chance),
        permit=led.permit,
        counted=tuple(count for _, _, count in led.permits),
        register=target.standings.register,
        standings=target.standings,
        failed=partial(_failed, inbound, target),
    )


def _only(target: IngressTarget) -> Endpoint | None:
    """The endpoint that any picker gives."""
    healthy = tuple(islice((one for one in target.endpoints if one.healthy), 2))
    return healthy[0] if len(healthy) == 1 else None


def _lane(inbound: Inbound, led: Led, endpoint: Endpoint) -> "Lane":
    key, made_with = kept(inbound.entry.gateway, led.route, led.target)(endpoint)
    return native.plan.Lane(
        endpoint=endpoint,
        host=None,
        pools=inbound.world.pools,
        key=key,
        made_with=made_with,
        room=led.target.room,
        limits=led.target.limits,
    )


def _failed(inbound: Inbound, target: IngressTarget, endpoint: Endpoint) -> None:
    world = inbound.world
    target.standings.failed(endpoint, world.clock(), world.chance)
