"""The steps that gateway kinds share: read the hello, choose and dial an endpoint, relay.

Belongs here: one step each, with its time measured and its refusal answered. Never here: the order of steps,
which is what a gateway kind is.
"""

import socket
from collections.abc import Callable, Iterable
from itertools import takewhile

from cluster.errors import Refused, UpstreamFault
from cluster.pick import candidates
from cluster.reasons import End, HelloReject
from cluster.routes import Endpoint
from worker.dial import Address
from worker.gateways.inbound import Inbound
from worker.hello import Hello, HelloRefused
from worker.hello import read as read_hello
from worker.net.leg import Leg
from worker.net.refuse import refuse
from worker.tls.alerts import refusal
from worker.tls.handshake import connect
from worker.tls.leg import TlsLeg
from worker.view.contexts import Origination


async def hello(inbound: Inbound) -> Hello:
    """The caller's ClientHello, still unread in its socket. Raises `HelloRefused`, answered already."""
    world = inbound.world
    try:
        found = await read_hello(
            inbound.sock, timeout_seconds=world.settings.limits.hello_timeout_seconds
        )
    except HelloRefused as refused:
        world.metrics.hello_rejected[refused.reject].inc()
        await refuse(inbound.sock, refusal(refused.reject))
        raise
    count_hello(inbound, world.clock() - inbound.entry.started, found.length)
    return found


def rely(inbound: Inbound, leg: TlsLeg) -> None:
    """Somebody has proved who it is: the connection falls with the root by which it was believed.

    Raises `Refused` (root_distrusted) if that was removed during the handshake.
    """
    entry = inbound.entry
    if leg.anchor:
        entry.anchors = (*entry.anchors, leg.anchor)
    if not inbound.world.current.view.roots.issuperset(entry.anchors):
        raise Refused(End.ROOT_DISTRUSTED, "the root of its certificate was removed a moment ago")


def count_hello(inbound: Inbound, seconds: float, length: int) -> None:
    """A whole hello of so many bytes was there so long after the accept."""
    metrics = inbound.world.metrics
    metrics.hello_seconds.observe(seconds)
    metrics.hello_bytes.observe(length)


async def no_route(inbound: Inbound, server_name: str) -> Refused:
    """Tell the caller by an alert that nobody serves this name; the error to raise."""
    reject = HelloReject.UNKNOWN_SNI if server_name else HelloReject.NO_SNI
    inbound.world.metrics.hello_rejected[reject].inc()
    await refuse(inbound.sock, refusal(reject))
    return Refused(End.NO_ROUTE, f"SNI {server_name!r}" if server_name else "no SNI")


async def dial(
    inbound: Inbound,
    endpoints: tuple[Endpoint, ...],
    connect_timeout_seconds: float,
    failed_at: Callable[[Endpoint], None] | None = None,
) -> tuple[socket.socket, Endpoint]:
    """A connection to one of the healthy endpoints. Raises `Refused` (no_endpoint), `UpstreamFault`.

    `failed_at` is told of each endpoint that could not be connected to.
    """
    world, failed = inbound.world, inbound.failed
    chosen = candidates(endpoints, world.chance)
    if not chosen:
        raise Refused(End.NO_ENDPOINT, f"none of {len(endpoints)} instances is healthy")
    if failed is not None:
        chosen = tuple(endpoint for endpoint in chosen if endpoint != failed.endpoint)
    inbound.entry.state = "dial"
    started = world.clock()
    try:
        sock, at = await world.dialer.connect(
            [_address(endpoint) for endpoint in chosen],
            connect_timeout_seconds=connect_timeout_seconds,
            tried=() if failed is None else ((_address(failed.endpoint), failed.error),),
        )
    except UpstreamFault:
        tell(chosen, None, failed_at)
        raise
    world.metrics.dial_seconds.observe(world.clock() - started)
    endpoint = next(e for e in chosen if (e.address, e.port) == (at.host, at.port))
    tell(chosen, endpoint, failed_at)
    inbound.entry.endpoint = endpoint
    return sock, endpoint


def tell(
    dialled: Iterable[Endpoint],
    answered: Endpoint | None,
    failed_at: Callable[[Endpoint], None] | None,
) -> None:
    """Name those that were dialled in vain, before the one that answered."""
    if failed_at is not None:
        for endpoint in takewhile(lambda one: one != answered, dialled):
            failed_at(endpoint)


async def originate(
    inbound: Inbound, origination: Origination, sock: socket.socket, host: str
) -> TlsLeg:
    """TLS to the outside, on a connection to `host`. Raises `UpstreamFault` (upstream_tls)."""
    return await connect(
        sock,
        origination.context(),
        server_name=origination.tls.server_name or host,
        timeout_seconds=inbound.world.settings.limits.handshake_timeout_seconds,
    )


def _address(endpoint: Endpoint) -> Address:
    return Address(host=endpoint.address, port=endpoint.port)


async def relay(inbound: Inbound, client: Leg, upstream: Leg) -> End:
    """Carry bytes both ways until it is over; closes `upstream`.

    A relay that is cut short ends the upstream with a reset: half a request must not look like a whole one.
    """
    world, entry = inbound.world, inbound.entry
    world.metrics.total_seconds.observe(world.clock() - entry.started)
    entry.state = "relay"
    try:
        return await world.engine.run(client, upstream, entry.flow, world.relay_limits)
    except BaseException:
        upstream.abort()
        raise
    finally:
        upstream.close()
