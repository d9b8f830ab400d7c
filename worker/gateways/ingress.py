"""The ingress gateway: let a client from outside into the mesh, under the gateway's own name.

Belongs here: taking clients in, and listeners that carry bytes. Never here: requests (`ingress_requests`),
how a certificate is checked (`worker.tls`) or what an intention means (`cluster.authorize`).

Into the mesh it is a caller as any other: it shows its own leaf, and whoever answers has to be the service.
Whether it may come in is the destination's to decide. An instance that is dialled in plain has nobody to do
that, so there the gateway decides, and then dials.
"""

from contextlib import ExitStack

import trio

from cluster.authorize import Permit, authorize
from cluster.errors import Refused, UpstreamFault
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.gateways import ingress_requests, steps
from worker.gateways.inbound import Inbound
from worker.gateways.joining import join
from worker.net.leg import Leg, PlainLeg, reset
from worker.net.refuse import refuse
from worker.tls.alerts import Description, alert
from worker.tls.handshake import accept
from worker.tls.leg import TlsLeg
from worker.view.outside_tls import OutsideTls
from worker.view.view import IngressRoute, IngressTarget, IngressView


async def serve(inbound: Inbound, view: IngressView) -> End:
    """Carry one connection from outside to an instance of the listener's service, or its requests."""
    await trio.lowlevel.checkpoint_if_cancelled()
    if view.is_http:
        return await _serve_requests(inbound, view)
    enter = _enter_in_tls if view.is_tls else _enter
    client, route = await enter(inbound, view)
    with ExitStack() as places:
        try:
            upstream = await _reach(inbound, view, route, places)
        except Refused as refused:
            if refused.end is End.DENIED and isinstance(client, PlainLeg):
                reset(inbound.sock)  # an orderly end would look like an empty answer
            raise
        return await steps.relay(inbound, client, upstream)


async def _serve_requests(inbound: Inbound, view: IngressView) -> End:
    """Which service is meant, each request says; the name that TLS asks for only chooses a certificate."""
    if not view.is_tls:
        return await ingress_requests.serve(inbound, PlainLeg(inbound.sock), view)
    hello = await steps.hello(inbound)
    route = view.route(hello.server_name)
    own = route if route is not None and route.files is not None else None
    tls = own.tls if own is not None else view.tls
    if tls is None:
        raise await steps.no_route(inbound, hello.server_name)
    inbound.entry.server_name = hello.server_name
    client = await _accept(inbound, tls)
    return await ingress_requests.serve(inbound, client, view, own.files if own else None)


async def _enter(inbound: Inbound, view: IngressView) -> tuple[Leg, IngressRoute]:
    """Nothing is read: whoever answers may speak first."""
    if view.only is None:
        reset(inbound.sock)
        raise Refused(End.NO_ROUTE, "the gateway has no certificate yet, or serves nothing here")
    _routed(inbound, view, view.only, "")
    return PlainLeg(inbound.sock), view.only


async def _enter_in_tls(inbound: Inbound, view: IngressView) -> tuple[Leg, IngressRoute]:
    hello = await steps.hello(inbound)
    route = view.route(hello.server_name)
    if route is None:
        raise await steps.no_route(inbound, hello.server_name)
    _routed(inbound, view, route, hello.server_name)
    assert route.tls is not None
    return await _accept(inbound, route.tls), route


def _routed(inbound: Inbound, view: IngressView, route: IngressRoute, server_name: str) -> None:
    inbound.entry.caller = view.source
    inbound.entry.routed(route.service, server_name, route.meters)


async def _accept(inbound: Inbound, tls: OutsideTls) -> TlsLeg:
    world = inbound.world
    inbound.entry.state = "handshake"
    started = world.clock()
    try:
        context = tls.context()
    except Refused:
        await refuse(inbound.sock, alert(Description.INTERNAL_ERROR))
        raise
    client = await accept(
        inbound.sock, context, timeout_seconds=world.settings.limits.handshake_timeout_seconds
    )
    world.metrics.handshake_seconds.observe(world.clock() - started)
    return client


async def _reach(
    inbound: Inbound, view: IngressView, route: IngressRoute, places: ExitStack
) -> Leg:
    """The way in: to the first target with a healthy instance, then to its stand-ins.

    Whose instances are all out for their failures is the last resort.
    """
    fault: Refused | UpstreamFault = Refused(
        End.NO_ENDPOINT, f"no instance of {route.service} is healthy"
    )
    now = inbound.world.clock()
    healthy = tuple(target for target in route.targets if target.has_healthy)
    for target in tuple(one for one in healthy if one.in_place(now)) or healthy:
        places.enter_context(target.room.flow(target.limits))
        try:
            return await _dial(inbound, view, route, target)
        except UpstreamFault as error:
            places.close()
            fault = error
    raise fault


async def _dial(
    inbound: Inbound, view: IngressView, route: IngressRoute, target: IngressTarget
) -> Leg:
    world, entry = inbound.world, inbound.entry
    entry.service, entry.permit = target.service, None
    permit = _permit(inbound, view, target) if target.plaintext else None
    started = world.clock()

    def failed(endpoint: Endpoint) -> None:
        target.standings.failed(endpoint, world.clock(), world.chance)

    sock, endpoint = await steps.dial(
        inbound,
        target.in_place(started) or target.endpoints,
        target.connect_timeout_seconds,
        failed,
    )
    try:
        leg = await join(inbound, route, target, sock, endpoint, permit)
        if isinstance(leg, TlsLeg):
            steps.rely(inbound, leg)
    except BaseException as error:
        sock.close()
        if isinstance(error, UpstreamFault):
            failed(endpoint)
        raise
    target.standings.succeeded(endpoint)
    world.metrics.upstream_connect_seconds.observe(world.clock() - started)
    return leg


def _permit(inbound: Inbound, view: IngressView, target: IngressTarget) -> Permit:
    """Ask the policy of this moment, and write the answer down before anything can be awaited.

    So a change of policy that comes later finds the permit in the register. Raises `Refused` (denied).
    """
    world, entry = inbound.world, inbound.entry
    started = world.clock()
    current = world.current.view
    answer = authorize(current.policy_of(target.service), view.own_uri, current.trust_domain)
    entry.decided(answer, current.generation)
    world.metrics.decisions.counter(
        current, entry.gateway, target.service, answer.source, isinstance(answer, Permit)
    ).inc()
    world.metrics.authorize_seconds.observe(world.clock() - started)
    if not isinstance(answer, Permit):
        raise Refused(End.DENIED, answer.reason)
    return answer
