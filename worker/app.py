"""One worker process: builds the parts and the nursery tree; the only file that knows them all.

Belongs here: wiring, signals and the order of ending. Never here: a decision.

    link, descriptors, sweeper, signals          end last
    serving nursery: connections                 on drain: until the grace period ends
        accept loops                             on drain: end first
"""

import os
import random
import secrets
import signal
import socket
from datetime import UTC, datetime
from functools import partial

import structlog
import trio

from cluster.bus import connect
from cluster.reasons import End, RevocationCause
from worker import connection, descriptors
from worker.control import Control
from worker.current import Current
from worker.dial import Dialer
from worker.gateways import mesh, terminating
from worker.gateways.inbound import World
from worker.listeners import Listeners
from worker.live import Live, expired
from worker.relay.probe import choose
from worker.settings import WorkerSettings
from worker.telemetry.metrics import Metrics
from worker.view.compile import Workshop
from worker.view.contexts import ServerContexts
from worker.view.view import GatewayView, MeshView, View

log = structlog.get_logger()

SWEEP_SECONDS = 1.0
LAG_SECONDS = 0.5


def _wall_clock() -> float:
    return datetime.now(UTC).timestamp()


class Worker:
    """The parts of one worker process, and its life from first socket to last connection."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.world = World(
            settings=settings,
            current=Current(View()),
            live=Live(),
            engine=choose(),
            dialer=Dialer(),
            metrics=self.metrics,
            chance=random.Random(),
            clock=trio.current_time,
            wall_clock=_wall_clock,
        )
        self.incarnation = secrets.token_hex(8)
        self._serving: trio.Nursery
        self._draining = trio.Event()
        self._grace_seconds = settings.limits.drain_grace_seconds
        index = str(settings.index)
        self.metrics.engine_info.labels(index, self.world.engine.name).set(1)

    async def run(self, tether: int | None) -> None:
        """Serve until drained or told to stop; returns when the last connection has ended."""
        async with trio.open_nursery() as around:
            async with trio.open_nursery() as serving:
                self._serving = serving
                listeners = Listeners(serving, self._admit, self._shed)
                control = self._control(listeners)
                around.start_soon(self._link, control)
                around.start_soon(self._follow_descriptors, listeners, control)
                around.start_soon(self._sweep)
                around.start_soon(self._watch_loop_lag)
                around.start_soon(self._watch_signals)
                if tether is not None:
                    around.start_soon(_watch_tether, tether, around.cancel_scope)
                await self._draining.wait()
                listeners.stop_accepting()
                serving.cancel_scope.deadline = trio.current_time() + self._grace_seconds
            around.cancel_scope.cancel()

    def _control(self, listeners: Listeners) -> Control:
        shop = Workshop(node=self.settings.node, metrics=self.metrics, contexts=ServerContexts())
        return Control(
            self.world,
            shop,
            listeners,
            pid=os.getpid(),
            incarnation=self.incarnation,
            drain=self._drain,
        )

    def _drain(self, grace_seconds: float) -> None:
        """Stop accepting; a second call ends what is left at once."""
        if self._draining.is_set():
            self._serving.cancel_scope.cancel()
        self._grace_seconds = grace_seconds
        self._draining.set()

    def _admit(self, sock: socket.socket, gateway: GatewayView) -> bool:
        limit = self.settings.limits.max_connections
        if limit is not None and len(self.world.live) >= limit:
            return False
        sock.setblocking(False)
        self._serving.start_soon(connection.run, sock, _entrance(gateway), self.world)
        return True

    def _shed(self) -> None:
        meters = self.metrics.service("", "", "")
        meters.opened.inc()
        meters.closed(End.OVERLOAD).inc()

    async def _link(self, control: Control) -> None:
        async with connect(self.settings.link_endpoint) as bus:
            await control.run(bus)

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

    async def _sweep(self) -> None:
        """Once a second: bytes of living connections into the metrics, and expired callers out."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            for entry in self.world.live:
                entry.count_bytes()
            for entry in expired(self.world.live, self.world.wall_clock()):
                entry.end(End.CERTIFICATE_EXPIRED)
                self.metrics.revoked[RevocationCause.EXPIRY].inc()

    async def _watch_loop_lag(self) -> None:
        lag = self.metrics.loop_lag_seconds.labels(str(self.settings.index))
        while True:
            due = trio.current_time() + LAG_SECONDS
            await trio.sleep_until(due)
            lag.set(trio.current_time() - due)

    async def _watch_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                self._drain(self.settings.limits.drain_grace_seconds)


def _entrance(gateway: GatewayView) -> connection.Entrance:
    """The kind of a gateway, chosen once: from here on there is only the coroutine."""
    serve = (
        partial(mesh.serve, view=gateway)
        if isinstance(gateway, MeshView)
        else partial(terminating.serve, view=gateway)
    )
    listener = gateway.listener
    return connection.Entrance(
        gateway=listener.gateway,
        kind=listener.kind.label,
        unrouted=gateway.unrouted,
        serve=serve,
    )


async def _watch_tether(descriptor: int, scope: trio.CancelScope) -> None:
    """The other end of this pipe is held by whoever may not be outlived."""
    async with trio.lowlevel.FdStream(descriptor) as pipe:
        while await pipe.receive_some(1):
            pass
    log.info("the tether is cut: leaving")
    scope.cancel()
