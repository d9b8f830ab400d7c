"""What a coordinator counts, on a registry that is handed in. The only place of its metrics' names.

Belongs here: names, help texts, buckets. Never here: when something is counted.
"""

import platform
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from coordinator.rollout import NodeState

_CONVERGENCE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_COMPOSE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Bound handles; each attribute is one metric."""

    def __init__(self, registry: CollectorRegistry | None = None, *, version: str) -> None:
        registry = self._registry = registry or CollectorRegistry()
        self.convergence_seconds = Histogram(
            "lockgate_convergence_seconds",
            "From the commit of a change until the last connected node serves it.",
            buckets=_CONVERGENCE_BUCKETS,
            registry=registry,
        )
        self.snapshot_generation = Gauge(
            "lockgate_snapshot_generation", "The published generation.", registry=registry
        )
        self.snapshot_nacks = Counter(
            "lockgate_snapshot_nacks_total", "Snapshots that a node refused.", registry=registry
        )
        self.compose_seconds = Histogram(
            "lockgate_compose_seconds",
            "Making and encoding a snapshot of the wanted state.",
            buckets=_COMPOSE_BUCKETS,
            registry=registry,
        )
        self.compose_failures = Counter(
            "lockgate_compose_failures_total",
            "Wanted states that no whole snapshot can be made of; the last one stands.",
            registry=registry,
        )
        nodes = Gauge("lockgate_nodes", "Nodes by state.", ("state",), registry=registry)
        self.nodes = {state: nodes.labels(state.value) for state in NodeState}
        info = Gauge("lockgate_build_info", "Always 1.", ("version", "python"), registry=registry)
        info.labels(version, platform.python_version()).set(1)

    def page(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def document(self) -> dict[str, Any]:
        """Everything as Consul's agents tell their metrics in JSON, but for the moment of it.

        Each is the present value or the total since the start; histograms show as their sums and counts.
        """
        gauges: list[dict[str, Any]] = []
        counters: list[dict[str, Any]] = []
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name.endswith(("_bucket", "_created")):
                    continue
                shown = {"Name": sample.name, "Labels": sample.labels}
                if family.type == "gauge":
                    gauges.append(shown | {"Value": sample.value})
                else:
                    counters.append(shown | {"Count": int(sample.value), "Sum": sample.value})
        return {"Gauges": gauges, "Points": [], "Counters": counters, "Samples": []}
