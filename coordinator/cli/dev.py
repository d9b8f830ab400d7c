"""`lockgate dev`: a coordinator and one node on this machine, in the foreground.

Belongs here: the options, and what goes wrong in one line each. Never here: running it (`coordinator.dev`).
"""

import sys
from functools import partial
from pathlib import Path

import click
import trio

from cluster.errors import LockgateError, ProblemsError, causes
from coordinator.dev.run import dev as run_dev

from .options import Failure, command
from .settings import Settings


@command("dev")
@click.argument("files", nargs=-1, metavar="[FILE...]", type=click.Path(path_type=Path))
@click.option(
    "-workers",
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Worker processes [one for each core].",
)
@click.option(
    "-state",
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the state here; without it nothing outlasts the run.",
)
@click.pass_context
def dev(
    context: click.Context, files: tuple[Path, ...], workers: int | None, state: Path | None
) -> None:
    """Run a whole Lockgate on this machine and apply FILEs (or directories of them).

    Prints what listens where once everything serves; Ctrl-C ends it and leaves nothing behind. A gateway that
    only a configuration entry names gets a free port of loopback.

    \b
    Examples:
      lockgate dev examples/quickstart
      lockgate dev -workers 4 -state /tmp/lockgate gateway.hcl services.json
      lockgate --format json dev gateway.hcl
    """
    output = context.find_root().ensure_object(Settings).format
    run = partial(run_dev, files, workers=workers, state=state, output=output)
    try:
        trio.run(run)
    except (LockgateError, OSError, BaseExceptionGroup) as error:
        raise _failure(error) from None


def _failure(error: BaseException) -> Failure:
    """Every problem on a line of its own, and the last of them as the command's failure."""
    found = list(causes(error))
    for cause in found:
        if not isinstance(cause, LockgateError | OSError):
            raise error
    lines = [line for cause in found for line in _lines(cause)]
    for line in lines[:-1]:
        print(f"lockgate: {line}", file=sys.stderr)
    return Failure(lines[-1])


def _lines(cause: BaseException) -> list[str]:
    if isinstance(cause, ProblemsError):
        return [str(problem) for problem in cause.problems]
    if isinstance(cause, OSError) and cause.filename:
        return [f"{cause.filename}: {cause.strerror}"]
    return [str(cause)]
