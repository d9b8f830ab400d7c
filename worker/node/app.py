"""One node process: builds the parts and the nursery tree; the only file that knows them all.

Belongs here: wiring, and the order of starting and ending. Never here: a decision.

    handout, fanout, link, keys, applier, http     end last
    keeping workers                                on drain: ends first; nothing is started any more
    letting workers go                             on drain: until the grace period ends, then they are killed

A node that starts finds living workers first, and takes their sockets, before it binds any.
"""

import os
import random
import secrets
import signal
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import structlog
import trio

from cluster.bus import ServerBus, serve
from cluster.messages import Close, Drain, Message, Query
from cluster.process.clock import wall_clock
from cluster.process.tether import wait_until_cut
from worker.net.sockets import listening_socket
from worker.settings import WorkerSettings, link_endpoint, render, sockets_path

from . import http
from .applier import Applier
from .boot import Ground
from .changes import Changes
from .config import NodeConfig
from .delivery import Held
from .enrol import Enrolment, enrol
from .fanout import Fanout
from .fleet import Fleet
from .handout import Handout
from .keys.ring import KeyRing
from .keys.store import LeafStore
from .lastgood import FILE_NAME, LastGood
from .link import CoordinatorLink, Handlers
from .notify import READY, STOPPING, notify
from .pace import Pace
from .probing import Probing
from .processes import Process, spawn
from .queries import Queries
from .reports import Reports
from .sockets import SocketTable
from .workers import Workers

SURVIVORS_SECONDS = 3.0
TICK_SECONDS = 1.0
#: How long a client of a TLS listener may take to send its first byte before it is accepted anyway.
DEFER_ACCEPT_SECONDS = 3
#: What workers get after the grace period to say goodbye, before they are killed.
FAREWELL_SECONDS = 2.0

_log = structlog.get_logger(__name__)


def _version() -> str:
    try:
        return version("lockgate")
    except PackageNotFoundError:  # a bare checkout
        return "unknown"


