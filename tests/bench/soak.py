"""`python -m tests.bench.soak`: full load on one Lockgate for long. Is memory flat?

Belongs here: the load, and watching. Never here: judging (`verdict`, `trend`).
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import machine, proc, progress
from .check import check
from .lockgate import Lockgate
from .measure import GENERATOR
from .processes import BenchError, pause, running
from .runs import Kind, Run, arguments
from .stand import Bench, bench, subjects
from .subjects import Subject
from .verdict import Check, Watched, judge

SAMPLE_SECONDS = 5.0
#: So long may connections take to be over after the load has ended.
AFTER_SECONDS = 30.0
#: So long may descriptors take to be back: the coordinator keeps HTTP connections of our questions for 120 s.
DESCRIPTORS_SECONDS = 150.0

#: All at once. Together they want more than two cores have.
LOAD: tuple[tuple[Kind, Run], ...] = (
    ("passthrough", Run(key="connect", mode="connect", connections=32)),
    ("passthrough", Run(key="echo", mode="echo", connections=200)),
    ("passthrough", Run(key="down", mode="down", connections=2)),
    ("tls", Run(key="full", mode="connect", connections=8)),
    ("tls", Run(key="resume", mode="connect", connections=8, resume=True)),
    ("tls", Run(key="echo", mode="echo", connections=200)),
    ("tls", Run(key="up", mode="up", connections=2)),
)


@dataclass
class Watch:
    """Samples of one process."""

    name: str
    before: int
    memory: list[tuple[float, float]] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def look(self, pid: int, now: float) -> None:
        self.memory.append((now, proc.resident_bytes([pid])))
        self.descriptors.append(proc.descriptors(pid))


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parser().parse_args()
    return progress.to_the_end("soak", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    with bench(()) as stand, subjects(stand, (), processes=options.workers) as (product, on):
        check(on[0])
        found = _soak(stand, product, on[0], options.seconds)
    return _publish(options, found)


def _soak(stand: Bench, product: Lockgate, subject: Subject, seconds: float) -> dict[str, Any]:
    progress.tell("warming up")
    with _loads(stand, subject, 2.0) as processes:
        _finish(processes, 2.0)
    _wait_until_idle(product)
    pids = proc.tree(subject.root)
    watches = {pid: Watch(_name(pid), proc.descriptors(pid)) for pid in pids}
    workers = [worker["pid"] for worker in product.status()["nodes"][0]["workers"]]
    with _loads(stand, subject, seconds) as processes:
        _watch(watches, seconds)
        said = _finish(processes, seconds)
    _wait_until_idle(product)
    after = _descriptors_after(watches)
    watched = [_watched(watch, after[pid]) for pid, watch in watches.items()]
    status = product.status()
    checks = judge(watched, said, status, workers)
    return {
        "seconds": seconds,
        "machine": machine.facts(),
        "checks": [asdict(one) for one in checks],
        "processes": [asdict(one) for one in watched],
        "loads": said,
        "status": status,
    }


@contextmanager
def _loads(
    stand: Bench, subject: Subject, seconds: float
) -> Iterator[dict[str, subprocess.Popen[str]]]:
    with ExitStack() as stack:
        yield {
            f"{kind} {run}": stack.enter_context(
                running(
                    [str(GENERATOR), *arguments(run, subject.ways[kind], seconds=seconds)],
                    stand.directory / "generator.log",
                    stdout=subprocess.PIPE,
                )
            )
            for kind, run in LOAD
        }


def _finish(
    processes: Mapping[str, subprocess.Popen[str]], seconds: float
) -> dict[str, dict[str, Any]]:
    """What each generator says at its end; nothing, if it ends otherwise."""
    said = {}
    for name, process in processes.items():
        try:
            out, _ = process.communicate(timeout=seconds + 60)
        except subprocess.TimeoutExpired:
            raise BenchError(f"the load {name} did not end") from None
        said[name] = dict(json.loads(out)) if out.strip() else {}
    return said


def _watch(watches: Mapping[int, Watch], seconds: float) -> None:
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        for pid, watch in watches.items():
            try:
                watch.look(pid, now)
            except (FileNotFoundError, ProcessLookupError):
                raise BenchError(f"{watch.name} ended after {now:.0f} s") from None
        memory = sum(watch.memory[-1][1] for watch in watches.values())
        open_now = sum(watch.descriptors[-1] for watch in watches.values())
        progress.tell(f"{now:5.0f} of {seconds:g} s: {memory / 1e6:.1f} MB, {open_now} descriptors")
        pause(min(SAMPLE_SECONDS, max(0.1, seconds / 20)))
    progress.done()


def _wait_until_idle(product: Lockgate) -> None:
    """Raises BenchError, if connections stay open although their clients are gone."""
    deadline = time.monotonic() + AFTER_SECONDS
    while workers := _busy_workers(product):
        if time.monotonic() > deadline:
            raise BenchError(f"{AFTER_SECONDS:g} s after the load, connections stay: {workers}")
        pause(0.5)


def _busy_workers(product: Lockgate) -> dict[int, int]:
    workers = product.status()["nodes"][0]["workers"]
    return {one["index"]: one["connections"] for one in workers if one["connections"]}


def _descriptors_after(watches: Mapping[int, Watch]) -> dict[int, int]:
    """Once they are back, or when the time for that is over."""
    deadline = time.monotonic() + DESCRIPTORS_SECONDS
    while True:
        found = {pid: proc.descriptors(pid) for pid in watches}
        back = all(found[pid] <= watch.before for pid, watch in watches.items())
        if back or time.monotonic() > deadline:
            return found
        pause(0.5)


def _watched(watch: Watch, after: int) -> Watched:
    return Watched(
        name=watch.name,
        memory=tuple(watch.memory),
        descriptors_before=watch.before,
        descriptors_most=max(watch.descriptors),
        descriptors_after=after,
    )


def _name(pid: int) -> str:
    """What a process of the tree is, from its command line."""
    line = proc.command(pid)
    modules = {"worker.node": "node", "worker": "worker", "coordinator": "coordinator"}
    words = line.split()
    module = words[words.index("-m") + 1] if "-m" in words else words[0]
    return f"{modules.get(module, 'dev')} {pid}"


def _publish(options: argparse.Namespace, found: dict[str, Any]) -> int:
    checks = [Check(**one) for one in found["checks"]]
    good = all(one.good for one in checks)
    found = {"good": good, **found}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    if options.format == "json":
        print(json.dumps(found))
    else:
        for one in checks:
            print(f"{'ok  ' if one.good else 'FAIL'}  {one.what:44}  {one.figures}")
        print(f"\n{'passed' if good else 'FAILED'}; {options.out} has every sample.")
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--out", type=Path, default=Path("build/soak.json"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
