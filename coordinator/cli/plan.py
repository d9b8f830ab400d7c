"""`lockgate plan` and `lockgate simulate`: what a change would do, before it is made.

Belongs here: the change from files, the question, the exit status. Never here: what a change does.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click

from .changes import is_empty, tell
from .options import Failure, command, flag, option
from .output import print_json, print_table
from .settings import Settings

_DIFFERS = 2
_OF_A_FLOW = ("id", "source", "destination", "end")
_FILES = click.argument("files", nargs=-1, metavar="[FILE]...")
_DELETE = option(
    "delete", multiple=True, metavar="KIND/NAME", help="Delete this entry; may be repeated."
)


@command("plan")
@_DELETE
@flag("detailed-exitcode", help="Exit status 2 if anything would change.")
@_FILES
@click.pass_obj
def plan(
    settings: Settings, delete: tuple[str, ...], detailed_exitcode: bool, files: tuple[str, ...]
) -> None:
    """Show what writing the entries in FILE would do. Nothing is written.

    Entries field by field, pairs of services newly allowed or denied, routes, and the live connections that
    would be closed. FILE is HCL or JSON, a directory of such files, or `-` for standard input. Exit status
    1 if the change would be refused.

    \b
    Examples:
      lockgate plan deny-web.hcl
      lockgate plan -detailed-exitcode entries/ -delete service-intentions/old
    """
    found = _asked(settings, "/v1/lockgate/plan", files, delete, {})
    if settings.is_json:
        print_json(found)
    elif is_empty(found):
        print("Nothing would change.")
    else:
        tell(found)
    if detailed_exitcode and not is_empty(found):
        raise click.exceptions.Exit(_DIFFERS)


@command("simulate")
@option("flows", metavar="FILE", default="", help="Recorded connections, JSON or JSON lines.")
@_DELETE
@_FILES
@click.pass_obj
def simulate(
    settings: Settings, flows: str, delete: tuple[str, ...], files: tuple[str, ...]
) -> None:
    """Judge recorded connections by what the entries in FILE would make of the intentions.

    Without -flows the gateways are asked for what is open and what was closed lately. Exit status 0 if every
    connection would be decided as it was, 2 if one would not, 1 if something is wrong.

    \b
    Examples:
      lockgate simulate deny-web.hcl
      lockgate connections list -recent --format json > flows.json
      lockgate simulate -flows flows.json deny-web.hcl
    """
    more = {"flows": _recorded(flows)} if flows else {}
    found = _asked(settings, "/v1/lockgate/simulate", files, delete, more)
    if settings.is_json:
        print_json(found)
    else:
        _tell_flows(found)
    if found["differs"]:
        raise click.exceptions.Exit(_DIFFERS)


def _asked(
    settings: Settings,
    path: str,
    files: tuple[str, ...],
    delete: tuple[str, ...],
    more: dict[str, Any],
) -> dict[str, Any]:
    """The answer to a change that is sound; exit status 1 with every problem for any other."""
    if not files and not delete:
        raise click.UsageError("say what: FILE, or -delete KIND/NAME")
    places, entries = _entries(settings, files)
    removed = [dict(zip(("kind", "name"), _pair(one), strict=True)) for one in delete]
    with settings.api() as api:
        found: dict[str, Any] = api.post(path, {"entries": entries, "delete": removed} | more)
    for one in (*found["problems"], *found["warnings"]):
        one["file"], one["line"] = places.get(one["path"].partition(": ")[0], ("", 0))
    if not found["valid"]:
        _refuse(settings, found["problems"], found["warnings"])
    for one in found["warnings"]:
        print(f"warning: {_text(one)}", file=sys.stderr)
    return found


def _entries(
    settings: Settings, files: tuple[str, ...]
) -> tuple[dict[str, tuple[str, int]], list[dict[str, Any]]]:
    """Where each entry stands, and their bodies."""
    from coordinator.entries.load import EntryItem

    from .files import STDIN, load, name_of
    from .validate import shown

    loaded = load(files)
    if loaded.problems:
        problems, warnings = map(shown, loaded.problems), map(shown, loaded.warnings)
        _refuse(settings, list(problems), list(warnings))
    places, entries = {}, []
    for item in loaded.items:
        if not isinstance(item, EntryItem):
            raise Failure(f"{name_of(item)}: only configuration entries can be planned")
        places[f"{item.entry.kind}/{item.entry.name}"] = (item.file or STDIN, item.line)
        entries.append(item.entry.body)
    if files and not entries:
        raise Failure(f"nothing to plan in {' '.join(files)}")
    return places, entries


def _refuse(
    settings: Settings, problems: list[dict[str, Any]], warnings: list[dict[str, Any]]
) -> NoReturn:
    if settings.is_json:
        print_json({"valid": False, "problems": problems, "warnings": warnings})
    for one in () if settings.is_json else problems:
        print(_text(one), file=sys.stderr)
    raise click.exceptions.Exit(1)


def _text(problem: dict[str, Any]) -> str:
    line = f":{problem['line']}" if problem["line"] else ""
    place = f"{problem['file']}{line}: " if problem["file"] else ""
    path = f"{problem['path']}: " if problem["path"] else ""
    return f"{place}{path}{problem['message']}"


def _pair(text: str) -> tuple[str, str]:
    kind, slash, name = text.partition("/")
    if not (kind and slash and name):
        raise click.UsageError(f"-delete is KIND/NAME, not {text!r}")
    return kind, name


def _recorded(path: str) -> list[dict[str, Any]]:
    """The records of a file, with what is needed of each. Raises Failure."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text()
        found = list(_decoded(text))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Failure(f"{path}: {reason}") from None
    return [{name: one.get(name) for name in _OF_A_FLOW} for one in found]


def _decoded(text: str) -> Iterator[dict[str, Any]]:
    """One JSON list, or one object to a line. Raises ValueError that names the line."""
    if text.lstrip().startswith("["):
        yield from _objects(json.loads(text))
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield from _objects([json.loads(line)])
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def _objects(values: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for value in values:
        if not isinstance(value, dict):
            raise ValueError(f"not a connection: {str(value)[:40]!r}")
        yield value


def _tell_flows(found: dict[str, Any]) -> None:
    for reason in found["unanswered"]:
        print(f"warning: not all connections are known: {reason}", file=sys.stderr)
    judged = found["flows"] - found["skipped"]
    print(f"{judged} connections judged, {found['same']} as they were decided")
    rows = [
        (
            "denied" if one["was"] else "allowed",
            one["source"],
            one["destination"],
            one["flows"],
            one["reason"],
        )
        for one in found["differs"]
    ]
    if rows:
        print()
        print_table(("Now", "Source", "Destination", "Flows", "Reason"), rows)
