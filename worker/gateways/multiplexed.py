"""Places for requests on connections of HTTP/2, which carry many.

Belongs here: what gateway kinds share of that: dialling for a channel, and who is told of the bytes. Never
here: choosing an endpoint, or dialling it and proving who answers, which differ by kind.
"""

from collections.abc import Awaitable, Callable

from cluster.errors import Refused, UpstreamFault
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.gateways.inbound import Inbound
from worker.http.pool import Key
from worker.http2.upstream.channels import TooMany
from worker.http2.upstream.connection import Connection
from worker.http2.upstream.stream import Stream
from worker.net.leg import Leg
from worker.tls.leg import TlsLeg

#: Connects to the endpoint that was chosen, or to another one.
Dial = Callable[[], Awaitable[tuple[Leg, Endpoint]]]
#: Where connections to an endpoint are kept, and the TLS context that they are made with.
Kept = Callable[[Endpoint], tuple[Key, object]]


async def place(
    inbound: Inbound,
    first: Endpoint,
    kept: Kept,
    dial: Dial,
    *,
    afresh: bool,
    count: Callable[[int], None],
) -> Stream:
    """For one request to the endpoint that was chosen; `count` is told of what is sent. Raises `Refused`
    (overload) and what `dial` raises.
    """
    world = inbound.world
    key, made_with = kept(first)

    async def connect() -> tuple[Connection, Key]:
        leg, endpoint = await dial()
        _check(leg, endpoint)
        scheme = b"https" if isinstance(leg, TlsLeg) else b"http"
        at, made_with = kept(endpoint)
        return Connection(leg, endpoint, world.clock, scheme=scheme, made_with=made_with), at

    try:
        found = await world.channels.room(key, made_with, connect, afresh=afresh)
    except TooMany:
        raise Refused(End.OVERLOAD, f"too many connections to {first}") from None
    found.moved = count
    return found


def _check(leg: Leg, endpoint: Endpoint) -> None:
    """Who says nothing about protocols is believed to speak the one that its service is said to speak."""
    if isinstance(leg, TlsLeg) and leg.alpn not in (b"", b"h2"):
        leg.close()
        raise UpstreamFault(End.UPSTREAM_TLS, f"{endpoint} wants no HTTP/2, but {leg.alpn!r}")
