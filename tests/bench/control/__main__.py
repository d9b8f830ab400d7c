"""`python -m tests.bench.control`: what a change costs the control plane, small and large, side by side.

Belongs here: the options, a cluster per scale, and the table. Never here: a measurement (`measure`).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench import machine, proc
from tests.bench.lockgate import COMMAND
from tests.bench.processes import BenchError, free_port, running

from . import stages
from .fill import Scale, fill, service
from .measure import Cluster, Times, health_writes, intention_writes

SCALES = (500, 5000)
WORKERS = 8
WRITES = 40
WRITE_SECONDS, REACH_SECONDS, MEMORY_BYTES = 0.020, 1.0, 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one scale gave."""

    scale: Scale
    intention: Times
    health: Times
    coordinator_bytes: int
    node_bytes: int
    worker_bytes: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.control", description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=SCALES)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--writes", type=int, default=WRITES)
    parser.add_argument("--stages", action="store_true", help="time each stage of a change instead")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON here")
    options = parser.parse_args()
    try:
        if options.stages:
            return _stages(options)
        found = [_measure(Scale(services=n), options) for n in options.services]
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    for line in _table(found, options.workers):
        print(line)
    if options.out:
        document = {"machine": machine.facts(), "figures": [asdict(f) for f in found]}
        options.out.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if _is_met(found[-1]) else 3


def _stages(options: argparse.Namespace) -> int:
    for n in options.services:
        with tempfile.TemporaryDirectory(prefix="lockgate-control-") as directory:
            scale, state_dir = Scale(services=n), Path(directory) / "coordinator"
            fill(state_dir, scale)
            for line in stages.measured(state_dir, scale, options.writes):
                print(line)
    return 0


def _measure(scale: Scale, options: argparse.Namespace) -> Figures:
    print(f"{scale}: starting", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="lockgate-control-") as directory:
        root = Path(directory)
        fill(root / "state" / "coordinator", scale)
        with _running(root, options.workers) as ready:
            cluster = Cluster(ready["http"])
            try:
                return _figures(cluster, scale, ready["pids"], options.writes)
            finally:
                cluster.close()


def _figures(cluster: Cluster, scale: Scale, pids: dict[str, Any], writes: int) -> Figures:
    cluster.settle()
    print(f"{scale}: {writes} writes of each kind", file=sys.stderr)
    return Figures(
        scale=scale,
        intention=intention_writes(cluster, scale, writes),
        health=health_writes(cluster, scale, writes),
        coordinator_bytes=proc.resident_bytes([pids["coordinator"]]),
        node_bytes=proc.resident_bytes([pids["node"]]),
        worker_bytes=max(proc.resident_bytes([pid]) for pid in pids["workers"]),
    )


@contextmanager
def _running(root: Path, workers: int) -> Iterator[dict[str, Any]]:
    """The product with a mesh gateway for everything and a terminating gateway for ten services."""
    wanted = root / "wanted"
    wanted.mkdir()
    linked = ", ".join(f'{{ Name = "{service(n)}" }}' for n in range(10))
    for kind, name in (("mesh-gateway", "mesh"), ("terminating-gateway", "egress")):
        (wanted / f"{name}.hcl").write_text(
            f'service {{\n  kind = "{kind}"\n  name = "{name}"\n'
            f'  address = "127.0.0.1"\n  port = {free_port()}\n}}\n'
        )
    (wanted / "linked.hcl").write_text(
        f'Kind = "terminating-gateway"\nName = "egress"\nServices = [ {linked} ]\n'
    )
    log = root / "lockgate.log"
    command = [*COMMAND, "--format", "json", "dev", str(wanted), "--workers", str(workers)]
    command += ["--state", str(root / "state")]
    with running(command, log, stdout=subprocess.PIPE, stop_seconds=60) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError(f"lockgate dev ended at once: {log.read_text()[-500:]}")
        yield json.loads(line)


def _table(found: list[Figures], workers: int) -> Iterator[str]:
    yield "".join([f"{'':44}", *(f"{figures.scale!s:>18}" for figures in found), f"{'wanted':>12}"])
    rows = (
        ("instances", [f"{f.scale.instances:,}" for f in found], ""),
        ("intentions", [f"{f.scale.intentions:,}" for f in found], ""),
        ("intention written, median", [_ms(f.intention.answered_median) for f in found], "20 ms"),
        ("  slowest", [_ms(max(f.intention.answered)) for f in found], ""),
        (
            f"  served by {workers} workers, median",
            [_ms(f.intention.reached_median) for f in found],
            "1000 ms",
        ),
        ("  slowest", [_ms(max(f.intention.reached)) for f in found], ""),
        ("health written, median", [_ms(f.health.answered_median) for f in found], "20 ms"),
        (
            f"  served by {workers} workers, median",
            [_ms(f.health.reached_median) for f in found],
            "1000 ms",
        ),
        ("memory of the coordinator", [_mb(f.coordinator_bytes) for f in found], "1000 MB"),
        ("memory of the node", [_mb(f.node_bytes) for f in found], ""),
        ("memory of a worker", [_mb(f.worker_bytes) for f in found], ""),
    )
    for name, values, wanted in rows:
        yield f"{name:44}" + "".join(f"{value:>18}" for value in values) + f"{wanted:>12}"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def _is_met(figures: Figures) -> bool:
    """Whether the largest scale keeps the promises."""
    times = (figures.intention, figures.health)
    return (
        all(one.answered_median < WRITE_SECONDS for one in times)
        and all(one.reached_median < REACH_SECONDS for one in times)
        and figures.coordinator_bytes < MEMORY_BYTES
    )


if __name__ == "__main__":
    sys.exit(main())
