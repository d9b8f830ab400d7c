"""`lockgate history`, `diff` and `rollback`: what was, what changed, and going back.

Belongs here: asking and showing. Never here: how a change is shown part by part (`changes`).
"""

import datetime
from typing import Any

import click

from .changes import is_empty, tell
from .options import command, flag
from .output import print_json, print_table
from .settings import Settings

_GENERATION = click.IntRange(0)
_SIGNS = {"create": "+", "update": "~", "delete": "-"}
_NAMED = 3


@command("history")
@click.pass_obj
def history(settings: Settings) -> None:
    """Show what was published, newest first, and the commits that led to it.

    A generation in brackets was a commit that changed nothing for the nodes. Both can be rolled back to.

    \b
    Example:
      lockgate history
    """
    with settings.api() as api:
        found = api.get("/v1/lockgate/history")
    if settings.is_json:
        print_json(found)
        return
    columns = ("Generation", "At", "By", "Changed", "Refused by")
    print_table(columns, [_row(one) for one in found])
    for one in found:
        for refusal in one["nacked"]:
            for problem in refusal["problems"]:
                print(f"Generation {one['generation']}, node {refusal['node']}: {problem}")


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    number = str(one["generation"]) if one["published"] else f"({one['generation']})"
    authors = dict.fromkeys(change["author"] for change in one["changes"] if change["author"])
    nodes = [refusal["node"] for refusal in one["nacked"]]
    return number, time_of(one["at"]), list(authors), _changed(one["changes"]), nodes


def _changed(changes: list[dict[str, Any]]) -> str:
    """The entries in a few words; nothing if only the catalog or the CA changed."""
    notes = dict.fromkeys(change["note"] for change in changes if change["note"])
    named = [
        f"{_SIGNS[entry['change']]}{entry['kind']}/{entry['name']}"
        for change in changes
        for entry in change["entries"]
    ]
    more = [f"and {len(named) - _NAMED} more"] if len(named) > _NAMED else []
    return " ".join((*(f"{note}:" for note in notes), *named[:_NAMED], *more))


def time_of(seconds: float) -> str:
    """A moment in UTC, to the second."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@command("diff")
@click.argument("a", type=_GENERATION, metavar="A")
@click.argument("b", type=_GENERATION, metavar="[B]", required=False, default=0)
@click.pass_obj
def diff(settings: Settings, a: int, b: int) -> None:
    """Show what changed from generation A to B, by default to the present.

    Entries field by field, pairs of services newly allowed or denied, and routes.

    \b
    Examples:
      lockgate diff 41 43
      lockgate diff 41 --format json
    """
    with settings.api() as api:
        found = api.get("/v1/lockgate/diff", **{"from": str(a), "to": str(b)})
    if settings.is_json:
        print_json(found)
    elif is_empty(found):
        print("No difference.")
    else:
        tell(found)


@command("rollback")
@flag("dry-run", help="Only say what it would do, and which live connections it would close.")
@click.argument("generation", type=_GENERATION)
@click.pass_obj
def rollback(settings: Settings, dry_run: bool, generation: int) -> None:
    """Make all configuration entries, intentions among them, what they were at GENERATION.

    That is one new revision, so it can be undone in the same way. The catalog stays as it is. It is
    refused, with the reasons, if what was then does not fit together now.

    \b
    Examples:
      lockgate rollback 41 -dry-run
      lockgate rollback 41
    """
    body = {"generation": generation, "dry_run": dry_run}
    with settings.api() as api:
        found = api.put("/v1/lockgate/rollback", body)
    if settings.is_json:
        print_json(found)
        return
    if not found["entries"]:
        print(f"Nothing to do: the entries are those of generation {generation}.")
        return
    done = "Would roll back" if dry_run else f"Revision {found['revision']}: rolled back"
    print(f"{done} to generation {generation}")
    tell(found)
