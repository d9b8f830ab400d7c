"""`python -m tests.bench`: Lockgate beside HAProxy and nginx. `make bench` builds what it needs first.

Belongs here: the command line, and how it ends. Never here: measuring.
"""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from . import machine, progress
from .campaign import Campaign, carry_out
from .document import document
from .evaluate import Record, disturbance, evaluate
from .processes import BenchError
from .rows import ROWS, Row
from .stand import PEERS, bench
from .table import render


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parser().parse_args()
    return progress.to_the_end("bench", lambda: _measure(options))


def _measure(options: argparse.Namespace) -> int:
    campaign = Campaign(
        rows=_rows(options.rows),
        peers=tuple(options.peers),
        rounds=options.rounds,
        seconds=options.seconds,
        processes=options.processes,
        reset=options.reset,
        again=options.again,
        quiet_seconds=options.quiet,
        shared=options.shared,
    )
    facts = machine.facts()
    records: list[Record] = []
    versions: dict[str, str] = {}
    try:
        with bench(campaign.peers) as site:
            versions = carry_out(campaign, site, records)
    finally:
        if records:
            _publish(options, campaign, records, facts, versions)
    return 0


def _publish(
    options: argparse.Namespace,
    campaign: Campaign,
    records: list[Record],
    facts: dict[str, Any],
    versions: dict[str, str],
) -> None:
    lines = evaluate(campaign.rows, records, peers=campaign.peers, cores=facts["cores"])
    progress.done()
    found = document(campaign, lines, records, facts, versions)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    if options.format == "json":
        print(json.dumps(found))
    else:
        print(render(lines, campaign.peers))
        print(disturbance(records))
        print(f"\n{options.out} has every single figure.")


def _rows(wanted: str) -> tuple[Row, ...]:
    """Rows whose key contains one of these words."""
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    found = tuple(row for row in ROWS if not words or any(word in row.key for word in words))
    if not found:
        keys = ", ".join(row.key for row in ROWS)
        raise BenchError(f"no row is called {wanted!r}; there are {keys}")
    return found


def _names(text: str) -> list[str]:
    found = [name.strip() for name in text.split(",") if name.strip()]
    for name in found:
        if name not in PEERS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(PEERS)}")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--rows", default="", help="words, with commas; rows whose key has one")
    parser.add_argument("--peers", type=_names, default=list(PEERS), help="with commas")
    parser.add_argument(
        "--processes", type=int, default=max(2, machine.cores()), help="of the rows with many"
    )
    parser.add_argument("--reset", action="store_true", help="connections end with a reset")
    parser.add_argument(
        "--quiet",
        type=float,
        default=10.0,
        help="seconds to wait at most for a quiet machine, each time",
    )
    parser.add_argument(
        "--again",
        type=int,
        default=3,
        help="how often a sample that others disturbed is taken again",
    )
    parser.add_argument(
        "--shared", action="store_true", help="let the scheduler choose cores for one process, too"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
