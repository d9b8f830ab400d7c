"""The link to the node: snapshots and keys in, acknowledgements and reports out.

Belongs here: what a worker says to its node and when. Never here: how a view is compiled, or traffic.

Everything that can fail comes before the swap, and the swap cannot fail. On any doubt the old view stays,
and the node is told why. The node may die and come back: the socket reconnects by itself and the worker
says Hello again, while its connections go on.
"""

import platform
from collections.abc import Callable

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
from cluster.reasons import End, RevocationCause
from cluster.snapshot import Encoded, SnapshotId, assemble, decode_snapshot
from worker.gateways.inbound import World
from worker.listeners import Listeners
from worker.live import revoked
from worker.report import close_ids, connections_page
from worker.telemetry.metrics import families
from worker.view.compile import Workshop, compile_view
from worker.view.view import View

log = structlog.get_logger()

STATUS_SECONDS = 1.0
METRICS_EVERY = 2  #: statuses for each push of metrics


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
        self._encoded: Encoded | None = None
        self._have: SnapshotId | None = None
        self._leaves: dict[str, Leaf] = {}
        self._greet = trio.Event()

    def greet(self) -> None:
        """Say Hello again: the node may be a new one."""
        self._greet.set()

    async def run(self, bus: ClientBus) -> None:
        """Serve the link until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._say_hello, bus)
            nursery.start_soon(self._report, bus)
            async for body in bus:
                try:
                    answer = self._take(unpack(body))
                except WireError as error:
                    log.error("the node sent something unknown", error=str(error))
                    answer = Refusal(reason=str(error))
                if answer is not None:
                    await bus.send(pack(answer))

    async def _say_hello(self, bus: ClientBus) -> None:
        while True:
            self._greet = trio.Event()
            held = self._encoded.manifest if self._encoded else {}
            index = str(self._world.settings.index)
            hello = Hello(
                sender=index,
                incarnation=self._incarnation,
                software=f"python {platform.python_version()}",
                have=self._have,
                held=held,
            )
            await bus.send(pack(hello))
            await self._greet.wait()

    async def _report(self, bus: ClientBus) -> None:
        count = 0
        while True:
            await bus.send(pack(self.status()))
            if count % METRICS_EVERY == 0:
                await bus.send(pack(self._metrics()))
            count += 1
            await trio.sleep(STATUS_SECONDS)

    def status(self) -> WorkerStatus:
        view = self._world.current.view
        return WorkerStatus(
            index=self._world.settings.index,
            pid=self._pid,
            generation=view.generation,
            connections=len(self._world.live),
            missing_leaves=len(view.missing_leaves),
            draining=self._draining,
        )

    def _metrics(self) -> Metrics:
        registry = self._world.metrics.registry
        return Metrics(index=self._world.settings.index, families=families(registry))

    def _take(self, message: Message) -> Message | None:
        """Act on one message of the node; what to answer."""
        match message:
            case Offer():
                return self._offer(message)
            case Keys():
                return self._keys(message)
            case Query():
                return self._query(message)
            case Close():
                self._close(message)
            case Drain():
                self._draining = True
                self._drain(message.grace_seconds)
                return self.status()
            case Refusal():
                log.error("the node refused a message", reason=message.reason)
            case _:
                raise WireError(f"a worker does not take {type(message).__name__}")
        return None

    def _offer(self, offer: Offer) -> Ack | Nack:
        started = self._world.clock()
        if self._have is not None and offer.id.digest == self._have.digest:
            self._have = offer.id
            return Ack(id=offer.id)
        try:
            encoded = assemble(offer.manifest, offer.sections, self._encoded)
            snapshot = decode_snapshot(encoded, offer.id.digest)
            view = compile_view(self._shop, offer.id, snapshot, self._leaves)
        except SnapshotRejected as rejected:
            log.error("snapshot rejected", id=str(offer.id), reason=str(rejected))
            return Nack(id=offer.id, problems=rejected.problems)
        except Exception as error:
            log.exception("a bug kept a snapshot from being applied", id=str(offer.id))
            bug = Problem(message=f"{type(error).__name__}: {error}")
            return Nack(id=offer.id, problems=(bug,))
        self._encoded, self._have = encoded, offer.id
        self._swap(view)
        self._world.metrics.apply_seconds.observe(self._world.clock() - started)
        return Ack(id=offer.id)

    def _keys(self, keys: Keys) -> WorkerStatus | None:
        """New leaves: compile the snapshot that is served once more."""
        self._leaves = {leaf.uri: leaf for leaf in keys.leaves}
        if self._encoded is None or self._have is None:
            return None
        snapshot = decode_snapshot(self._encoded, self._have.digest)
        self._swap(compile_view(self._shop, self._have, snapshot, self._leaves))
        return self.status()

    def _swap(self, view: View) -> None:
        world = self._world
        world.current.swap(view)
        self._listeners.serve(view)
        for entry in revoked(world.live, view.policies):
            entry.end(End.INTENTION_REVOKED)
            world.metrics.revoked[RevocationCause.INTENTION].inc()
        index = str(world.settings.index)
        world.metrics.snapshot_generation.labels(index).set(view.generation)

    def _query(self, query: Query) -> Answer:
        world = self._world
        if query.what == "connections":
            return connections_page(world.live, query, world.settings, world.clock())
        return Answer(request=query.request, error=f"a worker knows nothing of {query.what!r}")

    def _close(self, close: Close) -> None:
        for entry in close_ids(self._world.live, close.connections, self._world.settings):
            entry.end(close.end)
            self._world.metrics.revoked[RevocationCause.OPERATOR].inc()
