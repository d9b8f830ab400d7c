"""A caller's requests to one service: each decided about by itself, each sent to an instance of its own.

Decide, then dial: a way to an upstream is made with the permit, and by nothing else. The rules, the instances
and how they are reached are those of the moment, as a connection may stay for days.

Belongs here: what a gateway knows that HTTP does not: intentions, endpoints, pools, the register, metrics.
Never here: HTTP itself (`worker.http`).
"""

from array import array
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from cluster.authorize import Denied, Permit, authorize
from cluster.balance.limits import NO_LIMITS
from cluster.errors import Refused, UpstreamFault
from cluster.http import DEFAULT_NORMALISATION, Request, Verified, authorize_request
from cluster.http.affinity import NO_AFFINITY, Affinity
from cluster.http.retries import Outcome
from cluster.http.verify import NOTHING_ASKED
from cluster.intentions import Decision
from cluster.pick import candidates
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.dial import Address
from worker.entry import Entry
from worker.gateways import pooled, steps, tokens
from worker.gateways.inbound import Inbound
from worker.gateways.multiplexed import Kept, place
from worker.gateways.request_plans import Led, key_of, own_name, plan_of
from worker.gateways.strands import converse
from worker.http import answers, native
from worker.http.answers import Answer
from worker.http.asking import Place
from worker.http.backend import Unserved
from worker.http.heads import Hop, Outgoing
from worker.http.limits import DEFAULT_LIMITS, HttpLimits
from worker.http.normal import normalised
from worker.http.planning import Carrying
from worker.http.pool import Upstream
from worker.http.requests import RequestHead
from worker.http.responses import ResponseHead
from worker.http.wire import Wire
from worker.net.leg import Leg, PlainLeg
from worker.relay.engine import DOWN, UP
from worker.telemetry.tally import Count
from worker.tls.leg import TlsLeg
from worker.view.view import Balanced, HttpTarget, TerminatingTarget, View

if TYPE_CHECKING:
    from worker.http._plan import Plan

#: From the view of a moment to what is served there now.
Find = Callable[[View], TerminatingTarget | None]

#: What was permitted goes on, though it is HTTP no more.
_SWITCHING = 101
#: What a caller is told whose request found no upstream, by the ending that a connection would have had.
FAILED = {
    End.NO_ENDPOINT: answers.NO_HEALTHY_UPSTREAM,
    End.DIAL_REFUSED: answers.CONNECT_FAILED,
    End.DIAL_TIMEOUT: answers.CONNECT_TIMEOUT,
    End.UPSTREAM_TLS: answers.TLS_FAILED,
    End.OVERLOAD: answers.OVERFLOW,
}


async def serve(inbound: Inbound, client: TlsLeg, find: Find) -> End:
    """Serve the requests of a caller that has proved who it is."""
    entry = inbound.entry
    entry.state = "http"
    entry.expires_at = client.peer_not_after
    steps.rely(inbound, client)
    wire = Wire(client, counting(inbound, DOWN))
    caller = _Caller(inbound, client, find)
    settings = inbound.world.settings.limits
    limits = HttpLimits(
        head_bytes=caller.head_bytes,
        idle_seconds=settings.idle_timeout_seconds or DEFAULT_LIMITS.idle_seconds,
    )
    return await converse(wire, caller, lambda one: _Caller(one, client, find), limits)


def counting(inbound: Inbound, direction: int) -> Callable[[int], None]:
    """Who is to be told of the bytes that moved."""
    counters = inbound.entry.flow.counters

    def count(moved: int) -> None:
        counters[direction] += moved

    return count


