"""`lockgate audit`: who changed what.

Belongs here: the command. Never here: what goes into the audit log.
"""

import datetime
from typing import Any

import click

from .options import command
from .output import print_json, print_table
from .settings import Settings


@command("audit")
@click.option("-n", "count", default=20, type=click.IntRange(1, 10_000), help="How many [20].")
@click.pass_obj
def audit(settings: Settings, count: int) -> None:
    """Print the last calls that changed something, or tried to, the newest first.

    A status of - was cut off by a crash: its changes may or may not have been made.

    \b
    Examples:
      lockgate audit
      lockgate audit -n 500 --format json
    """
    with settings.api() as api:
        found = api.get("/v1/lockgate/audit", n=str(count))
    if settings.is_json:
        print_json(found)
        return
    columns = ("Time", "Who", "From", "Call", "Status", "Changed")
    print_table(columns, [_row(call) for call in found])


def _row(call: dict[str, Any]) -> tuple[str, ...]:
    at = datetime.datetime.fromtimestamp(call["at"], datetime.UTC)
    changes = [f"{change['kind']}/{change['name']}" for change in call.get("changes", ())]
    more = call.get("changes_total", 0) - len(changes)
    return (
        at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        call["who"],
        call["from"],
        f"{call['method']} {call['path']}",
        str(call.get("status", "-") or "-"),
        ", ".join(changes) + (f" and {more} more" if more > 0 else ""),
    )
