"""The node's metrics page: its own numbers and the sum over its workers, in Prometheus' text format.

Belongs here: the names of the node's own metrics, and rendering. Never here: adding up
(`worker.node.aggregate`) or serving (`worker.node.http`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from cluster.certs import Leaf
from cluster.identity import IdentityError, ServiceId, parse
from cluster.messages import Family, Sample

#: What the page is, for HTTP.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The node's own numbers at one moment. Ages and times are in seconds, None if there is nothing yet."""

    version: str
    engine: str
    workers_up: Mapping[int, bool]
    restarts: Mapping[int, int]
    generation: int
    snapshot_age_seconds: float | None
    nacks: int
    leaves: tuple[Leaf, ...]
    missing_leaves: int
    unbound_listeners: int
    write_failures: int
    coordinator_up: bool


def own_families(reading: Reading) -> Iterator[Family]:
    """The node's own metrics."""
    yield _family(
        "lockgate_worker_up",
        "gauge",
        "Whether a worker process serves.",
        {(("worker", str(index)),): float(up) for index, up in reading.workers_up.items()},
    )
    yield _family(
        "lockgate_worker_restarts",
        "counter",
        "Times that a worker was started again.",
        {(("worker", str(index)),): count for index, count in reading.restarts.items()},
    )
    yield _single(
        "lockgate_snapshot_generation",
        "gauge",
        "Generation that all workers serve; 0 is none.",
        reading.generation,
    )
    if reading.snapshot_age_seconds is not None:
        yield _single(
            "lockgate_snapshot_age_seconds",
            "gauge",
            "Since a coordinator last confirmed what is served.",
            reading.snapshot_age_seconds,
        )
    yield _single(
        "lockgate_snapshot_nacks", "counter", "Snapshots refused by this node.", reading.nacks
    )
    yield _family(
        "lockgate_certificate_not_after_timestamp_seconds",
        "gauge",
        "When the leaf of a service ends.",
        {(("service", service_of(leaf)),): leaf.not_after for leaf in reading.leaves},
    )
    yield _single(
        "lockgate_certificates_missing",
        "gauge",
        "Linked services without a valid leaf.",
        reading.missing_leaves,
    )
    yield _single(
        "lockgate_listeners_unbound",
        "gauge",
        "Listeners whose port could not be had; tried again every few seconds.",
        reading.unbound_listeners,
    )
    yield _single(
        "lockgate_state_write_failures",
        "counter",
        "Failures to write leaves or the last good snapshot to disk.",
        reading.write_failures,
    )
    yield _single(
        "lockgate_coordinator_up",
        "gauge",
        "Whether a coordinator answers.",
        float(reading.coordinator_up),
    )
    yield _family(
        "lockgate_build_info",
        "gauge",
        "What runs here.",
        {(("engine", reading.engine), ("version", reading.version)): 1.0},
    )


def service_of(leaf: Leaf) -> str:
    """The service that a leaf is for, as people write it."""
    try:
        identity = parse(leaf.uri)
    except IdentityError:
        return leaf.uri
    return identity.service if isinstance(identity, ServiceId) else leaf.uri


def _single(name: str, kind: str, text: str, value: float) -> Family:
    return _family(name, kind, text, {(): value})


def _family(
    name: str, kind: str, text: str, values: Mapping[tuple[tuple[str, str], ...], float]
) -> Family:
    sample = f"{name}_total" if kind == "counter" else name
    samples = tuple(
        Sample(name=sample, labels=dict(labels), value=float(value))
        for labels, value in values.items()
    )
    return Family(name=name, kind=kind, help=text, samples=samples)


class _Page(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.help, family.kind)
            for sample in family.samples:
                metric.add_sample(sample.name, sample.labels, sample.value)
            yield metric


def render(own: Iterable[Family], of_workers: Iterable[Family]) -> bytes:
    """The page. A name of the node's own is not taken from workers as well."""
    mine = tuple(own)
    names = {family.name for family in mine}
    others = tuple(family for family in of_workers if family.name not in names)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page((*mine, *others)))
    return generate_latest(registry)
