"""One permitted request of the mesh on its way out: an instance, a connection to it, and what that is told.

Belongs here: from a permit to a connection. Never here: permitting (`requests`), or HTTP itself
(`worker.http`).
"""

from collections.abc import Callable
from functools import partial

import msgspec

from cluster.authorize import Permit
from cluster.balance.limits import NO_LIMITS
from cluster.errors import Refused, UpstreamFault
from cluster.http.affinity import NO_AFFINITY, Affinity
from cluster.http.retries import Outcome
from cluster.pick import candidates
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.dial import Address
from worker.gateways import pooled, steps
from worker.gateways.inbound import Inbound
from worker.gateways.multiplexed import Kept, place
from worker.gateways.request_plans import key_of, own_name
from worker.http import answers, native
from worker.http.asking import Place
from worker.http.backend import Unserved
from worker.http.heads import Hop, Outgoing
from worker.http.pool import Upstream
from worker.http.requests import RequestHead
from worker.http.responses import ResponseHead
from worker.http.wire import Wire
from worker.net.leg import Leg, PlainLeg
from worker.view.view import HttpTarget, TerminatingTarget

#: What a caller is told whose request found no upstream, by the ending that a connection would have had.
FAILED = {
    End.NO_ENDPOINT: answers.NO_HEALTHY_UPSTREAM,
    End.DIAL_REFUSED: answers.CONNECT_FAILED,
    End.DIAL_TIMEOUT: answers.CONNECT_TIMEOUT,
    End.UPSTREAM_TLS: answers.TLS_FAILED,
    End.OVERLOAD: answers.OVERFLOW,
}


def counting(inbound: Inbound, direction: int) -> Callable[[int], None]:
    """Who is to be told of the bytes that moved."""
    counters = inbound.entry.flow.counters

    def count(moved: int) -> None:
        counters[direction] += moved

    return count


