"""One coordinator process: builds the parts and the nursery tree; the only file that knows them all.

Belongs here: wiring, and the order of beginning and ending. Never here: a decision.
"""

import platform
import random
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import structlog
import trio

from cluster.bus import CurveServer, ServerBus
from cluster.bus import serve as serve_bus
from cluster.errors import ConfigError, Problem
from cluster.keyfile import ensure_key_file
from cluster.process.clock import wall_clock
from cluster.process.tether import wait_until_cut
from cluster.snapshot import Trust
from coordinator.acl_expiry import forget_expired
from coordinator.api.access import Access
from coordinator.api.serve import Tcp
from coordinator.api.serve import serve as serve_api
from coordinator.api.services import Services
from coordinator.api.tls import TlsFiles
from coordinator.audit.entry import announce
from coordinator.audit.log import AuditLog
from coordinator.ca.agent_leaves import AgentLeaves
from coordinator.ca.authority import Authority
from coordinator.compose import Composer
from coordinator.config import CoordinatorConfig
from coordinator.distributor import Distributor
from coordinator.enrolment import Enrolment
from coordinator.expiry import Expiry
from coordinator.fleet import Fleet
from coordinator.health.probing import Probing
from coordinator.health.upkeep import Upkeep
from coordinator.metrics import Metrics
from coordinator.metrics_server import Page, serve_metrics
from coordinator.monitor import Monitor
from coordinator.own_services import OwnServices
from coordinator.publisher import Publisher
from coordinator.store.sqlite import SqliteStore, open_store
from coordinator.store.wanted import Wanted

log = structlog.get_logger()


class Coordinator:
    """The parts of one coordinator, made when its state is loaded."""

    def __init__(
        self,
        config: CoordinatorConfig,
        store: SqliteStore,
        wanted: Wanted,
        authority: Authority,
        version: str,
        bus_key: str,
        audit: AuditLog,
    ) -> None:
        self.config = config
        self.wanted = wanted
        self.authority = authority
        self.version = version
        self.metrics = Metrics(version=version)
        self.writes = trio.Lock()
        self.monitor = Monitor(wall_clock)
        wanted.follow(self.monitor.committed)
        self.probing = Probing(
            wanted,
            self.writes,
            lambda node, message: self.distributor.send(node, message),
            lambda: self.distributor.connected,
        )
        self.distributor = self._make_distributor()
        self.publisher = self._make_publisher(store)
        self.services = self._make_services(store, audit, bus_key)
        self.expiry = Expiry(wanted, self.writes, clock=wall_clock, expired=self.publisher.again)
        self.upkeep = Upkeep(
            wanted,
            self.services.catalog,
            self.writes,
            self.services.heartbeats,
            node=config.own_node,
        )

    def _make_distributor(self) -> Distributor:
        return Distributor(
            sign=self._sign,
            register=OwnServices(self.wanted, self.writes).register,
            metrics=self.metrics,
            enrol=Enrolment(self.wanted, wall_clock).enrol,
            watch=self.monitor.rolled_out,
            checks=self.probing,
        )

    def _make_publisher(self, store: SqliteStore) -> Publisher:
        return Publisher(
            wanted=self.wanted,
            history=store.history,
            compose=Composer(default_allow=self.default_allow, clock=wall_clock),
            trust=self._trust,
            publish=self.distributor.publish,
            metrics=self.metrics,
            clock=wall_clock,
        )

    def _make_services(self, store: SqliteStore, audit: AuditLog, bus_key: str) -> Services:
        config, chance = self.config, random.SystemRandom()
        return Services(
            wanted=self.wanted,
            authority=self.authority,
            leaves=AgentLeaves(self.wanted, self.authority, now=wall_clock, chance=chance),
            fleet=Fleet(self.distributor, self.publisher, datacenter=config.datacenter),
            history=store.history,
            metrics=self.metrics,
            datacenter=config.datacenter,
            node_name=config.own_node,
            default_allow=self.default_allow,
            version=self.version,
            address=config.bus_addr,
            bus_key=bus_key,
            clock=wall_clock,
            writes=self.writes,
            audit=audit,
            monitor=self.monitor,
            access=self._make_access(),
        )

    def _make_access(self) -> Access:
        config = self.config
        return Access(
            self.wanted,
            enabled=config.acl_enabled,
            default_allow=config.acl_default_policy == "allow",
            datacenter=config.datacenter,
            clock=wall_clock,
            admin_role=config.admin_role,
            reset_file=Path(config.state_dir) / "acl-bootstrap-reset",
        )

    @property
    def default_allow(self) -> bool:
        return self.config.default_intention_policy == "allow"

    async def run(self, bus: ServerBus) -> None:
        """Serve until cancelled."""
        config = self.config
        async with trio.open_nursery() as nursery:
            page = Page(metrics=self.metrics.page, is_ready=self._is_ready)
            await nursery.start(serve_metrics, config.metrics_addr, page)
            nursery.start_soon(self.distributor.run, bus)
            nursery.start_soon(self.authority.keep_pruned)
            await nursery.start(self.publisher.run)
            nursery.start_soon(self.upkeep.run)
            nursery.start_soon(self.probing.run)
            nursery.start_soon(forget_expired, self.wanted, self.writes, wall_clock)
            nursery.start_soon(self.expiry.run)
            bound = await nursery.start(
                partial(
                    serve_api,
                    self.services,
                    unix_path=Path(config.admin_path),
                    group=config.admin_group,
                    tcp=_tcp(config),
                )
            )
            log.info(
                "serving",
                admin=bound.unix,
                http=bound.http,
                bus=bus.endpoint,
                bus_key=self.services.bus_key,
            )

    def _trust(self) -> Trust:
        return Trust(datacenter=self.config.datacenter, bundle=self.authority.trust_bundle())

    async def _sign(self, csr_pem: bytes, node: str, renewal: bool) -> bytes:
        leaf = await self.authority.sign(csr_pem, newcomer=not renewal)
        log.info("signed", uri=leaf.uri, node=node, serial=leaf.serial)
        return leaf.chain_pem

    def _is_ready(self) -> bool:
        return self.publisher.current is not None


