"""One run of the load generator against one subject, with what it cost.

Belongs here: starting the generator, and the clocks around it. Never here: what a sample means (`rows`).
"""

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import h2, placement, proc
from .processes import BenchError, pause, running
from .runs import Run, Way, arguments
from .subjects import Subject

GENERATOR = Path(__file__).parent / "load" / "lockload"
#: So long may a run take beyond its seconds: opening and warming up.
PATIENCE_SECONDS = 45
#: After opening idle connections, before memory is looked at.
SETTLE_SECONDS = 1.0
#: The kernel's threads take up to a tenth of a core for work that is ours.
QUIET_CORES = 0.2
QUIET_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the generator said, and the CPU seconds that the subject's processes took meanwhile.

    `busy_cores` is how many cores of the machine were busy with anything, `other_cores` with none of ours:
    the kernel's own threads, and whoever else is there. `load_share` is what generator and upstream used of
    the cores that are theirs. `idle_bytes` is for each of the connections that stood idle.
    """

    said: dict[str, Any]
    cpu_seconds: float = 0.0
    busy_cores: float = 0.0
    load_share: float = 0.0
    other_cores: float = 0.0
    idle_bytes: float | None = None
    problem: str = ""
    failures: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How samples are taken: seconds each, `reset` or orderly ends, and who the upstream is.

    Each waits up to `quiet_seconds` for the machine to be quiet. A sample during which other processes took
    more than QUIET_CORES is taken again, as often as `again` says; the one of them with the least disturbance
    counts, whatever its figures. Unless it or the run is `shared`, the subject has a core of its own.
    """

    seconds: float
    reset: bool
    upstream_pid: int
    log: Path
    again: int = 0
    quiet_seconds: float = 0.0
    shared: bool = False


def measure(run: Run, subject: Subject, way: Way, manner: Manner) -> Sample:
    """One sample. Whatever goes wrong is its `problem`."""
    wait_for_quiet(manner.quiet_seconds)
    best = _once(run, subject, way, manner)
    for _ in range(manner.again):
        if best.other_cores <= QUIET_CORES or run.mode == "idle":
            break
        wait_for_quiet(manner.quiet_seconds)
        best = min(best, _once(run, subject, way, manner), key=lambda sample: sample.other_cores)
    return best


def wait_for_quiet(seconds: float) -> None:
    """Until nobody uses the machine, or so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        busy = proc.busy_seconds()
        pause(QUIET_LOOK_SECONDS)
        if proc.busy_seconds() - busy <= QUIET_CORES * QUIET_LOOK_SECONDS:
            return


def _once(run: Run, subject: Subject, way: Way, manner: Manner) -> Sample:
    try:
        if run.mode == "h2":
            h2.check_spoken(way, subject.name)
            command = h2.command(run, way, manner.seconds, manner.log)
        else:
            command = [
                str(GENERATOR),
                *arguments(run, way, seconds=manner.seconds, reset=manner.reset),
            ]
        if run.mode == "idle":
            return _idle(command, run, subject, manner.log)
        return _busy(command, run, subject, manner)
    except BenchError as error:
        return Sample(said={}, problem=str(error))


def _busy(command: list[str], run: Run, subject: Subject, manner: Manner) -> Sample:
    seconds, log = manner.seconds, manner.log
    cores = _place(subject, manner, shared=manner.shared or run.shared)
    cpu, busy, began = _cpu(subject), proc.busy_seconds(), time.monotonic()
    upstream, children = proc.cpu_seconds([manner.upstream_pid]), _children()
    with running(command, log, stdout=subprocess.PIPE) as process:
        placement.move([process.pid], cores.load)
        try:
            out, _ = process.communicate(timeout=seconds + PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchError(f"the generator did not end: {' '.join(command)}") from None
    took = time.monotonic() - began
    said = h2.parse(out, log) if run.mode == "h2" else _parse(out, process.returncode, log)
    said.setdefault("cpu_seconds", _children() - children)
    cpu, busy = _cpu(subject) - cpu, proc.busy_seconds() - busy
    upstream = proc.cpu_seconds([manner.upstream_pid]) - upstream
    return Sample(
        said=said,
        cpu_seconds=cpu,
        busy_cores=busy / took,
        load_share=(upstream + said["cpu_seconds"]) / took / len(cores.load),
        other_cores=max(0.0, busy - cpu - upstream - said["cpu_seconds"]) / took,
        problem=_problem(run, said),
        failures=said["failures"],
    )


def _place(subject: Subject, manner: Manner, *, shared: bool) -> placement.Cores:
    """Without a proxy, the upstream is the subject."""
    cores = placement.split(os.sched_getaffinity(0), shared=shared)
    direct = not subject.root
    placement.move([manner.upstream_pid], cores.subject if direct else cores.load)
    if not direct:
        placement.move(proc.tree(subject.root), cores.subject)
    return cores


def _idle(command: list[str], run: Run, subject: Subject, log: Path) -> Sample:
    before = proc.resident_bytes(proc.tree(subject.root))
    with running(command, log, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        opened = json.loads(process.stdout.readline() or "{}").get("ready", 0)
        pause(SETTLE_SECONDS)
        grown = proc.resident_bytes(proc.tree(subject.root)) - before
        process.stdin.close()
        said = _parse(process.stdout.read(), process.wait(PATIENCE_SECONDS), log)
    problem = "" if opened == run.connections else f"{opened} of {run.connections} connections"
    return Sample(
        said=said,
        idle_bytes=grown / run.connections,
        problem=problem,
        failures=said["failures"],
    )


def _cpu(subject: Subject) -> float:
    return proc.cpu_seconds([subject.root]) if subject.root else 0.0


def _children() -> float:
    """CPU seconds of children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _parse(out: str, status: int, log: Path) -> dict[str, Any]:
    if status or not out.strip():
        raise BenchError(f"the generator ended with status {status}, see {log}")
    return dict(json.loads(out.strip().splitlines()[-1]))


def _problem(run: Run, said: dict[str, Any]) -> str:
    """Why the figures of this run are worth nothing, if so."""
    if not said["operations"] and not said["bytes"]:
        return "nothing was measured"
    if run.resume and said["resumed"] < 0.9 * said["operations"]:
        return f"only {said['resumed']} of {said['operations']} handshakes were resumed"
    return ""