class Node:
    """The parts of one node, and its life."""

    def __init__(
        self, config: NodeConfig, ground: Ground, *, program: tuple[str, ...], tether: int | None
    ) -> None:
        """`program` is the command of a worker; `tether` the pipe that this node hangs on."""
        self._config = config
        self._ground = ground
        self._program = program
        self._tether = tether
        self._draining = trio.Event()
        self._stopping = trio.Event()
        self._grace_seconds = config.limits.drain_grace_seconds
        self._patience = trio.CancelScope()
        self._last_good = LastGood(config.state_dir / FILE_NAME)
        self._base: Held | None = None
        self._fanout: Fanout
        self._build()

    def _build(self) -> None:
        config = self._config
        self._changes = Changes()
        self._fleet = Fleet(size=config.workers, changes=self._changes, clock=trio.current_time)
        self._table = SocketTable(listening_socket, defer_seconds=DEFER_ACCEPT_SECONDS)
        self._ring = KeyRing(
            LeafStore(config.state_dir / "leaves"),
            lambda csr_pem, renewal: self._link.signing.sign(csr_pem, renewal),
            self._changes,
            chance=random.Random(),
            wall_clock=wall_clock,
        )
        self._workers = Workers(self._fleet, self._spawn, self._ground.runtime_dir / "workers.json")
        self._applier = Applier(
            config.node_name,
            self._fleet,
            self._table,
            self._ring,
            sole=self._workers.survivors_are_back,
            keep=self._keep,
        )
        self._probing = Probing(lambda verdicts: self._link.found(verdicts))
        self._link = self._coordinator_link()
        self._reports = self._new_reports()

    def _coordinator_link(self) -> CoordinatorLink:
        config = self._config
        return CoordinatorLink(
            node=config.node_name,
            incarnation=secrets.token_hex(8),
            software=_version(),
            endpoints=tuple(f"tcp://{address}" for address in config.coordinators),
            curve=self._ground.curve,
            definitions=config.services,
            applier=self._applier,
            base=lambda: self._applier.current or self._base,
            handlers=Handlers(
                status=lambda: self._reports.status(),
                answer=self._answer,
                forward=self._forward,
                drain=self.drain,
                probe=self._probing.wanted,
                changed=self._changes.after,
                version=lambda: self._changes.version,
            ),
            wall_clock=wall_clock,
            pace=Pace(self._config.max_changes_per_second),
        )

    def _new_reports(self) -> Reports:
        host, port = self._ground.metrics.getsockname()[:2]
        return Reports(
            node=self._config.node_name,
            pid=os.getpid(),
            version=_version(),
            metrics_address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            fleet=self._fleet,
            ring=self._ring,
            applier=self._applier,
            link=self._link,
            wall_clock=wall_clock,
        )

    async def run(self) -> None:
        """Serve until told to stop; returns when the last worker has gone. Raises EndpointError."""
        endpoint = link_endpoint(self._ground.runtime_dir)
        async with serve(endpoint) as bus, trio.open_nursery() as around:
            await self._start(bus, around)
            async with trio.open_nursery() as keeping:
                keeping.start_soon(self._workers.keep)
                await self._draining.wait()
                keeping.cancel_scope.cancel()
            await self._let_go()
            await self._stopping.wait()
            around.cancel_scope.cancel()

    async def _start(self, bus: ServerBus, around: trio.Nursery) -> None:
        around.start_soon(self._watch_signals)
        if self._tether is not None:
            around.start_soon(self._watch_tether, self._tether)
        self._ring.load()
        self._workers.find_survivors()
        await around.start(
            Handout(
                self._fleet,
                self._table,
                self._changes,
                self._workers.take_up,
                self._workers.give_up,
            ).run,
            sockets_path(self._ground.runtime_dir),
        )
        self._listen_to_workers(bus, around)
        await self._workers.wait_for_survivors(at_most_seconds=SURVIVORS_SECONDS)
        self._load_last_good()
        around.start_soon(self._applier.run, self._link.report)
        around.start_soon(self._ring.run)
        around.start_soon(self._link.run)
        around.start_soon(self._probing.run)
        if self._ground.enrolment is not None:
            around.start_soon(self._enrol, self._ground.enrolment)
        around.start_soon(self._tick)
        around.start_soon(self._tell_when_ready)
        app = http.application(self._reports.metrics, self._reports.unready)
        around.start_soon(http.run, app, self._ground.metrics)

    async def _enrol(self, enrolment: Enrolment) -> None:
        endpoints = tuple(f"tcp://{address}" for address in self._config.coordinators)
        if endpoints:
            await enrol(enrolment, endpoints, is_up=lambda: self._link.is_up)

    def _listen_to_workers(self, bus: ServerBus, around: trio.Nursery) -> None:
        self._queries = Queries(self._fleet, lambda index, query: self._fanout.ask(index, query))
        self._fanout = Fanout(
            bus,
            self._fleet,
            self._ring,
            lambda: self._applier.target,
            self._queries.answered,
            grace_seconds=self._grace_seconds,
        )
        around.start_soon(self._fanout.run)

    def _load_last_good(self) -> None:
        loaded = self._last_good.load()
        if loaded is not None:
            self._base, self._reports.confirmed_at = loaded
            _log.info("serving from disk until a coordinator answers", id=str(self._base.id))
            self._applier.submit(self._base)

    async def _keep(self, held: Held) -> None:
        """A full disk is no reason not to serve."""
        confirmed_at = max(self._link.confirmed_at, self._reports.confirmed_at)
        try:
            await trio.to_thread.run_sync(
                partial(self._last_good.save, held, confirmed_at=confirmed_at)
            )
        except OSError as error:
            self._reports.write_failures += 1
            _log.error("the last good snapshot cannot be kept on disk", reason=str(error))

    def _spawn(self, index: int) -> Process:
        settings = WorkerSettings(
            node=self._config.node_name,
            runtime_dir=str(self._ground.runtime_dir),
            index=index,
            limits=self._config.limits,
            log_level=self._config.log_level,
            log_format=self._config.log_format,
        )
        command = (*self._program, "--settings", render(settings))
        if self._tether is None:
            return spawn(command)
        return spawn((*command, "--tether", str(self._tether)), inherit=(self._tether,))

    async def _answer(self, query: Query) -> Message:
        return await self._queries.page(query)

    async def _forward(self, close: Close) -> None:
        await self._fanout.say_to_all(close)

    async def _tick(self) -> None:
        """Some of what the fleet says depends on time alone."""
        while True:
            await trio.sleep(TICK_SECONDS)
            self._changes.touch()

    async def _tell_when_ready(self) -> None:
        while self._reports.unready():
            await self._changes.after(self._changes.version)
        notify(READY)
        _log.info("ready", workers=self._fleet.size)

    async def _watch_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                _log.info("asked to stop", signal=signal.Signals(number).name)
                self.stop(self._config.limits.drain_grace_seconds)

    async def _watch_tether(self, descriptor: int) -> None:
        await wait_until_cut(descriptor)
        _log.info("the tether is cut: leaving")
        self.stop(0.0)

    def drain(self, grace_seconds: float) -> None:
        """Stop serving, but stay connected to the coordinator."""
        self._grace_seconds = grace_seconds
        self._draining.set()

    def stop(self, grace_seconds: float) -> None:
        """Drain and leave; told a second time, leave now."""
        if self._stopping.is_set():
            self._patience.cancel()
        self._patience.deadline = min(
            self._patience.deadline, trio.current_time() + grace_seconds + FAREWELL_SECONDS
        )
        self._stopping.set()
        if not self._draining.is_set():
            self.drain(grace_seconds)

    async def _let_go(self) -> None:
        notify(STOPPING)
        self._fleet.leaving = True
        self._changes.touch()
        await self._fanout.say_to_all(Drain(grace_seconds=self._grace_seconds))
        self._table.close()
        deadline = trio.current_time() + self._grace_seconds + FAREWELL_SECONDS
        self._patience.deadline = min(self._patience.deadline, deadline)
        with self._patience:
            await self._workers.let_go()
        await self._workers.kill()
