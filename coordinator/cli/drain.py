"""`lockgate drain`: take a node out of service.

Belongs here: asking for it, and waiting until nothing is carried. Never here: how a node drains.
"""

import sys
import time
from typing import Any

import click

from coordinator.client import Api, path

from .options import Failure, command, flag, option
from .output import print_json
from .settings import Settings

LOOK_EVERY_SECONDS = 0.5
#: So much longer than the grace a node may take to say that it carries nothing.
_SLACK_SECONDS = 15.0


@command("drain")
@click.argument("node")
@option("grace", default="30s", metavar="DURATION", help="What open connections have to end [30s].")
@flag("detach", help="Do not wait.")
@click.pass_obj
def drain(settings: Settings, node: str, grace: str, detach: bool) -> None:
    """Let NODE accept nothing more, and wait until what it carries has ended or -grace is over.

    The node stays connected and shows as draining; restart it to serve again.

    \b
    Example:
      lockgate drain gw1 -grace 5m
    """
    with settings.api() as api:
        answer = api.put(path("lockgate", "nodes", node, "drain"), grace=grace)
        left = _connections(api, node) if detach else _wait(api, node, answer["grace_seconds"])
    if settings.is_json:
        print_json(answer | {"connections": left})
    elif left:
        print(f"{node} accepts nothing more; {left} connections are open.")
    else:
        print(f"{node} is drained.")


def _wait(api: Api, node: str, grace_seconds: float) -> int:
    """Tell on stderr how many are left, when that changes."""
    deadline, told = time.monotonic() + grace_seconds + _SLACK_SECONDS, -1
    while (left := _connections(api, node)) > 0:
        if left != told:
            print(f"{left} connections are open", file=sys.stderr)
            told = left
        if time.monotonic() > deadline:
            raise Failure(f"{node}: {left} connections are still open after {grace_seconds:g} s")
        time.sleep(LOOK_EVERY_SECONDS)  # noqa: TID251 -- a command that waits for another process
    return 0


def _connections(api: Api, node: str) -> int:
    nodes: list[dict[str, Any]] = api.get("/v1/lockgate/status")["nodes"]
    return sum(
        worker["connections"] for one in nodes if one["name"] == node for worker in one["workers"]
    )
