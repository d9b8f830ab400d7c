"""`python -I -m worker.node --config FILE [--workers N] [--tether FD]`: the node of a gateway host.

Belongs here: arguments, logging and the exit status. Never here: anything a node does.
"""

import argparse
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import trio

from cluster.bus import EndpointError
from cluster.errors import ConfigError
from cluster.process.exits import ASKED_TO_STOP, COULD_NOT_BOOT
from cluster.process.logs import configure

from .app import Node
from .boot import BootError, prepare
from .config import MAX_WORKERS, NodeConfig, decode_config
from .document import read_document, with_lines

WORKER = (sys.executable, "-I", "-m", "worker")


def main(arguments: list[str], program: tuple[str, ...] = WORKER) -> int:
    """Run a node; 0 asked to stop, 1 a bug (as a traceback), 78 could not boot."""
    options = _parser().parse_args(arguments)
    try:
        config = read_config(options.config, workers=options.workers)
        configure(config.log_level, config.log_format, node=config.node_name)
        ground = prepare(config)
        node = Node(config, ground, program=program, tether=options.tether)
        trio.run(node.run)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return COULD_NOT_BOOT
    except (BootError, EndpointError) as error:
        print(error, file=sys.stderr)
        return COULD_NOT_BOOT
    return ASKED_TO_STOP


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker.node", description=__doc__)
    parser.add_argument("--config", required=True, type=Path, help="the node's configuration")
    parser.add_argument("--workers", type=_workers, help="how many, in place of the file's number")
    parser.add_argument("--tether", type=int, help="descriptor whose end of file means: leave")
    return parser


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MAX_WORKERS}")
    return int(text)


def read_config(path: Path, *, workers: int | None = None) -> NodeConfig:
    """The configuration in a file, `workers` taking precedence. Raises ConfigError."""
    document = read_document(path)
    try:
        config = decode_config(
            document.plain,
            file=str(path),
            host_name=socket.gethostname(),
            cores=min(len(os.sched_getaffinity(0)), MAX_WORKERS),
        )
    except ConfigError as error:
        raise ConfigError(with_lines(error.problems, document)) from error
    return config if workers is None else replace(config, workers=workers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
