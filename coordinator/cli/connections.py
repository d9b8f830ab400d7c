"""`lockgate connections`: what flows through the gateways now.

Belongs here: listing and closing. Never here: how the fleet is asked.
"""

from typing import Any

import click

from .options import Group, command, flag, option
from .output import print_json, print_table
from .settings import Settings

_COLUMNS = ("Id", "Source", "Destination", "Gateway", "Endpoint", "State", "Age", "Up", "Down")
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


@click.group("connections", cls=Group)
def connections() -> None:
    """List and close live connections."""


@command("list")
@option("source", default="", help="Only connections from this service.")
@option("destination", default="", help="Only connections to this service.")
@flag("closed", help="Those that were closed lately instead, with why.")
@flag("recent", help="Those that were closed lately too.")
@click.pass_obj
def list_connections(
    settings: Settings, source: str, destination: str, closed: bool, recent: bool
) -> None:
    """Print the live connections of all gateways, or those that were closed lately.

    \b
    Examples:
      lockgate connections list
      lockgate connections list -closed -destination billing
      lockgate connections list -source web -destination billing --format json
    """
    params = {"source": source, "destination": destination}
    params |= {"closed": "true"} if closed else {}
    params |= {"recent": "true"} if recent else {}
    with settings.api() as api:
        found = api.get("/v1/lockgate/connections", **{k: v for k, v in params.items() if v})
    if settings.is_json:
        print_json(found)
    else:
        print_table(_COLUMNS, [_row(one) for one in found])


@command("close")
@option("source", default="", help="Close the connections from this service.")
@option("destination", default="", help="Close the connections to this service.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.pass_obj
def close(settings: Settings, source: str, destination: str, ids: tuple[str, ...]) -> None:
    """Close connections by id, or all of a source and destination.

    \b
    Examples:
      lockgate connections close gw1/0/42
      lockgate connections close -source web -destination billing
    """
    pair = {k: v for k, v in (("source", source), ("destination", destination)) if v}
    if bool(ids) == bool(pair):
        raise click.UsageError("say which: either ID, or -source and -destination")
    body: dict[str, Any] = {"ids": list(ids)} if ids else pair
    with settings.api() as api:
        closed = api.put("/v1/lockgate/connections/close", body)
    if settings.is_json:
        print_json(closed)
    else:
        print(f"Closed: {len(closed['closed'])}")


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    names = ("id", "source", "destination", "gateway", "endpoint")
    sizes = (_size(one.get("bytes_up", 0)), _size(one.get("bytes_down", 0)))
    age = f"{one.get('age_seconds', 0):.0f}s"
    state = str(one.get("end") or one.get("state") or "")
    return (*(str(one.get(name) or "") for name in names), state, age, *sizes)


def _size(count: int) -> str:
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f}{name}"
    return f"{count}B"


connections.add_command(list_connections)
connections.add_command(close)
