"""What a soak shows: a list of checks, each with its figures.  ●

Belongs here: judging what was watched. Never here: watching (`soak`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .trend import Point, growth, is_flat, settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One process: its memory over time, and how many descriptors it had before, at most, and after all."""

    name: str
    memory: tuple[Point, ...]
    descriptors_before: int
    descriptors_most: int
    descriptors_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    what: str
    good: bool
    figures: str


def judge(
    processes: Sequence[Watched],
    loads: Mapping[str, Mapping[str, Any]],
    status: Mapping[str, Any],
    pids_before: Sequence[int],
) -> tuple[Check, ...]:
    """`loads` is what each generator said, `status` what `lockgate status` says afterwards."""
    return (
        *(_memory(one) for one in processes),
        *(_descriptors(one) for one in processes),
        *(_load(name, said) for name, said in loads.items()),
        *_status(status, pids_before),
    )


def _memory(one: Watched) -> Check:
    points = settled(one.memory)
    mean = sum(value for _, value in points) / max(1, len(points))
    grown = growth(points)
    share = grown / mean if mean else 0.0
    return Check(
        what=f"memory of {one.name} is flat",
        good=is_flat(points),
        figures=f"{mean / 1e6:.1f} MB at the mean, trend {grown / 1e6:+.2f} MB ({share:+.1%})",
    )


def _descriptors(one: Watched) -> Check:
    before, most, after = one.descriptors_before, one.descriptors_most, one.descriptors_after
    return Check(
        what=f"descriptors of {one.name} are back",
        good=after <= before,
        figures=f"{before} before, {most} at most, {after} after",
    )


def _load(name: str, said: Mapping[str, Any]) -> Check:
    failures = said.get("failures", {"no result": 1})
    moved = f"{said.get('operations', 0):,} operations, {said.get('bytes', 0) / 1e9:.1f} GB"
    wrong = ", ".join(f"{count} {cause}" for cause, count in failures.items())
    done = bool(said.get("operations") or said.get("bytes"))
    return Check(
        what=f"no connection of {name} failed",
        good=done and not failures,
        figures=moved + (f"; failed: {wrong}" if wrong else ""),
    )


def _status(status: Mapping[str, Any], pids_before: Sequence[int]) -> tuple[Check, ...]:
    (node,) = status["nodes"]
    workers = node["workers"]
    restarts = sum(worker["restarts"] for worker in workers)
    pids = [worker["pid"] for worker in workers]
    open_now = sum(worker["connections"] for worker in workers)
    return (
        Check(
            what="no worker was restarted",
            good=restarts == 0 and sorted(pids) == sorted(pids_before),
            figures=f"{restarts} restarts, workers {pids}",
        ),
        Check(
            what="status is sane",
            good=node["state"] == "current" and open_now == 0,
            figures=f"node {node['state']}, {open_now} connections, {node['engine']} engine",
        ),
    )
