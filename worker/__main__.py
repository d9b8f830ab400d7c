"""`python -I -m worker --settings JSON [--tether FD]`: one worker, started by its node.

Belongs here: arguments, logging and the exit status. Never here: anything a worker does.
"""

import argparse
import sys

import trio

from cluster.bus import EndpointError
from cluster.errors import ConfigError
from cluster.process.exits import ASKED_TO_STOP, COULD_NOT_BOOT
from cluster.process.logs import configure
from worker.app import Worker
from worker.settings import parse


def main(arguments: list[str]) -> int:
    """Run a worker; 0 asked to stop, 1 a bug (as a traceback), 78 could not boot."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--settings", required=True, help="WorkerSettings as JSON")
    parser.add_argument("--tether", type=int, help="descriptor whose end of file means: leave")
    options = parser.parse_args(arguments)
    try:
        settings = parse(options.settings)
        configure(settings.log_level, settings.log_format, worker=settings.index)
        trio.run(Worker(settings).run, options.tether)
    except (ConfigError, EndpointError) as error:
        print(error, file=sys.stderr)
        return COULD_NOT_BOOT
    return ASKED_TO_STOP


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
