"""`python -m tests.bench.serve`: everything started and left alone, to drive one load by hand or to profile.

Belongs here: printing pids and commands. Never here: measuring.
"""

import argparse
import shlex
import signal
import sys

from . import proc
from .check import check
from .measure import GENERATOR
from .processes import BenchError
from .runs import (
    CONNECT,
    DOWN,
    ECHO_64,
    GET,
    GET_LARGE,
    HANDSHAKE,
    IDLE,
    ONCE,
    PUT_LARGE,
    RESUME,
    UP,
    Kind,
    Run,
    Way,
    arguments,
)
from .stand import PEERS, bench, subjects
from .subjects import Subject

_RUNS: dict[Kind, tuple[Run, ...]] = {
    "passthrough": (CONNECT, ECHO_64, DOWN, UP, IDLE),
    "tls": (HANDSHAKE, RESUME, ECHO_64, DOWN, UP, IDLE),
    "http": (GET, GET_LARGE, PUT_LARGE),
    "https": (GET, ONCE, GET_LARGE, PUT_LARGE),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serve", description=__doc__)
    parser.add_argument("--peers", default="", help="with commas; none of them if not given")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0, help="in the commands printed")
    options = parser.parse_args()
    peers = [name for name in options.peers.split(",") if name in PEERS]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with bench(peers) as stand, subjects(stand, peers, processes=options.processes) as (_, on):
            for subject in (stand.direct, *on):
                check(subject)
                _show(subject, options.seconds)
            print("Ctrl-C ends everything.", flush=True)
            signal.pause()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _show(subject: Subject, seconds: float) -> None:
    """Pids; for each kind the modes, and one command, of which everything but the mode stays the same."""
    print(f"\n== {subject.name} {subject.version}")
    for pid in proc.tree(subject.root) if subject.root else ():
        print(f"   {pid:>7}  {proc.command(pid)[:90]}")
    for kind, way in ((kind, way) for kind, way in subject.ways.items() if kind in _RUNS):
        print(f"-- {kind}: {', '.join(_words(run) for run in _RUNS[kind])}")
        print(_command(_RUNS[kind][0], way, seconds))


def _words(run: Run) -> str:
    size = f" --bytes {run.bytes}" if run.bytes else ""
    return f"{run.mode} --connections {run.connections}{size}" + " --resume" * run.resume


def _command(run: Run, way: Way, seconds: float) -> str:
    return shlex.join([str(GENERATOR), *arguments(run, way, seconds=seconds)])


if __name__ == "__main__":
    sys.exit(main())
