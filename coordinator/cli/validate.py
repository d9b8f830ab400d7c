"""`lockgate validate`: is what these files say well formed? Asks nobody.

Belongs here: the offline check. Never here: the rules (`coordinator.entries`).
Rules between entries need those that the coordinator has; what the files alone break is only a warning.
"""

import sys
from collections.abc import Iterable
from typing import Any

import click
import msgspec

from cluster.errors import Problem

from .options import command
from .output import print_json
from .settings import Settings


@command("validate")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_obj
def validate(settings: Settings, files: tuple[str, ...]) -> None:
    """Check entries, service definitions and registrations.

    FILE is HCL or JSON, or a directory of such files. Every problem is told at once, with file and line; exit
    status 1 if there is any.

    \b
    Examples:
      lockgate validate egress.hcl
      lockgate validate --format json /etc/lockgate/entries
    """
    from coordinator.entries.load import load_files

    loaded = load_files(files)
    warnings = (*loaded.warnings, *_cross(loaded.items))
    if settings.is_json:
        print_json(
            {
                "valid": not loaded.problems,
                "problems": [shown(problem) for problem in loaded.problems],
                "warnings": [shown(warning) for warning in warnings],
            }
        )
    else:
        _tell(loaded.problems, warnings, len(loaded.items))
    if loaded.problems:
        raise click.exceptions.Exit(1)


def shown(problem: Problem) -> dict[str, Any]:
    """A problem as JSON, with all four keys."""
    return {
        "file": problem.file,
        "line": problem.line,
        "path": problem.path,
        "message": problem.message,
    }


def _tell(problems: Iterable[Problem], warnings: Iterable[Problem], count: int) -> None:
    for problem in problems:
        print(f"{problem}", file=sys.stderr)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if not problems:
        print(f"Valid: {count} {'definition' if count == 1 else 'definitions'}")


def _cross(items: Iterable[Any]) -> Iterable[Problem]:
    from coordinator.entries.cross import cross_problems
    from coordinator.entries.load import EntryItem

    found = [item for item in items if isinstance(item, EntryItem)]
    places = {f"{item.entry.kind}/{item.entry.name}": item for item in found}
    for problem in cross_problems(item.entry for item in found):
        entry, _, _ = problem.path.partition(": ")
        item = places[entry]
        message = f"{problem.message} (as far as these files tell)"
        yield msgspec.structs.replace(problem, message=message, file=item.file, line=item.line)
