"""Every metric of a worker, in one file, on an injected registry.

Belongs here: the families and their labels bound in advance. Never here: when something is counted.
Labels come from the snapshot and from closed enumerations, never from a client.

What each connection counts is a tally (`worker.telemetry.tally`); what a process counts now and then is the
library's own.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum, unique

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from cluster.messages import Family, Sample
from cluster.reasons import End, HelloReject, RevocationCause
from worker.relay.porter import Counted
from worker.telemetry.decisions import Decisions
from worker.telemetry.since import Since, Spent
from worker.telemetry.tally import Count, Counts, Levels, Registry, Spreads

#: Upper bounds in seconds of what it takes to set up a connection.
SETUP_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
#: Upper bounds in seconds of how long connections last.
LIFE_BUCKETS = (0.01, 0.1, 1, 10, 60, 300, 900, 3600, 14400, 86400)
#: Upper bounds in bytes of ClientHellos.
HELLO_BUCKETS = (256, 512, 1024, 1500, 2048, 4096, 8192, 16384, 32768)


class ServiceMeters:
    """The handles of one service behind one gateway, bound when a view is compiled.

    `opened`, `bytes_up` and `bytes_down` are `Count`, `active` is a `Level`, `duration` a `Spread`.
    """

    __slots__ = (
        "_closed",
        "_ends",
        "_labels",
        "active",
        "bytes_down",
        "bytes_up",
        "duration",
        "opened",
    )

    def __init__(self, metrics: "Metrics", gateway: str, kind: str, service: str) -> None:
        labels = self._labels = (gateway, kind, service)
        self.opened = metrics.opened.labels(*labels)
        self.active = metrics.active.labels(*labels)
        self.bytes_up = metrics.bytes.labels(*labels, "up")
        self.bytes_down = metrics.bytes.labels(*labels, "down")
        self.duration = metrics.duration.labels(*labels)
        self._closed = metrics.closed
        self._ends: dict[End, Count] = {}

    def closed(self, end: End) -> Count:
        """The counter of one ending; bound on first use, as most endings never happen."""
        try:
            return self._ends[end]
        except KeyError:
            found = self._ends[end] = self._closed.labels(*self._labels, end.value)
            return found

    def count(self, counted: Counted) -> None:
        """Connections that the engine has counted by itself."""
        self.opened.inc(counted.opened)
        self.active.inc(counted.opened - sum(counted.closed.values()))
        for end, count in counted.closed.items():
            self.closed(end).inc(count)
        self.bytes_up.inc(counted.bytes_up)
        self.bytes_down.inc(counted.bytes_down)
        self.duration.add(*counted.lasted)


@unique
class RetryEnd(StrEnum):
    """What became of the wish to make a request again."""

    MADE = "made"
    LIMIT = "limit"


class HttpMeters:
    """The handles of one service's requests behind one gateway."""

    __slots__ = ("_codes", "_labels", "_requests", "_retries", "seconds")

    def __init__(self, metrics: "Metrics", gateway: str, service: str) -> None:
        labels = self._labels = (gateway, service)
        self.seconds = metrics.http_seconds.labels(*labels)
        self._requests = metrics.http_requests
        self._retries = metrics.http_retries
        self._codes: dict[int, Count] = {}

    def requests(self, code: int) -> Count:
        """The counter of one status code; upstreams choose it, so what is none of HTTP's is `other`."""
        try:
            return self._codes[code]
        except KeyError:
            known = 100 <= code < 600
            found = self._requests.labels(*self._labels, str(code) if known else "other")
            if known:
                self._codes[code] = found
            return found

    def retries(self, end: RetryEnd) -> Count:
        """The counter of requests that are made again, or not."""
        return self._retries.labels(*self._labels, end.value)