async def run(config: CoordinatorConfig, version: str, tether: int | None) -> None:
    """Serve until SIGTERM, SIGINT or the end of the tether, at whatever stage they come.

    Raises ConfigError, StoreError, EndpointError and OSError.
    """
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch_signals, signals, nursery.cancel_scope)
            if tether is not None:
                nursery.start_soon(_watch_tether, tether, nursery.cancel_scope)
            await _run(config, version)
            nursery.cancel_scope.cancel()


async def _run(config: CoordinatorConfig, version: str) -> None:
    """Load, serve, and close in order."""
    keys = ensure_key_file(_prepared(config))
    store = await _open_store(config)
    audit = None
    try:
        audit = _open_audit(config)
        wanted = await Wanted.open(store)
        wanted.precede(announce)
        authority = await Authority.open(
            wanted,
            datacenter=config.datacenter,
            config=config.ca_config,
            now=wall_clock,
            chance=random.SystemRandom(),
        )
        enrolment = Enrolment(wanted, wall_clock)
        curve = CurveServer(secret_key=keys.secret_key, allow=enrolment.identity)
        log.info("starting", version=version, python=platform.python_version())
        async with serve_bus(f"tcp://{config.bus_addr}", curve=curve) as bus:
            coordinator = Coordinator(
                config, store, wanted, authority, version, keys.public_key, audit
            )
            await coordinator.run(bus)
    finally:
        if audit is not None:
            audit.close()
        with trio.CancelScope(shield=True):
            await store.aclose()


def _open_audit(config: CoordinatorConfig) -> AuditLog:
    """Raises ConfigError."""
    try:
        return AuditLog(Path(config.state_dir))
    except OSError as error:
        problem = Problem(file=error.filename or "", message=error.strerror or str(error))
        raise ConfigError((problem,)) from error


def _prepared(config: CoordinatorConfig) -> Path:
    """The folders that the configuration names, and the key file in one of them. Raises ConfigError.

    Whoever is in the admin group must get at the socket, so its folder is open to all; the socket is not.
    """
    _make(Path(config.state_dir), 0o700)
    _make(Path(config.admin_path).parent, 0o755)
    return Path(config.key_file)


def _make(folder: Path, mode: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=mode)
    except OSError as error:
        problem = Problem(file=str(folder), message=error.strerror or str(error))
        raise ConfigError((problem,)) from error


async def _open_store(config: CoordinatorConfig) -> SqliteStore:
    """In the state directory, or where the file shall lie; the folder of the file is held and closed."""
    if not config.sqlite_path:
        return await open_store(Path(config.state_dir))
    path = Path(config.sqlite_path)
    _make(path.parent, 0o700)
    return await open_store(path.parent, path=path)


def _tcp(config: CoordinatorConfig) -> Tcp:
    """How the API is served on TCP."""
    tls = config.http_tls
    files = None
    if tls is not None:
        files = TlsFiles(cert_file=tls.cert_file, key_file=tls.key_file, ca_file=tls.ca_file)
    return Tcp(address=config.http_addr, tls=files, loopback_only=config.loopback_only)


async def _watch_signals(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for number in signals:
        log.info("asked to stop", signal=signal.Signals(number).name)
        scope.cancel()


async def _watch_tether(descriptor: int, scope: trio.CancelScope) -> None:
    await wait_until_cut(descriptor)
    scope.cancel()
