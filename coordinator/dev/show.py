"""What `lockgate dev` says once everything serves: one JSON object, or a table with the commands to try.

Belongs here: the words. Never here: finding out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from coordinator.dev.places import Places
from coordinator.dev.ready import Gateway
from coordinator.dev.wanted import Request


def describe(
    places: Places,
    gateways: Iterable[Gateway],
    node: Mapping[str, Any],
    pids: Mapping[str, int],
) -> dict[str, Any]:
    """The object that scripts read."""
    return {
        "admin": f"unix://{places.admin_socket}",
        "http": f"http://{places.http}",
        "listeners": [
            {"gateway": g.gateway, "kind": g.kind, "address": g.address} for g in gateways
        ],
        "metrics": {
            "coordinator": f"http://{places.coordinator_metrics}/metrics",
            "node": f"http://{places.node_metrics}/metrics",
        },
        "pids": {**pids, "workers": [worker["pid"] for worker in node["workers"]]},
    }


def tell(shown: Mapping[str, Any], writes: Iterable[Request]) -> None:
    """The same for a person, with what to try next."""
    console = Console(highlight=False)
    table = Table(title="Lockgate serves", title_justify="left")
    for heading in ("what", "kind", "address"):
        table.add_column(heading)
    for listener in shown["listeners"]:
        table.add_row(listener["gateway"], listener["kind"], listener["address"])
    table.add_row("API", "HTTP", shown["http"])
    table.add_row("API", "admin socket", shown["admin"])
    table.add_row("metrics", "coordinator", shown["metrics"]["coordinator"])
    table.add_row("metrics", "node", shown["metrics"]["node"])
    # an address that is cut off is none: rather let the terminal wrap
    wanted = console.measure(table, options=console.options.update(max_width=1000)).maximum
    console.width = max(console.width, wanted)
    console.print(table)
    count = len(shown["pids"]["workers"])
    console.print(f"{count} {'worker' if count == 1 else 'workers'}. In another terminal:\n")
    console.print(f"  export LOCKGATE_HTTP_ADDR={shown['http']}", soft_wrap=True)
    for command in _commands(tuple(writes)):
        console.print(f"  {command}", soft_wrap=True)
    console.print("\nCtrl-C ends it.")


def _commands(writes: tuple[Request, ...]) -> Iterable[str]:
    yield "lockgate status"
    linked = [
        service["Name"]
        for request in writes
        if request.body.get("Kind") == "terminating-gateway"
        for service in request.body.get("Services", ())
        if service["Name"] != "*"
    ]
    if not linked:
        return
    yield f"lockgate explain -source web -destination {linked[0]}"
    yield f"lockgate intention create -replace -allow web {linked[0]}"
    yield f"lockgate connect proxy -service web -upstream {linked[0]}:9191"
    yield "lockgate connections list"