class Metrics:
    """The families, on a registry of this worker's own."""

    def __init__(self) -> None:
        registry = self.registry = Registry()
        #: Called before anything is shown: counts what was counted elsewhere.
        self.before_shown: Callable[[], object] = lambda: None
        registry.register(_First(self))
        service = ("gateway", "kind", "service")
        self.opened = Counts(
            "lockgate_connections_opened",
            "Connections whose service is known.",
            service,
            registry=registry,
            is_quiet=True,
        )
        self.active = Levels(
            "lockgate_connections_active",
            "Connections open now.",
            service,
            registry=registry,
            is_quiet=True,
        )
        self.closed = Counts(
            "lockgate_connections_closed",
            "Connections over, by reason.",
            (*service, "end"),
            registry=registry,
            is_quiet=True,
        )
        self.bytes = Counts(
            "lockgate_connection_bytes",
            "Bytes carried, as the client sees the direction.",
            (*service, "direction"),
            registry=registry,
            is_quiet=True,
        )
        self.duration = Spreads(
            "lockgate_connection_duration_seconds",
            "From accept to end.",
            service,
            buckets=LIFE_BUCKETS,
            registry=registry,
            is_quiet=True,
        )
        self._add_setup(registry)
        self._add_decisions(registry)
        self._add_process(registry)
        self._add_http(registry)
        self._meters: dict[tuple[str, str, str], ServiceMeters] = {}
        self._http_meters: dict[tuple[str, str], HttpMeters] = {}
        self._hellos = Since()
        self._dials = Since()
        self._setups = Since()

    def _add_http(self, registry: CollectorRegistry) -> None:
        labels = ("gateway", "service")
        self.http_requests = Counts(
            "lockgate_http_requests",
            "Requests answered, by status code.",
            (*labels, "code"),
            registry=registry,
            is_quiet=True,
        )
        self.http_retries = Counts(
            "lockgate_http_retries",
            "Requests that failed by what their route tries again after: made again, or over the limit.",
            (*labels, "outcome"),
            registry=registry,
            is_quiet=True,
        )
        self.ejections = Counts(
            "lockgate_endpoint_ejections",
            "Endpoints put out for a while, as they kept failing.",
            labels,
            registry=registry,
            is_quiet=True,
        )
        self.http_seconds = Spreads(
            "lockgate_http_request_duration_seconds",
            "From a request's head to the end of its answer.",
            labels,
            buckets=SETUP_BUCKETS,
            registry=registry,
            is_quiet=True,
        )

    def _add_setup(self, registry: CollectorRegistry) -> None:
        setup = Spreads(
            "lockgate_setup_duration_seconds",
            "Time from accept to relay, by phase.",
            ("phase",),
            buckets=SETUP_BUCKETS,
            registry=registry,
        )
        self.hello_seconds = setup.labels("hello")
        self.handshake_seconds = setup.labels("handshake")
        self.authorize_seconds = setup.labels("authorize")
        self.dial_seconds = setup.labels("dial")
        self.total_seconds = setup.labels("total")
        self.upstream_connect_seconds = Spreads(
            "lockgate_upstream_connect_seconds",
            "Time to connect to an endpoint, its TLS included.",
            buckets=SETUP_BUCKETS,
            registry=registry,
        ).labels()
        self.hello_bytes = Spreads(
            "lockgate_client_hello_bytes",
            "Length of ClientHellos.",
            buckets=HELLO_BUCKETS,
            registry=registry,
        ).labels()
        rejected = Counts(
            "lockgate_client_hello_rejected",
            "ClientHellos refused, by reason.",
            ("reason",),
            registry=registry,
        )
        self.hello_rejected = {why: rejected.labels(why.value) for why in HelloReject}

    def _add_decisions(self, registry: CollectorRegistry) -> None:
        decisions = Counts(
            "lockgate_authorization_decisions",
            "Answers of intentions to callers.",
            ("gateway", "service", "source", "decision"),
            registry=registry,
        )
        self.decisions = Decisions(decisions)
        revoked = Counts(
            "lockgate_connections_revoked",
            "Live connections ended by a change or an operator.",
            ("cause",),
            registry=registry,
        )
        self.revoked = {cause: revoked.labels(cause.value) for cause in RevocationCause}

    def _add_process(self, registry: CollectorRegistry) -> None:
        self.snapshot_generation = Gauge(
            "lockgate_worker_snapshot_generation",
            "Generation that the worker serves.",
            ("worker",),
            registry=registry,
        )
        self.apply_seconds = Histogram(
            "lockgate_snapshot_apply_seconds",
            "Time to check, compile and swap in a snapshot.",
            buckets=SETUP_BUCKETS,
            registry=registry,
        )
        self.loop_lag_seconds = Gauge(
            "lockgate_event_loop_lag_seconds",
            "How late the event loop last woke a timer.",
            ("worker",),
            registry=registry,
        )
        self.engine_info = Gauge(
            "lockgate_relay_engine_info",
            "Which relay engine each worker runs.",
            ("worker", "engine"),
            registry=registry,
        )

    def count_launched(self, dials: Spent, setups: Spent) -> None:
        """What the relay engine has measured of the connections that need no task of ours, so far."""
        counts, seconds = self._dials.since(dials)
        self.dial_seconds.add(counts, seconds)
        self.upstream_connect_seconds.add(counts, seconds)
        self.total_seconds.add(*self._setups.since(setups))

    def count_hellos(self, lengths: Spent) -> None:
        """What the relay engine has read by itself, so far: each was there at its accept."""
        counts, total = self._hellos.since(lengths)
        self.hello_bytes.add(counts, total)
        self.hello_seconds.observe_many(0.0, sum(counts))

    def service(self, gateway: str, kind: str, service: str) -> ServiceMeters:
        """The handles of a service; the same ones for every snapshot."""
        key = (gateway, kind, service)
        found = self._meters.get(key)
        if found is None:
            found = self._meters[key] = ServiceMeters(self, gateway, kind, service)
        return found

    def http(self, gateway: str, service: str) -> HttpMeters:
        """The handles of a service's requests; the same ones for every snapshot."""
        key = (gateway, service)
        found = self._http_meters.get(key)
        if found is None:
            found = self._http_meters[key] = HttpMeters(self, gateway, service)
        return found


class _First(Collector):
    """Shows nothing, but is asked first."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        self._metrics.before_shown()
        return ()


def families(registry: CollectorRegistry) -> tuple[Family, ...]:
    """Everything the registry counts, as values that travel to the node."""
    return tuple(_family(metric) for metric in registry.collect())


def news(registry: Registry, *, afresh: bool) -> tuple[Family, ...]:
    """What the registry has counted since the last call; with `afresh` all, even families without series."""
    found = (_family(metric) for metric in registry.news(afresh=afresh))
    return tuple(family for family in found if afresh or family.samples)


def _family(metric: Metric) -> Family:
    return Family(
        name=metric.name,
        kind=metric.type,
        help=metric.documentation,
        samples=tuple(
            Sample(name=sample.name, labels=dict(sample.labels), value=float(sample.value))
            for sample in metric.samples
            if not sample.name.endswith("_created")
        ),
    )
