"""Connections into the mesh for the requests of an ingress gateway: pooled, or dialled for this one.

A pooled connection is one target's: it was made with the gateway's leaf, and whoever answered there has
proved to be the target's service. A new leaf or other roots make another context, and old connections are
not used again.

Endpoints that are out for their failures are left out, and so are targets that have no others; they are the
last resort where nobody else is left. Within a target one endpoint after the other is dialled.

Belongs here: from targets in order to a connection, and how its endpoint did. Never here: which targets, or
what is sent.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial

from cluster.authorize import Permit
from cluster.balance import Picker
from cluster.errors import Refused, UpstreamFault
from cluster.names import ServiceName
from cluster.pick import candidates
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.dial import Address
from worker.gateways import pooled, steps
from worker.gateways.inbound import Inbound
from worker.gateways.joining import join
from worker.gateways.multiplexed import Kept, place
from worker.gateways.request_way import FAILED, counting
from worker.http import answers
from worker.http.asking import Place
from worker.http.backend import Unserved
from worker.http.pool import Key, Upstream
from worker.http.responses import ResponseHead
from worker.http.wire import Wire
from worker.net.leg import Leg
from worker.relay.engine import UP
from worker.view.view import IngressRoute, IngressTarget

Up = tuple[tuple[IngressTarget, Picker], ...]
#: From here on a status counts as a failure of the endpoint.
_FAILURES = 500
#: The same of gRPC, as Envoy translates them: unknown, deadline exceeded, unimplemented, internal,
#: unavailable, data loss.
_GRPC = frozenset({b"2", b"4", b"12", b"13", b"14", b"15"})


class Upstreams:
    """For one request; `permits` are those of targets that nobody else decides about.

    `carries` is told which of these it is led to, before anything is awaited, so that a withdrawal of that
    permission finds it; it says whether the permission holds until now.
    """

    def __init__(
        self,
        inbound: Inbound,
        route: IngressRoute,
        permits: Mapping[ServiceName, Permit],
        carries: Callable[[IngressTarget, Permit], bool],
    ) -> None:
        self._inbound = inbound
        self._route = route
        self._permits = permits
        self._carries = carries
        self._tried: set[Endpoint] = set()
        self._last: tuple[IngressTarget, Endpoint] | None = None
        self._entered: tuple[IngressTarget, Endpoint] | None = None
        #: What `at_once` leaves to the next `connect`: a connection, or the choice that it began with.
        self._ready: Upstream | None = None
        self._first: tuple[IngressTarget, Endpoint] | None = None

    def go_elsewhere(self) -> None:
        """The next connection is not to lead where the last one did, if there is another place."""
        if self._last is not None:
            self._tried.add(self._last[1])

    def answered(self, response: ResponseHead) -> None:
        """The last endpoint has answered; of gRPC with a head alone, its own status counts."""
        if self._last is not None:
            target, endpoint = self._last
            http = self._route.http
            is_grpc = http is not None and http.http2 and not response.has_body
            if response.status < _FAILURES and not (is_grpc and _has_failed(response)):
                target.standings.succeeded(endpoint)
            else:
                self._failed(target, endpoint)

    def failed(self) -> None:
        """The last endpoint has not answered, though it was asked."""
        if self._last is not None:
            self._failed(*self._last)

    def _failed(self, target: IngressTarget, endpoint: Endpoint) -> None:
        world = self._inbound.world
        target.standings.failed(endpoint, world.clock(), world.chance)

    def at_once(self, up: Up, key: int | None) -> Upstream | None:
        """A pooled connection to the first choice; the next `connect` gives it, or goes on from here."""
        http = self._route.http
        if http is None or http.http2:
            return None
        world, (target, picker) = self._inbound.world, up[0]
        endpoint = picker.pick(world.chance, key=key, without=target.standings.out(world.clock()))
        if endpoint is None:
            return None
        first = self._first = target, endpoint
        if not self._is_permitted(target):
            return None
        try:
            target.room.enter(target.limits, endpoint)
        except Refused:
            return None
        self._entered = first
        found = self._pooled(target, endpoint)
        if found is None:
            self._leave()
            return None
        self._last, self._first, self._ready = first, None, found
        self._inbound.entry.endpoint, self._inbound.entry.service = endpoint, target.service
        found.moved = counting(self._inbound, UP)
        return found

    def go_on(self, target: IngressTarget, endpoint: Endpoint, ready: Upstream | None) -> None:
        """From where a plan has come: this choice, and a connection for which it has entered the room."""
        at = target, endpoint
        if ready is None:
            self._first = at
            return
        self._last, self._entered, self._ready = at, at, ready
        ready.moved = counting(self._inbound, UP)

    async def connect(self, up: Up, key: int | None, *, afresh: bool) -> Upstream | Place:
        """To the first target, or its stand-ins where it cannot be reached. Raises `Unserved`."""
        ready, self._ready = self._ready, None
        if ready is not None and not afresh:
            return ready
        fault = answers.NO_HEALTHY_UPSTREAM
        for target, endpoint in self._choices(up, key):
            if not self._is_permitted(target):
                raise Unserved(answers.DENIED)
            self._last = target, endpoint
            try:
                return await self._enter(target, endpoint, afresh=afresh)
            except UpstreamFault as error:
                fault = FAILED[error.end]
            except Refused as error:
                raise Unserved(FAILED[error.end]) from error
        raise Unserved(fault)

    def _is_permitted(self, target: IngressTarget) -> bool:
        """Whether the request may be led there; others decide about targets that are not in plain."""
        if not target.plaintext:
            return True
        permit = self._permits.get(target.service)
        return permit is not None and self._carries(target, permit)

    def _choices(self, up: Up, key: int | None) -> Iterator[tuple[IngressTarget, Endpoint]]:
        """An endpoint of each target that has one in place; if none has, of any."""
        chance, now = self._inbound.world.chance, self._inbound.world.clock()
        found = False
        for target, picker in up:
            out = target.standings.out(now)
            endpoint = (
                self._begun_with(target)
                or self._fresh(picker, key, out)
                or picker.pick(chance, key=key, without=out)
            )
            if endpoint is not None:
                found = True
                yield target, endpoint
        if not found:
            for target, picker in up:
                if (endpoint := picker.pick(chance, key=key)) is not None:
                    yield target, endpoint

    def _begun_with(self, target: IngressTarget) -> Endpoint | None:
        """The endpoint that was picked already."""
        first, self._first = self._first, None
        return first[1] if first is not None and first[0] is target else None

    def _fresh(self, picker: Picker, key: int | None, out: Container[Endpoint]) -> Endpoint | None:
        """One that this request has not been to."""
        if not self._tried:
            return None
        chance = self._inbound.world.chance
        return picker.pick(chance, key=key, without=_Either(out, self._tried))

    async def _enter(
        self, target: IngressTarget, endpoint: Endpoint, *, afresh: bool
    ) -> Upstream | Place:
        target.room.enter(target.limits, endpoint)
        self._entered = target, endpoint
        try:
            return await self._reach(target, endpoint, afresh=afresh)
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        if self._entered is not None:
            target, endpoint = self._entered
            self._entered = None
            target.room.leave(endpoint)

    async def _reach(
        self, target: IngressTarget, endpoint: Endpoint, *, afresh: bool
    ) -> Upstream | Place:
        inbound, http = self._inbound, self._route.http
        found: Upstream | Place
        if http is not None and http.http2:
            found = await self._place(target, endpoint, afresh=afresh)
        else:
            found = await self._connection(target, endpoint, afresh=afresh)
        self._last = target, found.endpoint
        inbound.entry.endpoint, inbound.entry.service = found.endpoint, target.service
        return found

    async def _connection(
        self, target: IngressTarget, endpoint: Endpoint, *, afresh: bool
    ) -> Upstream:
        found = None if afresh else self._pooled(target, endpoint)
        if found is None:
            with target.room.pending(target.limits):
                found = await self._made_room(target, endpoint)
                found = found or await self._dial(target, endpoint)
        found.moved = counting(self._inbound, UP)
        return found

    async def _place(self, target: IngressTarget, first: Endpoint, *, afresh: bool) -> Place:
        with target.room.pending(target.limits):
            found = await place(
                self._inbound,
                first,
                self._kept(target),
                partial(self._leg, target, first),
                afresh=afresh,
                count=counting(self._inbound, UP),
            )
        found.over = self._leave
        return found

    def _pooled(self, target: IngressTarget, endpoint: Endpoint) -> Upstream | None:
        key, made_with = self._kept(target)(endpoint)
        return self._inbound.world.pools.take(key, made_with)

    async def _made_room(self, target: IngressTarget, endpoint: Endpoint) -> Upstream | None:
        """Wait until one more connection may be made, or one has come free."""
        most, pools = target.limits.connections, self._inbound.world.pools
        if not most:
            return None
        gateway = self._inbound.entry.gateway
        keys = [key_of(gateway, target, one) for one in target.endpoints]
        while sum(map(pools.count_of, keys)) >= most and not pools.make_room(keys):
            await target.room.wait()
            if (found := self._pooled(target, endpoint)) is not None:
                return found
        return None

    async def _dial(self, target: IngressTarget, first: Endpoint) -> Upstream:
        """`first`, then others of the same target; no request has been sent to any."""
        connect = partial(self._leg, target, first)
        return await pooled.dial(self._inbound, first, self._kept(target), connect)

    def _kept(self, target: IngressTarget) -> Kept:
        return kept(self._inbound.entry.gateway, self._route, target)

    async def _leg(self, target: IngressTarget, first: Endpoint) -> tuple[Leg, Endpoint]:
        world, failed = self._inbound.world, partial(self._failed, target)
        order = {Address(host=e.address, port=e.port): e for e in self._in_order(target, first)}
        started = world.clock()
        try:
            sock, at = await world.dialer.connect(
                tuple(order), connect_timeout_seconds=target.connect_timeout_seconds
            )
        except UpstreamFault:
            steps.tell(order.values(), None, failed)
            raise
        world.metrics.dial_seconds.observe(world.clock() - started)
        endpoint, permit = order[at], self._permits.get(target.service)
        steps.tell(order.values(), endpoint, failed)
        try:
            leg = await join(self._inbound, self._route, target, sock, endpoint, permit)
        except BaseException as error:
            sock.close()
            if isinstance(error, UpstreamFault):
                failed(endpoint)
            raise
        world.metrics.upstream_connect_seconds.observe(world.clock() - started)
        return leg, endpoint

    def _in_order(self, target: IngressTarget, first: Endpoint) -> Iterator[Endpoint]:
        """`first`, and who else may be dialled in its place."""
        world = self._inbound.world
        out = target.standings.out(world.clock())
        yield first
        for one in candidates(target.endpoints, world.chance):
            if one != first and one not in out and one not in self._tried:
                yield one

    def release(self, upstream: Upstream, *, reusable: bool) -> None:
        """The exchange is over."""
        pools = self._inbound.world.pools
        if reusable:
            pools.give(upstream)
        else:
            pools.drop(upstream)
        self._leave()

    async def relay(self, client: Wire, upstream: Upstream) -> End:
        """Carry bytes from now on; `upstream` is closed by this."""
        try:
            return await steps.relay(self._inbound, client.leg, upstream.leg)
        finally:
            self._inbound.world.pools.forget(upstream.key)
            self._leave()


def key_of(gateway: str, target: IngressTarget, endpoint: Endpoint) -> Key:
    """The gateway's name, and the name asked for: two gateways, or services, share no connection."""
    if endpoint in target.plaintext:
        return endpoint.address, endpoint.port, target.service
    return endpoint.address, endpoint.port, (gateway, target.expected_uri, target.server_name)


def kept(gateway: str, route: IngressRoute, target: IngressTarget) -> Kept:
    """Where connections to a target's endpoints are kept, and the TLS that they have to be made with."""

    def of(endpoint: Endpoint) -> tuple[Key, object]:
        made_with = None if endpoint in target.plaintext else route.context
        return key_of(gateway, target, endpoint), made_with

    return of


def _has_failed(response: ResponseHead) -> bool:
    return any(name.lower() == b"grpc-status" and said in _GRPC for name, said in response.fields)


class _Either:
    """What is in one of two."""

    __slots__ = ("_one", "_other")

    def __init__(self, one: Container[Endpoint], other: Container[Endpoint]) -> None:
        self._one, self._other = one, other

    def __contains__(self, endpoint: object) -> bool:
        return endpoint in self._one or endpoint in self._other
