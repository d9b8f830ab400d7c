"""A client's requests at an ingress gateway: each led by its host and the chain of the service found.

The listener, its routes and the instances are those of the moment, as a connection may stay for days. What a
client outside says of earlier hops is not believed: only `X-Forwarded-For` and `X-Request-Id` go on.

Belongs here: what a gateway knows that HTTP does not: routes, permissions, the register, metrics. Never here:
HTTP itself (`worker.http`), matching a request (`cluster.http.routing`), or upstreams (`ingress_upstreams`).
"""

from array import array
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from cluster.authorize import Permit
from cluster.http import Request, RequestDecision, Verified, authorize_request
from cluster.http.affinity import NO_AFFINITY
from cluster.http.target import DEFAULT_NORMALISATION
from cluster.http.verify import NOTHING_ASKED
from cluster.ingress import CertificateFiles
from cluster.intentions import Decision
from cluster.names import ServiceName
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.entry import Entry
from worker.gateways import tokens
from worker.gateways.inbound import Inbound
from worker.gateways.ingress_plans import Led, plan_of
from worker.gateways.ingress_upstreams import Upstreams
from worker.gateways.ingress_way import Way, believed, kept, sent_on
from worker.gateways.request_way import counting
from worker.gateways.strands import converse
from worker.http import answers
from worker.http.answers import Answer
from worker.http.heads import Hop
from worker.http.limits import DEFAULT_LIMITS, HttpLimits
from worker.http.normal import normalised
from worker.http.planning import Carrying
from worker.http.pool import Upstream
from worker.http.requests import RequestHead
from worker.http.wire import Wire
from worker.net.leg import Leg
from worker.relay.engine import DOWN
from worker.telemetry.metrics import RetryEnd
from worker.telemetry.tally import Count
from worker.view.view import (
    IngressHttp,
    IngressRoute,
    IngressTarget,
    IngressView,
    IngressWay,
    View,
)

if TYPE_CHECKING:
    from worker.http._plan import Plan

#: What was permitted goes on, though it is HTTP no more.
_SWITCHING = 101


async def serve(
    inbound: Inbound, client: Leg, view: IngressView, shown: CertificateFiles | None = None
) -> End:
    """Serve the requests of a client; `shown` is the certificate of one service that it was met with."""
    entry = inbound.entry
    entry.state, entry.caller = "http", view.source
    idle_seconds = inbound.world.settings.limits.idle_timeout_seconds
    limits = HttpLimits(idle_seconds=idle_seconds or DEFAULT_LIMITS.idle_seconds)
    wire, visitor = Wire(client, counting(inbound, DOWN)), _Visitor(inbound, view, shown)
    return await converse(wire, visitor, lambda one: _Visitor(one, view, shown), limits)


class _Carried(NamedTuple):
    """What is under way to an instance in plain, and since when (seconds since 1970)."""

    target: IngressTarget
    arriving: Request | RequestHead  # the latter where nothing of it is changed
    then: float


class _Known(NamedTuple):
    """What was answered last, and what follows from it; not whether it is answered again."""

    view: View
    target: IngressTarget
    decision: RequestDecision
    counted: Count
    permit: Permit | None

    def is_of(self, view: View, target: IngressTarget, decision: RequestDecision) -> bool:
        return self.view is view and self.target is target and self.decision is decision


