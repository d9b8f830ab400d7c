"""The terminating gateway: prove who calls, then call the outside.

Belongs here: the sentence below. Never here: how a certificate is checked (`worker.tls`) or what an
intention means (`cluster.authorize`). Decide, then dial: `leave` cannot be called without a Permit.
"""

from functools import partial

import trio

from cluster.authorize import Permit, authorize
from cluster.errors import Ended, Refused
from cluster.reasons import End
from worker.gateways import express, requests, steps
from worker.gateways.inbound import Inbound
from worker.net.leg import Leg, PlainLeg
from worker.net.refuse import refuse
from worker.tls.handshake import accept, handshake_timeout
from worker.tls.leg import TlsLeg
from worker.tls.stepping import server_handshake
from worker.view.view import TerminatingTarget, TerminatingView, View


async def serve(inbound: Inbound, view: TerminatingView) -> End:
    """Carry one connection of a caller in the mesh to an instance outside it."""
    hello = await steps.hello(inbound)
    target = view.table.find(hello.server_name)
    if target is None:
        raise await steps.no_route(inbound, hello.server_name)
    inbound.entry.routed(target.service, hello.server_name, target.meters)
    client = await _accept(inbound, target)
    if target.http is not None:
        return await _serve_requests(inbound, client, view)
    permit = _permit(inbound, client, target)
    return await _go_on(inbound, permit, client, target)


async def _serve_requests(inbound: Inbound, client: TlsLeg, view: TerminatingView) -> End:
    """Each by the view of its moment: its endpoints and its policy may have changed."""
    place, server_name = (view.listener.address, view.listener.port), inbound.entry.server_name

    def find(now: View) -> TerminatingTarget | None:
        gateway = now.gateways.get(place)
        return gateway.table.find(server_name) if isinstance(gateway, TerminatingView) else None

    return await requests.serve(inbound, client, find)


async def _go_on(
    inbound: Inbound, permit: Permit, client: TlsLeg, target: TerminatingTarget
) -> End:
    upstream = await _leave(permit, inbound, target)
    return await steps.relay(inbound, client, upstream)


def serve_at_once(
    inbound: Inbound, server_name: str, hello_bytes: int, view: TerminatingView
) -> bool:
    """The same, with a task only where one is needed; False if that is at the very beginning."""
    target = view.table.find(server_name)
    if target is None:
        return False
    inbound.entry.routed(target.service, server_name, target.meters)
    steps.count_hello(inbound, 0.0, hello_bytes)
    inbound.entry.state = "handshake"
    caller = _Caller(inbound, target, view)
    inbound.entry.on_end(caller.ended)
    inbound.world.handshakes.begin(caller)
    return True


class _Caller:
    """A caller whose handshake is under way without a task."""

    __slots__ = ("_inbound", "_started", "_target", "_view", "handshake")

    def __init__(self, inbound: Inbound, target: TerminatingTarget, view: TerminatingView) -> None:
        self.handshake = server_handshake(inbound.sock, target.tls.context)
        self._inbound = inbound
        self._target = target
        self._view = view
        self._started = inbound.world.clock()

    def done(self) -> None:
        """Decide, then dial."""
        inbound, target = self._inbound, self._target
        world = inbound.world
        world.metrics.handshake_seconds.observe(world.clock() - self._started)
        client = self.handshake.leg()
        if target.http is not None:
            go_on = partial(_serve_requests, client=client, view=self._view)
            return inbound.frame.resume(inbound, go_on)
        try:
            permit = _permit(inbound, client, target)
        except Ended as ended:
            return inbound.frame.resume(inbound, partial(_end, ended))
        go_on = partial(_go_on, permit=permit, client=client, target=target)
        way = None if target.origination else express.way(inbound, target)
        if way is None:
            inbound.frame.resume(inbound, go_on)
        else:
            express.launch(inbound, client, target, way, go_on)

    def failed(self, error: Exception) -> None:
        self._inbound.frame.resume(self._inbound, partial(_turn_away, error))

    def too_slow(self) -> None:
        seconds = self._inbound.world.settings.limits.handshake_timeout_seconds
        self._inbound.frame.resume(self._inbound, partial(_end, handshake_timeout(seconds)))

    def ended(self) -> None:
        """Somebody ended this connection: its frame does the rest, and knows why."""
        self._inbound.world.handshakes.forget(self)
        self._inbound.frame.resume(self._inbound, partial(_end, Refused(End.INTERNAL)))


async def _end(error: Exception, _: Inbound) -> End:
    await trio.lowlevel.checkpoint()
    raise error


async def _turn_away(error: Exception, inbound: Inbound) -> End:
    """The alert has been sent: let it be read."""
    if isinstance(error, Ended):
        await refuse(inbound.sock, b"")
    raise error


async def _accept(inbound: Inbound, target: TerminatingTarget) -> TlsLeg:
    world = inbound.world
    inbound.entry.state = "handshake"
    started = world.clock()
    client = await accept(
        inbound.sock,
        target.tls.context,
        timeout_seconds=world.settings.limits.handshake_timeout_seconds,
    )
    world.metrics.handshake_seconds.observe(world.clock() - started)
    return client


def _permit(inbound: Inbound, client: TlsLeg, target: TerminatingTarget) -> Permit:
    """Ask the policy of this moment, and write the answer down before anything can be awaited.

    So a change of policy that comes later finds the permit in the register. Raises `Refused` (denied,
    no_route, root_distrusted).
    """
    world, entry = inbound.world, inbound.entry
    started = world.clock()
    view = world.current.view
    steps.rely(inbound, client)
    policy = view.policies.get(target.service)
    if policy is None:
        raise Refused(End.NO_ROUTE, f"{target.service} is no longer linked to this gateway")
    answer = authorize(policy, client.peer_uri, view.trust_domain)
    allowed = isinstance(answer, Permit)
    entry.decided(answer, view.generation)
    world.metrics.decisions.counter(
        view, entry.gateway, target.service, answer.source, allowed
    ).inc()
    world.metrics.authorize_seconds.observe(world.clock() - started)
    if not isinstance(answer, Permit):
        raise Refused(End.DENIED, answer.reason)
    entry.expires_at = client.peer_not_after
    return answer


async def _leave(permit: Permit, inbound: Inbound, target: TerminatingTarget) -> Leg:
    """The way out of the mesh; the permit is the proof that somebody decided."""
    assert permit.destination == target.service
    started = inbound.world.clock()
    sock, endpoint = await steps.dial(inbound, target.endpoints, target.connect_timeout_seconds)
    try:
        leg: Leg = PlainLeg(sock)
        if target.origination is not None:
            leg = await steps.originate(inbound, target.origination, sock, endpoint.address)
    except BaseException:
        sock.close()
        raise
    inbound.world.metrics.upstream_connect_seconds.observe(inbound.world.clock() - started)
    return leg