class _Caller:
    """Who calls, and what holds for its requests now; see `worker.http.conversation.Backend`."""

    def __init__(self, inbound: Inbound, client: TlsLeg, find: Find) -> None:
        self.inbound = inbound
        self.count_up = counting(inbound, UP)
        self._client = client
        self._find = find
        inbound.entry.recheck = self._is_still_permitted
        self._carried: tuple[RequestHead, float] | None = None
        self._verified = NOTHING_ASKED
        self._view: View | None = None
        self._target: TerminatingTarget | None = None
        self._answer: Permit | Denied
        self._asks_tokens = False
        self._hop: Hop
        self._way: _Way
        self._way_permit: Permit | None = None
        self._plan: Plan | None = None
        self._turns: Carrying | None = None
        self._allowed: Count
        self._denied: Count
        self._address = inbound.sock.getpeername()[0].encode()
        self._follow(inbound.world.current.view)

    @property
    def head_bytes(self) -> int:
        target = self._target
        return target.http.route.head_bytes if target and target.http else DEFAULT_LIMITS.head_bytes

    def judge(self, request: RequestHead) -> "Answer | _Way":
        """By the policy of this moment, which is written down before anything can be awaited."""
        view = self.inbound.world.current.view
        if view is not self._view:
            self._follow(view)
        target = self._target
        if target is None or target.http is None:
            return answers.GONE
        read = normalised(request, view.rules.normalisation)
        if isinstance(read, Answer):
            return read
        permit = self._permit(read)
        if permit is None:
            self._denied.inc()
            return answers.DENIED
        self._allowed.inc()
        balanced = target.http.balanced
        if self._verified is not NOTHING_ASKED or read is not request or balanced is not None:
            sent = tokens.onward(read, self._verified)
            affinity = NO_AFFINITY if balanced is None else self._affinity(read, balanced)
            return _Way(self, permit, target, target.http, self._hop, sent, affinity)
        if permit is not self._way_permit:
            self._way = _Way(self, permit, target, target.http, self._hop)
            self._way_permit = permit
        return self._way

    def _affinity(self, request: RequestHead, balanced: Balanced) -> Affinity:
        """Whom the request belongs to; the caller's address is that of its proxy."""
        if not balanced.affinities.are_any:
            return NO_AFFINITY
        chance = self.inbound.world.chance
        return balanced.affinities.of(request.as_judged(), self._address.decode(), chance)

    def _permit(self, request: RequestHead) -> Permit | None:
        entry, answer = self.inbound.entry, self._answer
        now = self.inbound.world.wall_clock() if self._asks_tokens else 0.0
        self._verified = NOTHING_ASKED
        if isinstance(answer, Permit):
            if self._asks_tokens:
                self._verified = self._tokens(request.as_judged(), now)
            entry.permit, self._carried = answer, (request, now)
            return answer
        decision = answer.decision
        if answer.source is None or decision is None or decision.rule is None:
            return None
        if not decision.rule.permissions or not self._is_permitted(request, now):
            return None
        permit = Permit(
            answer.source, answer.destination, Decision(allowed=True, rule=decision.rule)
        )
        entry.permit, self._carried = permit, (request, now)
        return permit

    def _is_permitted(self, request: RequestHead, now: float) -> bool:
        """What an intention with permissions says of this request, and of the tokens it had then."""
        view, answer, asked = self._view, self._answer, request.as_judged()
        assert view is not None
        self._verified = self._tokens(asked, now) if self._asks_tokens else NOTHING_ASKED
        policy = view.requests_of(answer.destination)
        return authorize_request(policy, answer.source, asked, self._verified.claims).allowed

    def _tokens(self, asked: Request, now: float) -> Verified:
        view = self._view
        assert view is not None
        return tokens.verified(view, view.requests_of(self._answer.destination), asked, now)

    def _is_still_permitted(self) -> bool:
        """What is carried now, after the rules have changed."""
        carried = self._carried or self._carried_by_plan()
        if carried is None:
            return True
        view = self.inbound.world.current.view
        if view is not self._view:
            self._follow(view)
        if self._target is not None and isinstance(self._answer, Permit):
            return True
        return self._is_permitted(*carried)

    def _carried_by_plan(self) -> tuple[RequestHead, float] | None:
        found = None if self._turns is None else self._turns.carried()
        if found is None:
            return None
        _, request, started = found
        world = self.inbound.world
        return request, world.wall_clock() - (world.clock() - started)

    def account(self) -> tuple[Entry, "array[int]"]:
        entry = self.inbound.entry
        return entry, entry.flow.counters

    def chance(self) -> int:
        return self.inbound.world.chance.getrandbits(64)

    def follow(self, turns: Carrying | None) -> None:
        self._turns = turns

    def plan(self) -> "Plan | None":
        view, target, answer = self._view, self._target, self._answer
        if view is not self.inbound.world.current.view or target is None or target.http is None:
            return None
        if not isinstance(answer, Permit) or self._asks_tokens:
            return None
        if view.rules.normalisation != DEFAULT_NORMALISATION:
            return None
        if self._plan is None:
            led = Led(answer, target, target.http, self._hop)
            self._plan = plan_of(self.inbound, led, self._allowed)
        return self._plan

    def led(
        self,
        made_of: object,
        request: RequestHead,
        started: float,
        endpoint: Endpoint,
        upstream: Upstream | None,
    ) -> "_Way":
        assert isinstance(made_of, Led)
        world = self.inbound.world
        self._carried = request, world.wall_clock() - (world.clock() - started)
        way = _Way(self, made_of.permit, made_of.target, made_of.http, made_of.hop)
        way.go_on(endpoint, upstream)
        return way

    def _follow(self, view: View) -> None:
        entry, client = self.inbound.entry, self._client
        self._view, self._way_permit, self._plan = view, None, None
        target = self._target = self._find(view)
        if target is None or target.http is None:
            self._target = None
            return
        answer = self._answer = authorize(
            view.policy_of(target.service), client.peer_uri, view.trust_domain
        )
        self._asks_tokens = view.tokens.are_asked_for
        entry.decided(answer, view.generation)
        counter = self.inbound.world.metrics.decisions.counter
        self._allowed = counter(view, entry.gateway, target.service, answer.source, True)
        self._denied = counter(view, entry.gateway, target.service, answer.source, False)
        self._hop = Hop(
            address=self._address,
            scheme=b"https",
            client_cert=_element(client, target.http.own_uri),
            replaces_cert=target.http.route.replaces_client_cert,
        )

    def answered(self, status: int, seconds: float) -> None:
        target = self._target
        if target is not None and target.http is not None:
            target.http.meters.requests(status).inc()
            target.http.meters.seconds.observe(seconds)
        if status != _SWITCHING:
            self._carried = None

    def is_leaving(self) -> bool:
        return self.inbound.world.live.is_leaving

    def waits(self, wake: Callable[[], object] | None) -> None:
        self.inbound.entry.waits(wake)


