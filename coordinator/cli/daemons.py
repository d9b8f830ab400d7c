"""The daemons: `coordinator` and `node`, each another program that takes the place of this one.

Belongs here: exec. Never here: anything a daemon does. `-I` keeps the working directory and the user's
environment out of what a daemon imports. A file that cannot be read is the daemon's to tell, with its status.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from .options import command


def become(module: str, arguments: Sequence[str]) -> NoReturn:
    """Run a module of the house in place of this process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-I", "-m", module, *arguments])


_CONFIG = click.option(
    "-c",
    "-config",
    "--config",
    "config",
    required=True,
    metavar="FILE",
    help="The configuration file, HCL or JSON.",
)


@command("coordinator")
@_CONFIG
def coordinator(config: str) -> NoReturn:
    """Run the coordinator in the foreground.

    Ends with 0 when asked to stop, 78 when it cannot start (no use in retrying), 1 for a bug.

    \b
    Example:
      lockgate coordinator -c /etc/lockgate/coordinator.hcl
    """
    become("coordinator", ["--config", config])


@command("node")
@_CONFIG
@click.option(
    "-workers",
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Worker processes [as the file says, else one for each core].",
)
def node(config: str, workers: int | None) -> NoReturn:
    """Run a gateway host's node and its workers in the foreground.

    Ends with 0 when asked to stop, 78 when it cannot start (no use in retrying), 1 for a bug.

    \b
    Example:
      lockgate node -c /etc/lockgate/node.hcl -workers 4
    """
    become("worker.node", ["--config", config, *(["--workers", str(workers)] if workers else [])])
