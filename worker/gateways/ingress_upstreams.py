"""Connections into the mesh for the requests of an ingress gateway: pooled, or dialled for this one.

A pooled connection is one target's: it was made with the gateway's leaf, and whoever answered there has
proved to be the target's service. A new leaf or other roots make another context, and old connections are
not used again.

Belongs here: from targets in order to a connection. Never here: which targets, or what is sent.
"""

from collections.abc import Mapping
from functools import partial

from cluster.authorize import Permit
from cluster.balance import Picker
from cluster.errors import Refused, UpstreamFault
from cluster.names import ServiceName
from cluster.pick import candidates
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.dial import Address
from worker.gateways import steps
from worker.gateways.inbound import Inbound
from worker.gateways.joining import join
from worker.gateways.multiplexed import place
from worker.gateways.requests import FAILED, counting
from worker.http import answers
from worker.http.asking import Place
from worker.http.backend import Unserved
from worker.http.pool import Key, Upstream
from worker.http.wire import Wire
from worker.net.leg import Leg
from worker.relay.engine import UP
from worker.view.view import IngressRoute, IngressTarget

Up = tuple[tuple[IngressTarget, Picker], ...]


class Upstreams:
    """For one request; `permits` are those of targets that nobody else decides about."""

    def __init__(
        self, inbound: Inbound, route: IngressRoute, permits: Mapping[ServiceName, Permit]
    ) -> None:
        self._inbound = inbound
        self._route = route
        self._permits = permits
        self._tried: set[Endpoint] = set()
        self._last: Endpoint | None = None

    def go_elsewhere(self) -> None:
        """The next connection is not to lead where the last one did, if there is another place."""
        if self._last is not None:
            self._tried.add(self._last)

    async def connect(self, up: Up, key: int | None, *, afresh: bool) -> Upstream | Place:
        """To the first target, or its stand-ins where it cannot be reached. Raises `Unserved`."""
        fault = answers.NO_HEALTHY_UPSTREAM
        for target, picker in up:
            if target.plaintext and target.service not in self._permits:
                raise Unserved(answers.DENIED)
            endpoint = self._pick(picker, key)
            if endpoint is None:
                continue
            self._last = endpoint
            try:
                return await self._reach(target, endpoint, afresh=afresh)
            except (UpstreamFault, Refused) as error:
                fault = FAILED[error.end]
        raise Unserved(fault)

    def _pick(self, picker: Picker, key: int | None) -> Endpoint | None:
        chance = self._inbound.world.chance
        if self._tried and (found := picker.pick(chance, key=key, without=self._tried)):
            return found
        return picker.pick(chance, key=key)

    async def _reach(
        self, target: IngressTarget, endpoint: Endpoint, *, afresh: bool
    ) -> Upstream | Place:
        http = self._route.http
        if http is not None and http.http2:
            return await self._place(target, endpoint, afresh=afresh)
        inbound = self._inbound
        pools = inbound.world.pools
        made_with = self._made_with(target, endpoint)
        found = None if afresh else pools.take(self._key(target, endpoint), made_with)
        upstream = found or await self._dial(target, endpoint)
        self._last = inbound.entry.endpoint = upstream.endpoint
        inbound.entry.service = target.service
        upstream.moved = counting(inbound, UP)
        return upstream

    async def _place(self, target: IngressTarget, first: Endpoint, *, afresh: bool) -> Place:
        inbound = self._inbound
        found = await place(
            inbound,
            first,
            lambda one: (self._key(target, one), self._made_with(target, one)),
            partial(self._leg, target, first),
            afresh=afresh,
            count=counting(inbound, UP),
        )
        self._last = inbound.entry.endpoint = found.endpoint
        inbound.entry.service = target.service
        return found

    async def _dial(self, target: IngressTarget, first: Endpoint) -> Upstream:
        """`first`, then others of the same target; no request has been sent to any."""
        pools, key = self._inbound.world.pools, self._key(target, first)
        if not pools.may_dial(key):
            raise Refused(End.OVERLOAD, f"too many connections to {first}")
        try:
            leg, endpoint = await self._leg(target, first)
        except BaseException:
            pools.forget(key)
            raise
        if endpoint != first:
            pools.forget(key)
            key = self._key(target, endpoint)
            pools.count(key)
        return Upstream(leg, endpoint, key, self._made_with(target, endpoint))

    async def _leg(self, target: IngressTarget, first: Endpoint) -> tuple[Leg, Endpoint]:
        world = self._inbound.world
        others = (
            one
            for one in candidates(target.endpoints, world.chance)
            if one != first and one not in self._tried
        )
        order = {Address(host=one.address, port=one.port): one for one in (first, *others)}
        started = world.clock()
        sock, at = await world.dialer.connect(
            tuple(order), connect_timeout_seconds=target.connect_timeout_seconds
        )
        world.metrics.dial_seconds.observe(world.clock() - started)
        endpoint, permit = order[at], self._permits.get(target.service)
        try:
            leg = await join(self._inbound, self._route, target, sock, endpoint, permit)
        except BaseException:
            sock.close()
            raise
        world.metrics.upstream_connect_seconds.observe(world.clock() - started)
        return leg, endpoint

    def _key(self, target: IngressTarget, endpoint: Endpoint) -> Key:
        """The gateway's name, and the name asked for: two gateways, or services, share no connection."""
        if endpoint in target.plaintext:
            return endpoint.address, endpoint.port, None
        who = (self._inbound.entry.gateway, target.expected_uri, target.server_name)
        return endpoint.address, endpoint.port, who

    def _made_with(self, target: IngressTarget, endpoint: Endpoint) -> object:
        return None if endpoint in target.plaintext else self._route.context

    def release(self, upstream: Upstream, *, reusable: bool) -> None:
        """The exchange is over."""
        pools = self._inbound.world.pools
        if reusable:
            pools.give(upstream)
        else:
            pools.drop(upstream)

    async def relay(self, client: Wire, upstream: Upstream) -> End:
        """Carry bytes from now on; `upstream` is closed by this."""
        try:
            return await steps.relay(self._inbound, client.leg, upstream.leg)
        finally:
            self._inbound.world.pools.forget(upstream.key)
