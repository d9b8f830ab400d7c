"""A caller's requests to one service: each decided about by itself, each sent to an instance of its own.

Decide, then dial: a way to an upstream is made with the permit, and by nothing else. The rules, the instances
and how they are reached are those of the moment, as a connection may stay for days.

Belongs here: what a gateway knows that HTTP does not: intentions, endpoints, pools, the register, metrics.
Never here: HTTP itself (`worker.http`).
"""

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING

from cluster.authorize import Denied, Permit, authorize
from cluster.http import DEFAULT_NORMALISATION, Request, Verified, authorize_request
from cluster.http.affinity import NO_AFFINITY, Affinity
from cluster.http.verify import NOTHING_ASKED
from cluster.intentions import Decision
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.entry import Entry
from worker.gateways import steps, tokens
from worker.gateways.inbound import Inbound
from worker.gateways.request_plans import Led, plan_of
from worker.gateways.request_way import Way, counting
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
from worker.relay.engine import DOWN, UP
from worker.telemetry.tally import Count
from worker.tls.leg import TlsLeg
from worker.view.view import Balanced, TerminatingTarget, View

if TYPE_CHECKING:
    from worker.http._plan import Plan

#: From the view of a moment to what is served there now.
Find = Callable[[View], TerminatingTarget | None]

#: What was permitted goes on, though it is HTTP no more.
_SWITCHING = 101


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
        self._way: Way
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

    def judge(self, request: RequestHead) -> Answer | Way:
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
            return Way(
                self.inbound, self.count_up, permit, target, target.http, self._hop, sent, affinity
            )
        if permit is not self._way_permit:
            self._way = Way(self.inbound, self.count_up, permit, target, target.http, self._hop)
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
    ) -> Way:
        assert isinstance(made_of, Led)
        world = self.inbound.world
        self._carried = request, world.wall_clock() - (world.clock() - started)
        way = Way(
            self.inbound, self.count_up, made_of.permit, made_of.target, made_of.http, made_of.hop
        )
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
