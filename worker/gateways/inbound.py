"""What a gateway is handed: the accepted connection, and the worker around it.

Belongs here: the values every gateway kind takes. Never here: behaviour of one kind.
"""

import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from cluster.reasons import End
from cluster.routes import Endpoint
from worker.current import Current
from worker.dial import Dialer
from worker.entry import Entry, Strand
from worker.gateways.handshakes import Handshakes
from worker.http.express import Express, express
from worker.http.patience import Timers
from worker.http.pool import Pools
from worker.http2.upstream.channels import Channels
from worker.live import Live
from worker.net.sockets import notice_dead_peers
from worker.recent import Recent
from worker.relay.engine import Launcher, RelayEngine, RelayLimits
from worker.relay.porter import Born, HasPorter, Lead, Porter
from worker.settings import WorkerSettings
from worker.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The worker, as a connection sees it; made once at start."""

    settings: WorkerSettings
    current: Current
    live: Live
    engine: RelayEngine
    dialer: Dialer
    metrics: Metrics
    chance: random.Random
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    recent: Recent = field(default_factory=Recent)
    #: The engine, if it can carry a connection without a task of ours.
    launcher: Launcher | None = field(init=False)
    #: The engine's, if it can accept connections by itself.
    porter: Porter | None = field(init=False)
    #: Called when a batch of connections has been looked at: what was launched is to begin.
    flush: Callable[[], None] = field(init=False)
    handshakes: Handshakes = field(init=False)
    relay_limits: RelayLimits = field(init=False)
    #: Connections to upstreams that speak HTTP, and how long may be waited for what in it.
    pools: Pools = field(init=False)
    channels: Channels = field(init=False)
    timers: Timers = field(init=False)
    #: Turns without a task, where the engine is native as well.
    express: Express | None = field(init=False)

    def __post_init__(self) -> None:
        limits = self.settings.limits
        engine = self.engine
        own = object.__setattr__  # the dataclass is frozen, and these are made of the rest
        launcher = engine if isinstance(engine, Launcher) else None
        flush = launcher.flush if launcher else _nothing
        porter = engine.porter if isinstance(engine, HasPorter) else None
        own(self, "launcher", launcher)
        own(self, "flush", flush)
        own(self, "porter", porter)
        own(self, "pools", Pools(self.clock))
        own(self, "channels", Channels(self.clock, self.pools))
        own(self, "timers", Timers(self.clock))
        own(self, "express", express() if launcher else None)
        own(self, "handshakes", Handshakes(limits.handshake_timeout_seconds, self.clock, flush))
        own(
            self,
            "relay_limits",
            RelayLimits(
                idle_timeout_seconds=limits.idle_timeout_seconds,
                max_age_seconds=limits.max_age_seconds,
            ),
        )
        if porter is not None:
            self.live.follow(porter)
            self.recent.follow(porter)
            self.metrics.before_shown = partial(_catch_up, self.metrics, porter)


def _catch_up(metrics: Metrics, porter: Porter) -> None:
    """Count what the porter has counted since the last time."""
    for meters, counted in porter.counted():
        meters.count(counted)
    metrics.count_hellos(porter.hellos())


def _nothing() -> None:
    """There is no engine to wake."""


class Frame(Protocol):
    """What a connection without a task asks of the frame around it (`worker.connection`)."""

    def settle(self, inbound: "Inbound", end: End) -> None:
        """It is over, and its socket is closed: the account."""
        ...

    def resume(self, inbound: "Inbound", serve: "Serve") -> None:
        """Go on in a task."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedDial:
    """An endpoint that was tried already, and what the kernel said."""

    endpoint: Endpoint
    error: OSError


class Inbound:
    """One accepted connection: its descriptor and its entry in the register.

    Whoever closes it uses `sock`, which is made when it is first asked for; after `give_away` the
    descriptor is somebody else's, and `take_back` makes it ours again.
    """

    __slots__ = ("_sock", "descriptor", "entry", "failed", "frame", "world")

    def __init__(self, descriptor: int, entry: Entry, world: World, frame: Frame) -> None:
        self.descriptor = descriptor
        self.entry = entry
        self.world = world
        self.frame = frame
        self.failed: FailedDial | None = None
        self._sock: socket.socket | None = None

    @property
    def sock(self) -> socket.socket:
        """The connection as a socket, non-blocking; a caller that vanishes is noticed."""
        if self._sock is None:
            self._sock = socket.socket(fileno=self.descriptor)
            self._sock.setblocking(False)
            notice_dead_peers(self._sock)
        return self._sock

    def strand(self) -> "Inbound":
        """For one of several requests on this connection: with an entry of its own."""
        made = Inbound(self.descriptor, Strand(self.entry), self.world, self.frame)
        made._sock = self.sock
        return made

    def give_away(self) -> None:
        """Somebody else closes the descriptor."""
        if self._sock is not None:
            self._sock.detach()

    def take_back(self) -> None:
        """It is ours again."""
        self._sock = None


#: Carries a connection without a task, given its server name and the bytes of its hello; or says False,
#: and has done nothing.
ServeAtOnce = Callable[[Inbound, str, int], bool]

#: Makes what the engine has accepted by itself one of ours: its `on_over` is set, its entry complete.
TakeIn = Callable[[Inbound, Born, Lead], None]

#: Writes down where such a one went: by which lead, and to which of its endpoints.
Led = Callable[[Entry, Lead, int], None]

#: A coroutine that carries a connection to its end.
Serve = Callable[[Inbound], Awaitable[End]]