class _Visitor:
    """A client, and what holds for its requests now; see `worker.http.conversation.Backend`."""

    def __init__(self, inbound: Inbound, view: IngressView, shown: CertificateFiles | None) -> None:
        self.inbound = inbound
        self._place = (view.listener.address, view.listener.port)
        self._source = view.source
        self._shown = shown
        self._served: IngressHttp | None = None
        self._carried: _Carried | None = None
        self._known: _Known | None = None
        self._last_led: Led | None = None
        self._plan: Plan | None = None
        self._turns: Carrying | None = None
        self._source_ip = str(inbound.sock.getpeername()[0])
        scheme = b"https" if view.is_tls else b"http"
        self.hop = Hop(address=self._source_ip.encode(), scheme=scheme, replaces_cert=True)
        inbound.entry.recheck = self._is_still_permitted

    def judge(self, request: RequestHead) -> Answer | Way:
        """By the view of this moment: host, route, share, target, and a permission where we give it."""
        led = self._last_led
        if led and led.view is self.inbound.world.current.view and led.host == request.host:
            return self._led_again(led, request)
        self._served = None
        view = self.inbound.world.current.view.gateways.get(self._place)
        if not isinstance(view, IngressView) or not view.is_http:
            return answers.GONE
        read = normalised(request, self.inbound.world.current.view.rules.normalisation)
        if isinstance(read, Answer):
            return read
        request, asked = read, read.as_judged()
        name = view.hosts.service(asked.host)
        route = view.routes.get(name) if name is not None else None
        if route is None or route.http is None:
            return answers.NOT_FOUND
        if view.is_tls and route.files != self._shown:
            return answers.MISDIRECTED
        return self._led(request, asked, route, route.http)

    def _led(
        self, request: RequestHead, asked: Request, route: IngressRoute, http: IngressHttp
    ) -> Answer | Way:
        entry = self.inbound.entry
        self._served = http
        if entry.meters is None:
            entry.routed(route.service, entry.server_name, route.meters)
        way = http.routes.way(asked, self.inbound.world.chance)
        if way is None:
            return answers.NOT_FOUND
        found = http.ways[id(way)]
        if not found.up:
            return answers.NO_HEALTHY_UPSTREAM
        target, _ = found.up[0]
        entry.service = target.service
        arriving = way.onward(believed(asked))
        verified = self._tokens(found, arriving)
        permits = dict(self._permits(found, arriving, verified))
        sent = tokens.onward(sent_on(request, arriving, found), verified)
        affinity = found.affinities.of(asked, self._source_ip, self.inbound.world.chance)
        self._last_led = self._always(request, route, http, found)
        upstreams = Upstreams(self.inbound, route, permits, self._carries)
        return Way(self, sent, found, affinity, upstreams)

    def _always(
        self, request: RequestHead, route: IngressRoute, http: IngressHttp, found: IngressWay
    ) -> Led | None:
        """What was decided, if nothing of it depends on more than the host."""
        view, way = self.inbound.world.current.view, found.way
        if way is not http.routes.only or found.affinities.are_any or view.tokens.are_asked_for:
            return None
        if view.rules.normalisation != DEFAULT_NORMALISATION:
            return None
        if way.rewrite is not None or way.request_headers:
            return None
        permits = []
        for target in (target for target, _ in found.up if target.plaintext):
            decision = view.requests_of(target.service).of_all(self._source)
            known = self._know(view, target, decision) if decision is not None else None
            if known is None or known.permit is None:
                return None
            permits.append((target, known.permit, known.counted))
        by_service = {target.service: permit for target, permit, _ in permits}
        target = found.up[0][0]
        return Led(view, request.host, target, http, found, route, tuple(permits), by_service)

    def _led_again(self, led: Led, request: RequestHead) -> Way:
        """The same for one more request."""
        for _, _, counted in led.permits:
            counted.inc()
        return self._way_of(led, request, self.inbound.world.wall_clock())

    def _way_of(self, led: Led, request: RequestHead, then: float) -> Way:
        """For one that was counted."""
        entry = self.inbound.entry
        self._served = led.http
        entry.service = led.target.service
        for target, permit, _ in led.permits:
            entry.decided(permit, led.view.generation)
            self._carried = _Carried(target, request, then)
        sent = request if not request.forwarded else kept(request)
        upstreams = Upstreams(self.inbound, led.route, led.by_service, self._carries)
        return Way(self, sent, led.found, NO_AFFINITY, upstreams)

    def account(self) -> tuple[Entry, "array[int]"]:
        entry = self.inbound.entry
        return entry, entry.flow.counters

    def chance(self) -> int:
        return self.inbound.world.chance.getrandbits(64)

    def follow(self, turns: Carrying | None) -> None:
        self._turns = turns

    def plan(self) -> "Plan | None":
        led = self._last_led
        if led is None or led.http is not self._served:
            return None
        if led.view is not self.inbound.world.current.view:
            return None
        if self._plan is None or self._plan.made_of is not led:
            self._plan = plan_of(self.inbound, self.hop, led)
        return self._plan

    def led(
        self,
        made_of: object,
        request: RequestHead,
        started: float,
        endpoint: Endpoint,
        upstream: Upstream | None,
    ) -> Way:
        assert isinstance(made_of, Led)
        way = self._way_of(made_of, request, self._wall_clock_at(started))
        self.inbound.entry.permit = made_of.permit
        if self._carried is not None and made_of.target.plaintext:
            self._carried = self._carried._replace(target=made_of.target)
        way.go_on(made_of.target, endpoint, upstream)
        return way

    def _wall_clock_at(self, moment: float) -> float:
        """Seconds since 1970, of trio's clock."""
        world = self.inbound.world
        return world.wall_clock() - (world.clock() - moment)

    def _carried_by_plan(self) -> _Carried | None:
        found = None if self._turns is None else self._turns.carried()
        if found is None:
            return None
        led, request, started = found
        assert isinstance(led, Led)
        return _Carried(led.target, request, self._wall_clock_at(started))

    def _tokens(self, found: IngressWay, arriving: Request) -> Verified:
        """For the targets that nobody else decides about."""
        world = self.inbound.world
        view = world.current.view
        plain = [target.service for target, _ in found.up if target.plaintext]
        if not plain or not view.tokens.are_asked_for:
            return NOTHING_ASKED
        asked = frozenset[str]().union(*(view.requests_of(one).providers for one in plain))
        return view.tokens.verify(asked, arriving, world.wall_clock())

    def _permits(
        self, found: IngressWay, arriving: Request, verified: Verified
    ) -> Iterator[tuple[ServiceName, Permit]]:
        """For the same, who would see the request as it arrives."""
        for target, _ in found.up:
            if target.plaintext and (permit := self._permit(target, arriving, verified)):
                yield target.service, permit

    def _permit(
        self, target: IngressTarget, arriving: Request, verified: Verified
    ) -> Permit | None:
        """Written down before anything can be awaited, so that a withdrawal finds it."""
        world, entry = self.inbound.world, self.inbound.entry
        view = world.current.view
        policy, claims = view.requests_of(target.service), verified.claims
        decision = authorize_request(policy, self._source, arriving, claims)
        known = self._known
        if known is None or not known.is_of(view, target, decision):
            known = self._known = self._know(view, target, decision)
        known.counted.inc()
        permit = known.permit
        if permit is None:
            return None
        entry.decided(permit, view.generation)
        self._carried = _Carried(target, arriving, world.wall_clock())
        return permit

    def _know(self, view: View, target: IngressTarget, decision: RequestDecision) -> "_Known":
        """What follows from an answer, which is one value for many requests."""
        counted = self.inbound.world.metrics.decisions.counter(
            view, self.inbound.entry.gateway, target.service, self._source, decision.allowed
        )
        permit = None
        if decision.allowed:
            rule = Decision(allowed=True, rule=decision.rule)
            permit = Permit(self._source, target.service, rule)
        return _Known(view, target, decision, counted, permit)

    def _carries(self, target: IngressTarget, permit: Permit) -> bool:
        """Of several targets it is led to this one: whether that is permitted still."""
        carried, known = self._carried, self._known
        if carried is None or known is None:
            return False
        self.inbound.entry.permit = permit
        self._carried = carried._replace(target=target)
        return known.view is self.inbound.world.current.view or self._is_still_permitted()

    def _is_still_permitted(self) -> bool:
        """What is carried now, after the rules have changed; its tokens are as old as the request."""
        carried = self._carried or self._carried_by_plan()
        if carried is None:
            return True
        target, arriving, then = carried
        if isinstance(arriving, RequestHead):
            arriving = believed(arriving.as_judged())
        view = self.inbound.world.current.view
        policy = view.requests_of(target.service)
        claims = view.tokens.verify(policy.providers, arriving, then).claims
        return authorize_request(policy, self._source, arriving, claims).allowed

    def answered(self, status: int, seconds: float) -> None:
        if self._served is not None:
            self._served.meters.requests(status).inc()
            self._served.meters.seconds.observe(seconds)
        if status != _SWITCHING:
            self._carried = self.inbound.entry.permit = None

    def count_retry(self, end: RetryEnd) -> None:
        """A request is made again, or would have been, but for the limit."""
        if self._served is not None:
            self._served.meters.retries(end).inc()

    def is_leaving(self) -> bool:
        return self.inbound.world.live.is_leaving

    def waits(self, wake: Callable[[], object] | None) -> None:
        self.inbound.entry.waits(wake)
