"""`lockgate monitor`: what happens, as it happens.

Belongs here: showing the stream of events. Never here: making them.
"""

import json
from collections.abc import Iterator
from typing import Any

import click

from .history import time_of
from .options import command
from .output import one_line
from .settings import Settings

_FIRST = ("node", "worker", "generation", "revision")


@command("monitor")
@click.pass_obj
def monitor(settings: Settings) -> None:
    """Print commits, offers, answers of nodes, their coming and going, and revocations, until Ctrl-C.

    With --format json each line is one JSON object.

    \b
    Examples:
      lockgate monitor
      lockgate monitor --format json | jq 'select(.event == "nack")'
    """
    with settings.api() as api:
        try:
            for line in api.lines("/v1/lockgate/monitor"):
                if line:
                    print(line if settings.is_json else _plain(json.loads(line)), flush=True)
        except KeyboardInterrupt:
            return


def _plain(event: dict[str, Any]) -> str:
    at, what = time_of(event.pop("at")), event.pop("event")
    return one_line(f"{at}  {what:<12}  {'  '.join(_facts(event))}").rstrip()


def _facts(event: dict[str, Any]) -> Iterator[str]:
    names = [name for name in _FIRST if name in event]
    for name in (*names, *(name for name in event if name not in _FIRST)):
        value = event[name]
        if isinstance(value, dict):
            value = ",".join(f"{key}:{count}" for key, count in value.items())
        elif isinstance(value, list):
            value = ",".join(map(str, value))
        if value not in ("", None):
            yield f"{name}={value}"
