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

from cluster.errors import LockgateError
from coordinator.client import DEFAULT_ADDRESS, Api, TlsOptions, connect

FORMATS = ("table", "json")
_FILES = (
    ("token-file", "HTTP_TOKEN_FILE", "A file whose first line is the token"),
    ("ca-file", "CACERT", "Whom to believe over https"),
    ("client-cert", "CLIENT_CERT", "The certificate to show over https"),
    ("client-key", "CLIENT_KEY", "Its key"),
)


class TokenFileError(LockgateError):
    """The token's file cannot be read."""


@dataclass(slots=True)
class Settings:
    """What was given so far; filled while the command line is read."""

    http_addr: str = ""
    token: str = ""
    token_file: str = ""
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    format: str = "table"

    @property
    def address(self) -> str:
        return self.http_addr or _environment("HTTP_ADDR") or DEFAULT_ADDRESS

    @property
    def secret(self) -> str:
        """The token; given on the command line, then the file, then the environment, as Consul's."""
        if self.token:
            return self.token
        file = self.token_file or _environment("HTTP_TOKEN_FILE")
        return _first_line(file) if file else _environment("HTTP_TOKEN")

    @property
    def tls(self) -> TlsOptions:
        return TlsOptions(
            ca_file=self.ca_file or _environment("CACERT"),
            client_cert=self.client_cert or _environment("CLIENT_CERT"),
            client_key=self.client_key or _environment("CLIENT_KEY"),
        )

    @property
    def is_json(self) -> bool:
        return self.format == "json"

    @contextmanager
    def api(self) -> Iterator[Api]:
        """The coordinator's API. Raises what `coordinator.client` raises."""
        with connect(self.address, self.secret, self.tls) as api:
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
        *(_file_option(*option) for option in _FILES),
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


def _file_option(name: str, variable: str, text: str) -> click.Option:
    return click.Option(
        [f"-{name}", f"--{name}"],
        metavar="FILE",
        expose_value=False,
        callback=_remember,
        help=f"{text} [env LOCKGATE_{variable}, CONSUL_{variable}]",
    )


def _first_line(file: str) -> str:
    """The token in a file. Raises TokenFileError."""
    try:
        with open(file, encoding="utf-8") as opened:
            return opened.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise TokenFileError(f"token file {file}: {reason}") from None


def _environment(name: str) -> str:
    return os.environ.get(f"LOCKGATE_{name}") or os.environ.get(f"CONSUL_{name}", "")