def _element(client: TlsLeg, own_uri: str) -> bytes:
    """What `X-Forwarded-Client-Cert` says of this caller (Envoy's format, without the certificate itself)."""
    peer = client.peer
    subject = peer.subject.replace("\\", "\\\\").replace('"', '\\"')
    parts = [f"By={own_uri}", f"Hash={peer.fingerprint}", f'Subject="{subject}"']
    parts += [f"URI={uri}" for uri in peer.uris]
    parts += [f"DNS={name}" for name in peer.dns_names]
    return ";".join(parts).encode("ascii", "replace")


class _Way:
    """One permitted request on its way out; see `worker.http.conversation.Way`."""

    __slots__ = (
        "_affinity",
        "_caller",
        "_drawn",
        "_entered",
        "_hop",
        "_http",
        "_ready",
        "_sent",
        "_target",
    )

    def __init__(
        self,
        caller: _Caller,
        permit: Permit,
        target: TerminatingTarget,
        http: HttpTarget,
        hop: Hop,
        sent: RequestHead | None = None,
        affinity: Affinity = NO_AFFINITY,
    ) -> None:
        """`sent` is the request as it goes on, where it is not as it came."""
        assert permit.destination == target.service
        self._caller = caller
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
        chance = self._caller.inbound.world.chance
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
        ready.moved = self._caller.count_up
        if self._http.balanced is not None:
            self._entered = endpoint

    def at_once(self) -> Upstream | None:
        self._ready = None
        if self._http.http2:
            return None
        endpoint = self._drawn = self._draw()
        found = None if endpoint is None else self._pooled(endpoint)
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
        chance, balanced = self._caller.inbound.world.chance, self._http.balanced
        if balanced is None:
            return self._target.ways.draw(chance)
        return balanced.picker.pick(chance, key=self._affinity.key)

    def _lead_to(self, upstream: Upstream) -> Upstream:
        self._caller.inbound.entry.endpoint = upstream.endpoint
        upstream.moved = self._caller.count_up
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
        inbound = self._caller.inbound
        found = await place(
            inbound,
            first,
            self._kept(),
            partial(self._leg, first),
            afresh=afresh,
            count=self._caller.count_up,
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
        return self._caller.inbound.world.pools.take(key_of(endpoint, self._target), made_with)

    async def _dial(self, first: Endpoint) -> Upstream:
        """`first`, then others; no request has been sent to any."""
        return await pooled.dial(
            self._caller.inbound, first, self._kept(), partial(self._leg, first)
        )

    async def _leg(self, first: Endpoint) -> tuple[Leg, Endpoint]:
        inbound, target = self._caller.inbound, self._target
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
        pools = self._caller.inbound.world.pools
        if reusable:
            pools.give(upstream)
        else:
            pools.drop(upstream)

    async def relay(self, client: Wire, upstream: Upstream) -> End:
        inbound = self._caller.inbound
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
