"""The frame around every connection: one ending, one account, everything closed.

Belongs here: what is true of each connection, whatever the gateway kind. Never here: a step of one. This is
the only place where an exception becomes an ending.
"""

from dataclasses import dataclass

import structlog
import trio

from cluster.errors import Ended
from cluster.reasons import End
from worker.arrival import Arrival
from worker.entry import Entry
from worker.gateways.inbound import Inbound, Led, Serve, ServeAtOnce, TakeIn, World
from worker.live import Live
from worker.net.leg import reset
from worker.relay.porter import Born, Lead, Passed
from worker.telemetry.metrics import ServiceMeters

log = structlog.get_logger()

#: How long connections that were just ended may take to be accounted for; it is a turn of the engine.
LAST_ENDS_SECONDS = 1.0

#: So much of what is said of an end is kept, in characters.
_DETAIL_LIMIT = 300

#: Endings that the caller must not take for a complete answer: it sees a reset.
_ABORT = frozenset(
    {
        End.NO_ENDPOINT,
        End.DIAL_REFUSED,
        End.DIAL_TIMEOUT,
        End.UPSTREAM_TLS,
        End.INTENTION_REVOKED,
        End.CERTIFICATE_EXPIRED,
        End.ROOT_DISTRUSTED,
        End.CLOSED_BY_OPERATOR,
        End.DRAINED,
        End.OVERLOAD,
        End.INTERNAL,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Where connections come in: whose they are, and what carries one.

    `gateway` and `kind` are metric labels; `unrouted` counts those whose service stays unknown. `serve`
    carries a connection in a task; `serve_at_once` without one, or says False and has done nothing.
    """

    gateway: str
    kind: str
    unrouted: ServiceMeters
    serve: Serve
    serve_at_once: ServeAtOnce | None = None
    take_in: TakeIn | None = None
    led: Led | None = None


class Frame:
    """The frame around each connection of one entrance; its tasks are `nursery`'s."""

    __slots__ = ("_entrance", "_nursery", "_world")

    def __init__(self, nursery: trio.Nursery, entrance: Entrance, world: World) -> None:
        self._nursery = nursery
        self._entrance = entrance
        self._world = world

    def admit(self, arrival: Arrival) -> bool:
        """Carry an accepted connection; False says that there are too many, and it is to be shed."""
        limit = self._world.settings.limits.max_connections
        if not self._world.live.take_place(limit):
            return False
        self._start(*arrival)
        return True

    def shed(self) -> None:
        """Count a connection that was refused at the door."""
        self._entrance.unrouted.opened.inc()
        self._entrance.unrouted.closed(End.OVERLOAD).inc()

    def start(self, descriptor: int, server_name: str | None = None, hello_bytes: int = 0) -> None:
        """Carry an accepted connection, however many there are."""
        self._world.live.take_place()
        self._start(descriptor, server_name, hello_bytes)

    def _start(self, descriptor: int, server_name: str | None, hello_bytes: int) -> None:
        """It is in the register before this returns."""
        world = self._world
        inbound = self._inbound(descriptor, world.current.view.generation, world.clock())
        if server_name is None or not self._served(inbound, server_name, hello_bytes):
            self.resume(inbound, self._entrance.serve)

    def adopt(self, born: Born, lead: Lead) -> None:
        """Take into the register whom the engine has accepted by itself."""
        assert self._entrance.take_in is not None
        started = self._world.clock() - born.age_seconds
        inbound = self._inbound(born.client, born.generation, started)
        self._entrance.take_in(inbound, born, lead)

    def remember(self, passed: Passed, lead: Lead) -> None:
        """Keep what can be told of one that the engine has accepted and carried, and nobody saw."""
        assert self._entrance.led is not None
        world, now = self._world, self._world.clock()
        entry = world.live.past(
            gateway=self._entrance.gateway,
            kind=self._entrance.kind,
            generation=passed.generation,
            started=now - passed.age_seconds,
        )
        self._entrance.led(entry, lead, passed.drawn)
        entry.flow.up_bytes, entry.flow.down_bytes = passed.bytes_up, passed.bytes_down
        world.recent.add(entry, passed.end, now - passed.ago_seconds)

    def _inbound(self, descriptor: int, generation: int, started: float) -> Inbound:
        entry = self._world.live.add(
            gateway=self._entrance.gateway,
            kind=self._entrance.kind,
            generation=generation,
            started=started,
            has_place=True,
        )
        return Inbound(descriptor, entry, self._world, self)

    def _served(self, inbound: Inbound, server_name: str, hello_bytes: int) -> bool:
        """Whether no task is needed: a bug must cost this connection only, and not the accept loop."""
        serve_at_once = self._entrance.serve_at_once
        if serve_at_once is None:
            return False
        try:
            return serve_at_once(inbound, server_name, hello_bytes)
        except Exception:
            _log_bug(inbound.entry)
            self._close(inbound, End.INTERNAL)
            return True

    def resume(self, inbound: Inbound, serve: Serve) -> None:
        """Carry a connection in a task of its own from here on."""
        self._nursery.start_soon(self._run, inbound, serve)

    async def _run(self, inbound: Inbound, serve: Serve) -> None:
        """To the end, and to the account; nothing gets past this frame."""
        end = End.DRAINED  # what it is when the worker itself is cancelled
        try:
            end = await _ending(inbound, serve)
        finally:
            self._close(inbound, end)

    def _close(self, inbound: Inbound, end: End) -> None:
        if end in _ABORT:
            reset(inbound.sock)
        else:
            inbound.sock.close()
        self.settle(inbound, end)

    def settle(self, inbound: Inbound, end: End) -> None:
        """The account of a connection whose socket is closed."""
        entry, world = inbound.entry, self._world
        meters = entry.meters
        if meters is None:
            meters = self._entrance.unrouted
            meters.opened.inc()
        else:
            entry.count_bytes()
            meters.active.dec()
            world.recent.add(entry, end, world.clock())
        meters.closed(end).inc()
        meters.duration.observe(world.clock() - entry.started)
        world.live.remove(entry)
        entry.let_go()


async def _ending(inbound: Inbound, serve: Serve) -> End:
    """Serve, and say why it is over; who ended it from outside wrote down why."""
    entry = inbound.entry
    end = End.INTERNAL
    try:
        with trio.CancelScope() as scope:
            entry.on_end(scope.cancel)
            end = await serve(inbound)
    except Ended as ended:
        log.debug("connection ended", end=ended.end, detail=ended.detail, gateway=entry.gateway)
        end, entry.detail = ended.end, ended.detail[:_DETAIL_LIMIT]
    except Exception:
        _log_bug(entry)
        end = End.INTERNAL
    if entry.ended_by is not None:
        entry.detail = ""  # it says how the task met its end, not why
    return entry.ended_by or end


def _log_bug(entry: Entry) -> None:
    log.exception("a bug ended this connection", gateway=entry.gateway, sni=entry.server_name)


async def outlast(live: Live, closed: trio.Event) -> None:
    """Last as long as any connection once the doors are closed; if cancelled, end those without a task.

    However early that comes: with no grace at all it is in the same turn as the draining.
    """
    try:
        await closed.wait()
        live.leave()
        await _emptied(live)
    except trio.Cancelled:
        with trio.move_on_after(LAST_ENDS_SECONDS, shield=True):
            await closed.wait()
        for entry in live:
            entry.end(End.DRAINED)
        with trio.move_on_after(LAST_ENDS_SECONDS, shield=True):
            await _emptied(live)
        raise


async def _emptied(live: Live) -> None:
    while live.take_in():
        await trio.lowlevel.checkpoint()
    empty = trio.Event()
    live.on_empty = empty.set
    if len(live):
        await empty.wait()