class Way:
    """One permitted request; see `worker.http.conversation.Way`."""

    __slots__ = (
        "_affinity",
        "_count_up",
        "_drawn",
        "_entered",
        "_hop",
        "_http",
        "_inbound",
        "_ready",
        "_sent",
        "_target",
    )

    def __init__(
        self,
        inbound: Inbound,
        count_up: Callable[[int], None],
        permit: Permit,
        target: TerminatingTarget,
        http: HttpTarget,
        hop: Hop,
        sent: RequestHead | None = None,
        affinity: Affinity = NO_AFFINITY,
    ) -> None:
        """`sent` is the request as it goes on, where it is not as it came."""
        assert permit.destination == target.service
        self._inbound = inbound
        self._count_up = count_up
        self._target = target
        self._http = http
        self._hop = hop
        self._sent = sent
        self._affinity = affinity
        self._entered: Endpoint | None = None
        self._drawn: Endpoint | None = None  # by `at_once`, for the next `connect`
        self._ready: Upstream | None = None

    @property
    def timeout_seconds(self) -> float:
        return self._http.route.request_timeout_seconds

    def head(self, request: RequestHead, endpoint: Endpoint) -> Outgoing:
        chance = self._inbound.world.chance
        return Outgoing(
            request=self._sent or request,
            hop=self._hop,
            host=own_name(self._http, endpoint) or request.host or str(endpoint).encode(),
            request_id=request_id_of(chance.getrandbits(128)),
        )

    def amend(self, response: ResponseHead) -> ResponseHead:
        given = self._affinity.cookies
        if not given:
            return response
        cookies = ((b"set-cookie", cookie.encode("latin-1")) for cookie in given)
        return msgspec.structs.replace(response, fields=(*response.fields, *cookies))

    def failed(self) -> None:
        """Nobody keeps score."""

    @property
    def may_repeat(self) -> bool:
        """Callers evaluate routes, and repeat by them."""
        return False

    def again(self, outcome: Outcome) -> float | None:
        return None

    def go_on(self, endpoint: Endpoint, ready: Upstream | None) -> None:
        """From where a plan has come: this choice, and a connection for which it has entered the room."""
        if ready is None:
            self._drawn = endpoint
            return
        self._ready = ready
        ready.moved = self._count_up
        if self._http.balanced is not None:
            self._entered = endpoint

    def at_once(self) -> Upstream | None:
        self._ready = None
        if self._http.http2:
            return None
        endpoint = self._drawn = self._draw()
        try:
            found = None if endpoint is None else self._pooled(endpoint)
        except UpstreamFault:
            return None  # `connect` meets the same, and tells
        if found is not None:
            self._drawn, self._ready = None, self._lead_to(found)
        return found

    async def connect(self, *, afresh: bool) -> Upstream | Place:
        ready, self._ready = self._ready, None
        if ready is not None and not afresh:
            return ready
        endpoint, self._drawn = self._drawn, None
        if endpoint is None:
            endpoint = self._draw()
        if endpoint is None:
            raise Unserved(answers.NO_HEALTHY_UPSTREAM)
        try:
            if self._http.http2:
                return await self._place(endpoint, afresh=afresh)
            found = None if afresh else self._pooled(endpoint)
            upstream = found or await self._dial(endpoint)
        except (UpstreamFault, Refused) as error:
            raise Unserved(FAILED[error.end]) from error
        return self._lead_to(upstream)

    def _draw(self) -> Endpoint | None:
        chance, balanced = self._inbound.world.chance, self._http.balanced
        if balanced is None:
            return self._target.ways.draw(chance)
        return balanced.picker.pick(chance, key=self._affinity.key)

    def _lead_to(self, upstream: Upstream) -> Upstream:
        self._inbound.entry.endpoint = upstream.endpoint
        upstream.moved = self._count_up
        self._enter(upstream.endpoint)
        return upstream

    def _enter(self, endpoint: Endpoint) -> None:
        """One more request is under way there, for who has fewest."""
        if self._http.balanced is not None:
            self._leave()
            self._http.balanced.room.enter(NO_LIMITS, endpoint)
            self._entered = endpoint

    def _leave(self) -> None:
        endpoint, self._entered = self._entered, None
        if endpoint is not None and self._http.balanced is not None:
            self._http.balanced.room.leave(endpoint)

    async def _place(self, first: Endpoint, *, afresh: bool) -> Place:
        inbound = self._inbound
        found = await place(
            inbound,
            first,
            self._kept(),
            partial(self._leg, first),
            afresh=afresh,
            count=self._count_up,
        )
        inbound.entry.endpoint = found.endpoint
        self._enter(found.endpoint)
        found.over = self._leave
        return found

    def _kept(self) -> Kept:
        """With the TLS context of before a handshake: one that is replaced meanwhile makes a connection that
        is not used again.
        """
        target, origination = self._target, self._target.origination
        made_with = origination.context() if origination else None
        return lambda endpoint: (key_of(endpoint, target), made_with)

    def _pooled(self, endpoint: Endpoint) -> Upstream | None:
        origination = self._target.origination
        made_with = origination.context() if origination else None
        return self._inbound.world.pools.take(key_of(endpoint, self._target), made_with)

    async def _dial(self, first: Endpoint) -> Upstream:
        """`first`, then others; no request has been sent to any."""
        return await pooled.dial(self._inbound, first, self._kept(), partial(self._leg, first))

    async def _leg(self, first: Endpoint) -> tuple[Leg, Endpoint]:
        inbound, target = self._inbound, self._target
        world = inbound.world
        others = (one for one in candidates(target.endpoints, world.chance) if one != first)
        order = {Address(host=one.address, port=one.port): one for one in (first, *others)}
        started = world.clock()
        sock, at = await world.dialer.connect(
            tuple(order), connect_timeout_seconds=target.connect_timeout_seconds
        )
        world.metrics.dial_seconds.observe(world.clock() - started)
        leg: Leg = PlainLeg(sock)
        try:
            if target.origination is not None:
                leg = await steps.originate(inbound, target.origination, sock, at.host)
        except BaseException:
            sock.close()
            raise
        world.metrics.upstream_connect_seconds.observe(world.clock() - started)
        return leg, order[at]

    def release(self, upstream: Upstream, *, reusable: bool) -> None:
        self._ready = None
        self._leave()
        pools = self._inbound.world.pools
        if reusable:
            pools.give(upstream)
        else:
            pools.drop(upstream)

    async def relay(self, client: Wire, upstream: Upstream) -> End:
        inbound = self._inbound
        try:
            return await steps.relay(inbound, client.leg, upstream.leg)
        finally:
            inbound.world.pools.forget(upstream.key)
            self._leave()


def request_id_of(bits: int) -> bytes:
    """A UUID of version 4 (RFC 9562): no secret, so any source of chance will do."""
    if native.is_built:
        return native.heads.uuid(bits)
    text = b"%032x" % (bits & ~(0xF << 76) & ~(0x3 << 62) | 4 << 76 | 2 << 62)
    return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
