"""`python -I -m coordinator --config FILE [--tether FD]`: the coordinator; `lockgate coordinator` runs it.

Belongs here: arguments, logging and the exit status. Never here: anything a coordinator does.
"""

import argparse
import sys
from importlib import metadata
from pathlib import Path

import trio

from cluster.errors import ConfigError, LockgateError, Problem, ProblemsError, causes
from cluster.process.exits import COULD_NOT_BOOT
from cluster.process.logs import configure
from coordinator.app import run
from coordinator.config import CoordinatorConfig, parse_config


def main(arguments: list[str]) -> int:
    """Run a coordinator; 0 asked to stop, 1 a bug (as a traceback), 78 could not boot."""
    parser = argparse.ArgumentParser(prog="lockgate coordinator", description=__doc__)
    parser.add_argument("--config", required=True, type=Path)
    parser.add_argument("--tether", type=int, help="descriptor whose end of file means: leave")
    options = parser.parse_args(arguments)
    try:
        config = _read(options.config)
        configure(config.log_level, config.log_format, coordinator=config.own_node)
        trio.run(run, config, metadata.version("lockgate"), options.tether)
    except (LockgateError, OSError, BaseExceptionGroup) as error:
        return _explain(error)
    return 0


def _explain(error: BaseException) -> int:
    """One line for each thing that kept us from starting; anything else is a bug, with its traceback."""
    found = list(causes(error))
    if not all(isinstance(cause, LockgateError | OSError) for cause in found):
        raise error
    for cause in found:
        problems = cause.problems if isinstance(cause, ProblemsError) else (cause,)
        for problem in problems:
            print(f"lockgate coordinator: {problem}", file=sys.stderr)
    return COULD_NOT_BOOT


def _read(path: Path) -> CoordinatorConfig:
    try:
        return parse_config(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        message = error.strerror if isinstance(error, OSError) else None
        raise ConfigError((Problem(file=str(path), message=message or str(error)),)) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
