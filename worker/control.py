"""The link to the node: snapshots and keys in, acknowledgements and reports out.

Belongs here: what a worker says to its node and when. Never here: how a view is compiled, or traffic.

Everything that can fail comes before the swap, and the swap cannot fail. On any doubt the old view stays,
and the node is told why. Decoding and compiling take place in a thread, one message at a time, so that
connections go on meanwhile; the swap is this task's. The node may die and come back: the worker says Hello
on each connection, while its own connections go on.
"""

import platform
from collections.abc import Callable
from dataclasses import replace

import structlog
import trio

from cluster.bus import ClientBus
from cluster.certs import Leaf
from cluster.errors import Problem, SnapshotRejected, WireError
from cluster.messages import (
    Ack,
    Answer,
    Close,
    Drain,
    Hello,
    Keys,
    Message,
    Metrics,
    Nack,
    Offer,
    Query,
    Refusal,
    WorkerStatus,
    pack,
    unpack,
)
from cluster.reasons import RevocationCause
from cluster.sections import (
    Encoded,
    Whole,
    assemble,
    decode_snapshot,
)
from cluster.snapshot import SnapshotId
from worker.gateways.inbound import World
from worker.listeners import Listeners
from worker.report import close_ids, closed_page, connections_page, one_connection
from worker.revocation import revoke
from worker.telemetry.metrics import news
from worker.view.compile import Workshop, compile_view
from worker.view.view import View

log = structlog.get_logger()

STATUS_SECONDS = 1.0
METRICS_EVERY = 2  #: statuses for each push of metrics
#: After the node refused a message it may want to know who we are.
_AFTER_REFUSAL_SECONDS = 1.0


