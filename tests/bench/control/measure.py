"""Writes against a running cluster: how long until the answer, how long until every worker has it.

Belongs here: the writes and their times. Never here: making the cluster (`__main__`), or tables.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx

from tests.bench.processes import BenchError, pause

from .fill import Scale, alive, intentions, service

#: So long may a generation take to reach all workers before the benchmark gives up.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds of each write: until its answer, and until the last worker serves it."""

    answered: tuple[float, ...]
    reached: tuple[float, ...]

    @property
    def answered_median(self) -> float:
        return median(self.answered)

    @property
    def reached_median(self) -> float:
        return median(self.reached)


class Cluster:
    """The API of a running cluster with one connection kept open."""

    def __init__(self, http: str) -> None:
        self._client = httpx.Client(base_url=http, timeout=60.0)

    def close(self) -> None:
        self._client.close()

    def put(self, path: str, body: Any) -> float:
        """Seconds until the answer. Raises BenchError for any but 200."""
        begun = time.perf_counter()
        response = self._client.put(path, json=body)
        took = time.perf_counter() - begun
        if response.status_code != 200:
            raise BenchError(f"PUT {path}: {response.status_code} {response.text[:200]}")
        return took

    def status(self) -> dict[str, Any]:
        return dict(self._client.get("/v1/lockgate/status").json())

    def settle(self) -> dict[str, Any]:
        """Wait until every worker serves the newest generation. Raises BenchError after a minute."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            status = self.status()
            if _is_level(status):
                return status
            pause(0.05)
        raise BenchError(f"after {PATIENCE_SECONDS:.0f} s the workers still lag: {self.status()}")


def _is_level(status: dict[str, Any]) -> bool:
    workers = [worker for node in status["nodes"] for worker in node["workers"]]
    return all(worker["generation"] == status["generation"] for worker in workers)


def intention_writes(cluster: Cluster, scale: Scale, count: int) -> Times:
    """One intention at a time turns to deny and back; each waits until the last has arrived."""
    chance = random.Random(2)

    def body(number: int) -> tuple[str, Any]:
        sources = [service(n) for n in chance.sample(range(scale.services), 4)]
        name = service(chance.randrange(scale.services))
        return "/v1/config", intentions(name, sources, denied=sources[number % 4])

    return _each(cluster, count, body)


def health_writes(cluster: Cluster, scale: Scale, count: int) -> Times:
    """One instance at a time becomes critical or passing."""
    status = ("critical", "passing")

    def body(number: int) -> tuple[str, Any]:
        of = number // 2 * 7 % scale.services
        name, node = service(of), f"host-0-{of // 50:04d}"
        check = alive(name, status[number % 2]) | {"Node": node}
        found = {"Node": node, "SkipNodeUpdate": True, "Check": check}
        return "/v1/catalog/register", found

    return _each(cluster, count, body)


def _each(cluster: Cluster, count: int, body: Callable[[int], tuple[str, Any]]) -> Times:
    answered, reached = [], []
    for number in range(count):
        path, content = body(number)
        before = cluster.status()["generation"]
        answered.append(cluster.put(path, content))
        _wait_past(cluster, before)
        reached.append(cluster.settle()["convergence_seconds"]["last"])
    return Times(answered=tuple(answered), reached=tuple(reached))


def _wait_past(cluster: Cluster, generation: int) -> None:
    """Until the write has become a generation: answering comes before composing."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while cluster.status()["generation"] <= generation:
        if time.monotonic() > deadline:
            raise BenchError(f"nothing newer than generation {generation} after a write")
        pause(0.02)
