"""The global options, and the environment behind them.

Belongs here: where the coordinator is and how results are shown. Never here: an option of one command.
An option given nearer to the end of the command line wins.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from coordinator.client import DEFAULT_ADDRESS, Api, connect

FORMATS = ("table", "json")


@dataclass(slots=True)
class Settings:
    """What was given so far; filled while the command line is read."""

    http_addr: str = ""
    token: str = ""
    format: str = "table"

    @property
    def address(self) -> str:
        return self.http_addr or _environment("HTTP_ADDR") or DEFAULT_ADDRESS

    @property
    def secret(self) -> str:
        return self.token or _environment("HTTP_TOKEN")

    @property
    def is_json(self) -> bool:
        return self.format == "json"

    @contextmanager
    def api(self) -> Iterator[Api]:
        """The coordinator's API. Raises what `coordinator.client` raises."""
        with connect(self.address, self.secret) as api:
            yield api


def global_options() -> list[click.Parameter]:
    """Fresh parameters for one command; what they read goes into the root context's Settings."""
    return [
        click.Option(
            ["-http-addr", "--http-addr"],
            metavar="ADDRESS",
            expose_value=False,
            callback=_remember,
            help=f"The coordinator's API [env LOCKGATE_HTTP_ADDR, CONSUL_HTTP_ADDR; {DEFAULT_ADDRESS}]",
        ),
        click.Option(
            ["-token", "--token"],
            metavar="TOKEN",
            expose_value=False,
            callback=_remember,
            help="The token to show to it [env LOCKGATE_HTTP_TOKEN, CONSUL_HTTP_TOKEN]",
        ),
        click.Option(
            ["-format", "--format"],
            type=click.Choice(FORMATS),
            expose_value=False,
            callback=_remember,
            help="How results are printed [table]",
        ),
    ]


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    settings = context.find_root().ensure_object(Settings)
    if value is not None and parameter.name is not None:
        setattr(settings, parameter.name, value)


def _environment(name: str) -> str:
    return os.environ.get(f"LOCKGATE_{name}") or os.environ.get(f"CONSUL_{name}", "")