class Control:
    """One worker's side of its link."""

    def __init__(
        self,
        world: World,
        shop: Workshop,
        listeners: Listeners,
        *,
        pid: int,
        incarnation: str,
        drain: Callable[[float], None],
    ) -> None:
        self._world = world
        self._shop = shop
        self._listeners = listeners
        self._pid = pid
        self._incarnation = incarnation
        self._drain = drain
        self._draining = False
        self._whole: Whole | None = None
        self._have: SnapshotId | None = None
        self._leaves: dict[str, Leaf] = {}
        self._greet = trio.Event()
        self._greeted = 0  # the connection, by number, on which the node knows us
        self._tell_afresh = True
        self._news = trio.Event()
        self._refused = trio.Event()

    def greet(self) -> None:
        """Say Hello again: the node may be a new one."""
        self._greet.set()

    def announce_draining(self) -> None:
        """Tell the node at once, so that siblings accept in this worker's place."""
        self._draining = True
        self._news.set()

    async def run(self, bus: ClientBus) -> None:
        """Serve the link until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._greet_each_connection, bus)
            nursery.start_soon(self._greet_after_refusals)
            nursery.start_soon(self._introduce, bus)
            nursery.start_soon(self._report, bus)
            async for body in bus:
                answer = await self._answer(body)
                if answer is not None:
                    await bus.send(pack(answer))
                if isinstance(answer, Ack):
                    self._news.set()

    async def farewell(self, bus: ClientBus) -> None:
        """The last account, before the process ends; nothing if nobody is there to hear it."""
        if self._is_known(bus):
            await bus.send(pack(self.status()))
            await bus.send(pack(self._metrics()))

    async def _greet_each_connection(self, bus: ClientBus) -> None:
        seen = 0
        while True:
            seen = await bus.wait_connected(seen)
            self.greet()

    async def _greet_after_refusals(self) -> None:
        while True:
            await self._refused.wait()
            await trio.sleep(_AFTER_REFUSAL_SECONDS)
            self._refused = trio.Event()
            self.greet()

    async def _introduce(self, bus: ClientBus) -> None:
        while True:
            await self._greet.wait()
            self._greet = trio.Event()
            connection = await bus.wait_connected()
            await bus.send(pack(self._hello()))
            self._greeted = connection
            self._tell_afresh = True
            self._news.set()

    def _hello(self) -> Hello:
        return Hello(
            sender=str(self._world.settings.index),
            incarnation=self._incarnation,
            software=f"python {platform.python_version()}",
            have=self._have,
            held=self._whole.encoded.manifest if self._whole else {},
        )

    def _is_known(self, bus: ClientBus) -> bool:
        return bus.link.is_connected and bus.link.connections == self._greeted

    async def _report(self, bus: ClientBus) -> None:
        """Status on news and every second, metrics now and then; not while the node is away."""
        next_metrics = 0
        while True:
            self._news = trio.Event()
            if self._is_known(bus):
                await bus.send(pack(self.status()))
                if next_metrics <= 0:
                    await bus.send(pack(self._metrics()))
                    next_metrics = METRICS_EVERY
            with trio.move_on_after(STATUS_SECONDS):
                await self._news.wait()
                continue
            next_metrics -= 1

    def status(self) -> WorkerStatus:
        view = self._world.current.view
        return WorkerStatus(
            index=self._world.settings.index,
            pid=self._pid,
            generation=view.generation,
            connections=len(self._world.live),
            missing_leaves=len(view.missing_leaves),
            draining=self._draining,
            revocations=self._world.live.revocations,
        )

    def _metrics(self) -> Metrics:
        """All of it to a node that was just greeted; after that what changed."""
        afresh, self._tell_afresh = self._tell_afresh, False
        told = news(self._world.metrics.registry, afresh=afresh)
        return Metrics(index=self._world.settings.index, families=told, is_news=not afresh)

    async def _answer(self, body: bytes) -> Message | None:
        try:
            return await self._take(unpack(body))
        except WireError as error:
            log.error("the node sent something unknown", error=str(error))
            return Refusal(reason=str(error))

    async def _take(self, message: Message) -> Message | None:
        """Act on one message of the node; what to answer."""
        match message:
            case Offer():
                return await self._offer(message)
            case Keys():
                return await self._keys(message)
            case Query():
                return self._query(message)
            case Close():
                self._close(message)
            case Drain():
                self._drain(message.grace_seconds)
            case Refusal():
                log.warning("the node refused a message", reason=message.reason)
                self._refused.set()
            case _:
                raise WireError(f"a worker does not take {type(message).__name__}")
        return None

    async def _offer(self, offer: Offer) -> Ack | Nack:
        started = self._world.clock()
        if self._have is not None and offer.id.digest == self._have.digest:
            self._have = offer.id
            self._swap(replace(self._world.current.view, id=offer.id))
            return Ack(id=offer.id)
        try:
            held = self._whole.encoded if self._whole else None
            encoded = assemble(offer.manifest, offer.sections, held)
            whole, view = await self._compiled(encoded, offer.id)
        except SnapshotRejected as rejected:
            log.error("snapshot rejected", id=str(offer.id), reason=str(rejected))
            return Nack(id=offer.id, problems=rejected.problems)
        except Exception as error:
            log.exception("a bug kept a snapshot from being applied", id=str(offer.id))
            bug = Problem(message=f"{type(error).__name__}: {error}")
            return Nack(id=offer.id, problems=(bug,))
        self._whole, self._have = whole, offer.id
        self._swap(view)
        self._world.metrics.apply_seconds.observe(self._world.clock() - started)
        return Ack(id=offer.id)

    async def _keys(self, keys: Keys) -> WorkerStatus | None:
        """New leaves: compile the snapshot that is served once more."""
        self._leaves = {leaf.uri: leaf for leaf in keys.leaves}
        if self._whole is None or self._have is None:
            return None
        try:
            _, view = await self._compiled(self._whole.encoded, self._have)
        except Exception:  # of whatever kind: all workers get these keys, and all would end
            log.exception("a bug kept new leaves from being applied", id=str(self._have))
            return None
        self._swap(view)
        return self.status()

    async def _compiled(self, encoded: Encoded, snapshot_id: SnapshotId) -> tuple[Whole, View]:
        """Raises `SnapshotRejected`."""
        before, leaves = self._whole, self._leaves

        def compiled() -> tuple[Whole, View]:
            snapshot = decode_snapshot(encoded, snapshot_id.digest, before)
            view = compile_view(self._shop, snapshot_id, snapshot, leaves)
            return Whole.of(encoded, snapshot), view

        return await trio.to_thread.run_sync(compiled)

    def _swap(self, view: View) -> None:
        """From here on `view` holds; whom it no longer permits is out."""
        world = self._world
        for problem in view.problems:
            log.error("a service cannot be served", reason=str(problem))
        world.current.swap(view)
        self._listeners.serve(view)
        revoke(world)
        index = str(world.settings.index)
        world.metrics.snapshot_generation.labels(index).set(view.generation)

    def _query(self, query: Query) -> Answer:
        world = self._world
        if query.what == "connections":
            return connections_page(world.live, query, world.settings, world.clock())
        if query.what == "closed":
            return closed_page(world, query)
        if query.what == "connection":
            return one_connection(world, query)
        return Answer(request=query.request, error=f"a worker knows nothing of {query.what!r}")

    def _close(self, close: Close) -> None:
        for entry in close_ids(self._world.live, close.connections, self._world.settings):
            if entry.end(close.end):
                self._world.metrics.revoked[RevocationCause.OPERATOR].inc()
