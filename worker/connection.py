"""The frame around every connection: one ending, one account, everything closed.

Belongs here: what is true of each connection, whatever the gateway kind. Never here: a step of one. This is
the only place where an exception becomes an ending.
"""

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
import trio

from cluster.errors import Ended
from cluster.reasons import End
from worker.gateways.inbound import Inbound, World
from worker.live import Entry
from worker.net.leg import reset
from worker.telemetry.metrics import ServiceMeters

log = structlog.get_logger()

#: Endings that the caller must not take for a complete answer: it sees a reset.
_ABORT = frozenset(
    {
        End.NO_ENDPOINT,
        End.DIAL_REFUSED,
        End.DIAL_TIMEOUT,
        End.UPSTREAM_TLS,
        End.INTENTION_REVOKED,
        End.CERTIFICATE_EXPIRED,
        End.CLOSED_BY_OPERATOR,
        End.DRAINED,
        End.OVERLOAD,
        End.INTERNAL,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Where connections come in: whose they are, and the coroutine that carries one.

    `gateway` and `kind` are metric labels; `unrouted` counts those whose service stays unknown.
    """

    gateway: str
    kind: str
    unrouted: ServiceMeters
    serve: Callable[[Inbound], Awaitable[End]]


def start(nursery: trio.Nursery, sock: socket.socket, entrance: Entrance, world: World) -> None:
    """Carry an accepted connection in a task of its own; in the register before this returns."""
    sock.setblocking(False)
    entry = world.live.add(
        gateway=entrance.gateway,
        kind=entrance.kind,
        generation=world.current.view.generation,
        started=world.clock(),
    )
    nursery.start_soon(run, Inbound(sock=sock, entry=entry, world=world), entrance)


def shed(unrouted: ServiceMeters) -> None:
    """Count a connection that was refused at the door."""
    unrouted.opened.inc()
    unrouted.closed(End.OVERLOAD).inc()


async def run(inbound: Inbound, entrance: Entrance) -> None:
    """From the first byte to the account; nothing gets past this frame."""
    entry, world = inbound.entry, inbound.world
    end = End.DRAINED  # what it is when the worker itself is cancelled
    try:
        end = await _ending(inbound, entrance)
    finally:
        if end in _ABORT:
            reset(inbound.sock)
        else:
            inbound.sock.close()
        world.live.remove(entry)
        _account(entry, end, entrance, world)


async def _ending(inbound: Inbound, entrance: Entrance) -> End:
    """Serve, and say why it is over; who ended it from outside wrote down why."""
    entry = inbound.entry
    end = End.INTERNAL
    try:
        with trio.CancelScope() as scope:
            entry.on_end(scope.cancel)
            end = await entrance.serve(inbound)
    except Ended as ended:
        log.debug("connection ended", end=ended.end, detail=ended.detail, gateway=entry.gateway)
        end = ended.end
    except Exception:
        log.exception("a bug ended this connection", gateway=entry.gateway, sni=entry.server_name)
        end = End.INTERNAL
    return entry.ended_by or end


def _account(entry: Entry, end: End, entrance: Entrance, world: World) -> None:
    meters = entry.meters
    if meters is None:
        meters = entrance.unrouted
        meters.opened.inc()
    else:
        entry.count_bytes()
        meters.active.dec()
    meters.closed(end).inc()
    meters.duration.observe(world.clock() - entry.started)
