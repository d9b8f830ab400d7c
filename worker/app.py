"""One worker process: builds the parts and the nursery tree; the only file that knows them all.

Belongs here: wiring, signals and the order of ending. Never here: a decision.

    link, descriptors, sweeper, signals          end last
    serving nursery: connections                 on drain: until the grace period ends
        accept loops                             on drain: end first
"""

import gc
import os
import random
import secrets
import signal
from functools import partial

import structlog
import trio

from cluster.bus import connect
from cluster.process.clock import wall_clock
from worker import connection, descriptors
from worker.control import Control
from worker.current import Current
from worker.dial import Dialer
from worker.gateways import ingress, mesh, terminating
from worker.gateways.inbound import World
from worker.listeners import Listeners, OpenGate
from worker.live import Live
from worker.relay.probe import announce, choose
from worker.settings import WorkerSettings
from worker.sweeper import sweep
from worker.telemetry.metrics import HELLO_BUCKETS, LIFE_BUCKETS, SETUP_BUCKETS, Metrics
from worker.view.compile import Workshop
from worker.view.contexts import ServerContexts
from worker.view.leads import KeptDirectories
from worker.view.view import GatewayView, IngressView, MeshView, View

log = structlog.get_logger()

FAREWELL_SECONDS = 0.5
LAG_SECONDS = 0.5


class Worker:
    """The parts of one worker process, and its life from first socket to last connection."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        engine, self._why_not_native = choose(SETUP_BUCKETS, LIFE_BUCKETS, HELLO_BUCKETS)
        self.world = World(
            settings=settings,
            current=Current(View()),
            live=Live(),
            engine=engine,
            dialer=Dialer(),
            metrics=self.metrics,
            chance=random.Random(),
            clock=trio.current_time,
            wall_clock=wall_clock,
        )
        self.incarnation = secrets.token_hex(8)
        self._serving: trio.Nursery
        self._control: Control
        self._draining = trio.Event()
        index = str(settings.index)
        self.metrics.engine_info.labels(index, self.world.engine.name).set(1)

    async def run(self, tether: int | None) -> None:
        """Serve until drained or told to stop; returns when the last connection has ended."""
        async with connect(self.settings.link_endpoint) as bus, trio.open_nursery() as around:
            await around.start(self.world.engine.attend)
            announce(self.world.engine, self._why_not_native)
            _spare_the_collector()
            async with trio.open_nursery() as serving:
                self._serving = serving
                listeners = Listeners(serving, self._door, self.world.flush, opener(self.world))
                self._control = control = self._new_control(listeners)
                closed = trio.Event()
                serving.start_soon(connection.outlast, self.world.live, closed)
                around.start_soon(self.world.handshakes.attend)
                around.start_soon(self.world.timers.attend)
                around.start_soon(self.world.channels.attend)
                if self.world.express is not None:
                    around.start_soon(self.world.express.attend)
                around.start_soon(control.run, bus)
                around.start_soon(self._follow_descriptors, listeners, control)
                around.start_soon(sweep, self.world)
                around.start_soon(self._watch_loop_lag)
                around.start_soon(self._watch_signals)
                if tether is not None:
                    around.start_soon(_watch_tether, tether, around.cancel_scope)
                try:
                    await self._draining.wait()
                finally:
                    listeners.stop_accepting()
                    closed.set()
            with trio.move_on_after(FAREWELL_SECONDS):
                await control.farewell(bus)
            around.cancel_scope.cancel()

    def _new_control(self, listeners: Listeners) -> Control:
        shop = Workshop(
            node=self.settings.node,
            metrics=self.metrics,
            contexts=ServerContexts(),
            wall_clock=self.world.wall_clock,
            directories=KeptDirectories(self.world.porter.draw_up if self.world.porter else None),
        )
        return Control(
            self.world,
            shop,
            listeners,
            pid=os.getpid(),
            incarnation=self.incarnation,
            drain=self._drain,
        )

    def _drain(self, grace_seconds: float) -> None:
        """Stop accepting and give connections so long; asked again, the nearer end counts."""
        scope = self._serving.cancel_scope
        scope.deadline = min(scope.deadline, trio.current_time() + grace_seconds)
        self._control.announce_draining()
        self._draining.set()

    def _entrance(self, gateway: GatewayView) -> connection.Entrance:
        return entrance_of(gateway, express=self.world.launcher is not None)

    def _door(self, gateway: GatewayView) -> connection.Frame:
        return connection.Frame(self._serving, self._entrance(gateway), self.world)

    async def _follow_descriptors(self, listeners: Listeners, control: Control) -> None:
        await descriptors.follow(
            self.settings.sockets_path,
            index=self.settings.index,
            pid=os.getpid(),
            incarnation=self.incarnation,
            held=listeners.held,
            apply=listeners.assign,
            connected=control.greet,
        )

    async def _watch_loop_lag(self) -> None:
        lag = self.metrics.loop_lag_seconds.labels(str(self.settings.index))
        while True:
            due = trio.current_time() + LAG_SECONDS
            await trio.sleep_until(due)
            lag.set(trio.current_time() - due)

    async def _watch_signals(self) -> None:
        """The first asks to leave, the second to leave at once."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            grace_seconds = self.settings.limits.drain_grace_seconds
            async for _ in signals:
                self._drain(grace_seconds)
                grace_seconds = 0.0


def entrance_of(gateway: GatewayView, *, express: bool) -> connection.Entrance:
    """The kind of a gateway, chosen once: from here on there are only functions.

    `express` says that there is an engine which can carry a connection without a task.
    """
    entrance = partial(
        connection.Entrance,
        gateway=gateway.listener.gateway,
        kind=gateway.listener.kind.label,
        unrouted=gateway.unrouted,
    )
    if isinstance(gateway, MeshView):
        return entrance(
            serve=partial(mesh.serve, view=gateway),
            serve_at_once=partial(mesh.serve_at_once, view=gateway) if express else None,
            take_in=mesh.take_in,
            led=mesh.led,
        )
    if isinstance(gateway, IngressView):
        return entrance(serve=partial(ingress.serve, view=gateway))
    return entrance(
        serve=partial(terminating.serve, view=gateway),
        serve_at_once=partial(terminating.serve_at_once, view=gateway) if express else None,
    )


def opener(world: World) -> OpenGate | None:
    """How a listener's connections are left to the engine; None if it cannot accept."""
    if world.porter is None:
        return None
    most = world.settings.limits.max_connections
    return partial(world.porter.open, limits=world.relay_limits, most=most)


def _spare_the_collector() -> None:
    """What was made until now stays: it need not be looked through again for every thousand connections."""
    gc.collect()
    gc.freeze()


async def _watch_tether(descriptor: int, scope: trio.CancelScope) -> None:
    """The other end of this pipe is held by whoever may not be outlived; nothing is ever written to it.

    So readiness is its end. It is not read from: its flags and bytes are shared with every process that
    inherited it, so a read could block. A descriptor that cannot be watched is an error in the log, and the
    worker serves on.
    """
    try:
        await trio.lowlevel.wait_readable(descriptor)
    except OSError as error:
        log.error("cannot watch the tether", descriptor=descriptor, reason=error.strerror)
        return
    log.info("the tether is cut: leaving")
    scope.cancel()
