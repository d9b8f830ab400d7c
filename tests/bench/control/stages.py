"""One change on its way from the store to a view, a stage at a time, in one process.

Belongs here: each stage as the product calls it, and what it takes. Never here: the way between processes,
queues and waiting: a change in a cluster (`measure`) takes the sum of these and that.
"""

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cluster.certs import Root, TrustBundle
from cluster.messages import Offer, pack, unpack
from cluster.sections import (
    Whole,
    assemble,
    decode_snapshot,
    encode_whole,
)
from cluster.snapshot import SnapshotId, Trust
from coordinator.compose import Composer
from coordinator.entries.entry import check_entry
from coordinator.store.records import Change, Put
from coordinator.store.sqlite import SqliteStore, open_store
from coordinator.store.tables import CHECKS, ENTRIES, SERVICES
from coordinator.store.wanted import Wanted
from worker.node.delivery import Held
from worker.node.lastgood import FILE_NAME, LastGood
from worker.node.session import verified
from worker.relay.native import NativeEngine
from worker.telemetry.metrics import Metrics
from worker.view.compile import Workshop, compile_view
from worker.view.contexts import ServerContexts
from worker.view.leads import KeptDirectories

from .fill import Scale, intentions, service

T = TypeVar("T")

NODE = "host-0-0000"
KINDS = ("intention", "check")


class Line:
    """All stages of one change after the other; `seconds` by kind of change and stage."""

    def __init__(self, store: SqliteStore, wanted: Wanted, folder: Path) -> None:
        self.seconds: dict[str, dict[str, list[float]]] = {}
        self._kind = ""
        self._store = store
        self._wanted = wanted
        self._last_good = LastGood(folder / FILE_NAME)
        self._trust = Trust(datacenter="dc1", bundle=_bundle())
        self._compose = Composer(default_allow=False, clock=lambda: datetime.now(UTC).timestamp())
        self._shop = Workshop(
            node=NODE,
            metrics=Metrics(),
            contexts=ServerContexts(),
            directories=KeptDirectories(NativeEngine().porter.draw_up),
        )
        self._whole: Whole | None = None
        self._node: Held | None = None
        self._worker: Whole | None = None

    async def change(self, kind: str, *changes: Change) -> None:
        """Bring one change all the way."""
        self._kind = kind
        await self._timed_async("store: commit", lambda: self._wanted.commit(changes))
        state = self._wanted.state.snapshot()
        composed = self._timed("coordinator: compose", lambda: self._compose(state, self._trust))
        before, self._whole = (
            self._whole,
            self._timed(
                "coordinator: encode", lambda: encode_whole(composed.snapshot, self._whole)
            ),
        )
        encoded = self._whole.encoded
        id_ = SnapshotId(epoch="e", generation=state.revision, digest=encoded.digest)
        await self._timed_async("coordinator: history", lambda: self._keep(id_))
        lacking = encoded.without(before.encoded.manifest if before else {})
        offer = Offer(id=id_, manifest=encoded.manifest, sections=lacking)
        body = self._timed("coordinator: pack", lambda: pack(offer))
        self._to_node(body)
        self._to_worker(body)

    async def _keep(self, id_: SnapshotId) -> None:
        assert self._whole is not None
        await self._store.history.save(
            generation=id_.generation,
            digest=id_.digest,
            epoch="e",
            encoded=self._whole.encoded,
            at=0.0,
        )

    def _to_node(self, body: bytes) -> None:
        offer = self._timed("node: unpack", lambda: _offer(body))
        held = self._timed("node: verify", lambda: verified(offer, self._node))
        self._timed("node: keep on disk", lambda: self._last_good.save(held, confirmed_at=0.0))
        self._node = held

    def _to_worker(self, body: bytes) -> None:
        offer = self._timed("worker: unpack", lambda: _offer(body))
        before = self._worker
        encoded = assemble(offer.manifest, offer.sections, before.encoded if before else None)
        snapshot = self._timed(
            "worker: decode", lambda: decode_snapshot(encoded, offer.id.digest, before)
        )
        self._timed("worker: compile", lambda: compile_view(self._shop, offer.id, snapshot, {}))
        self._worker = Whole.of(encoded, snapshot)

    def _timed(self, stage: str, call: Callable[[], T]) -> T:
        begun = time.perf_counter()
        found = call()
        self._note(stage, time.perf_counter() - begun)
        return found

    async def _timed_async(self, stage: str, call: Callable[[], Awaitable[Any]]) -> None:
        begun = time.perf_counter()
        await call()
        self._note(stage, time.perf_counter() - begun)

    def _note(self, stage: str, seconds: float) -> None:
        self.seconds.setdefault(self._kind, {}).setdefault(stage, []).append(seconds)


def measured(state_dir: Path, scale: Scale, writes: int) -> Iterator[str]:
    """A table of medians in microseconds over a state directory that was filled to this scale."""
    seconds = trio.run(_run, state_dir, scale, writes)
    yield f"{f'{scale}: µs of a stage, median':44}" + "".join(f"{kind:>18}" for kind in KINDS)
    for stage in seconds[KINDS[0]]:
        values = (statistics.median(seconds[kind][stage]) * 1e6 for kind in KINDS)
        yield f"{stage:44}" + "".join(f"{value:>18,.0f}" for value in values)


async def _run(state_dir: Path, scale: Scale, writes: int) -> dict[str, dict[str, list[float]]]:
    store = await open_store(state_dir)
    try:
        wanted = await Wanted.open(store)
        line = Line(store, wanted, state_dir)
        await line.change("first", _gateway())
        for number in range(writes):
            await line.change("intention", _intention(number, scale))
            await line.change("check", _check(wanted, number))
        return line.seconds
    finally:
        await store.aclose()


def _gateway() -> Change:
    value = {"ID": "mesh", "Service": "mesh", "Kind": "mesh-gateway", "Port": 18443}
    return Put(table=SERVICES, key=f"{NODE}/mesh", value=value)


def _intention(number: int, scale: Scale) -> Change:
    sources = [service((number * 11 + n) % scale.services) for n in range(4)]
    name = service(number * 7 % scale.services)
    entry, _, _ = check_entry(intentions(name, sources, denied=sources[number % 4]))
    assert entry is not None
    return Put(table=ENTRIES, key=f"{entry.kind}/{entry.name}", value=entry.body)


def _check(wanted: Wanted, number: int) -> Change:
    record = sorted(wanted.state.table(CHECKS).values(), key=lambda one: one.key)[number * 7]
    return Put(table=CHECKS, key=record.key, value={**record.value, "Status": "critical"})


def _offer(body: bytes) -> Offer:
    message = unpack(body)
    assert isinstance(message, Offer)
    return message


def _bundle() -> TrustBundle:
    """A root that can be read; nothing here is verified by it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return TrustBundle(trust_domain="bench.consul", roots=(Root(id="r", pem=pem, active=True),))
