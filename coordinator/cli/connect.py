"""`lockgate connect`: certificates and the sidecar.

Belongs here: what a service needs to be part of the mesh. Never here: the CA (`ca`), or a sidecar's work,
which is another program that takes the place of this one.
"""

import os
from typing import NoReturn

import click

from .ca import ca
from .expose import expose
from .options import Group, command, option
from .output import print_json
from .settings import Settings

_LEVELS = ("debug", "info", "warning", "error", "critical")
_FORMATS = ("console", "json")


@click.group("connect", cls=Group)
def connect() -> None:
    """Join the mesh: certificates, the CA, a sidecar."""


@command("leaf")
@option("service", required=True, help="The service that the certificate is for.")
@option("out", required=True, metavar="DIR", help="Where the three files go.")
@click.pass_obj
def leaf(settings: Settings, service: str, out: str) -> None:
    """Get a certificate: DIR/SERVICE.crt (chain), DIR/SERVICE.key (0600) and DIR/roots.pem.

    The key is made here and does not leave this host.

    \b
    Example:
      lockgate connect leaf -service web -out /etc/web/tls
    """
    from pathlib import Path

    from .leaf import fetch_leaf, write_leaf

    with settings.api() as api:
        fetched = fetch_leaf(api, service)
    files = write_leaf(Path(out), service, fetched)
    if settings.is_json:
        print_json(files | {"uri": fetched.uri, "not_after": fetched.not_after})
    else:
        print(f"{fetched.uri}, valid until {fetched.not_after}")
        for name in files.values():
            print(name)


@command("proxy")
@option("service", required=True, help="The service that the program is.")
@option(
    "upstream",
    multiple=True,
    metavar="SERVICE:[HOST:]PORT",
    help="Listen here in plain TCP for connections to SERVICE; may be repeated.",
)
@option("service-addr", default="", metavar="HOST:PORT", help="Where the program itself listens.")
@option("listen", default="", metavar="HOST:PORT", help="Where the mesh comes in.")
@option("mesh-gateway", default="", metavar="NAME", help="Reach upstreams through this gateway.")
@option("metrics-addr", default="", metavar="HOST:PORT", help="Serve /metrics here.")
@option("log-level", default="info", type=click.Choice(_LEVELS), help="How much is logged [info].")
@option(
    "log-format", default="console", type=click.Choice(_FORMATS), help="How it is logged [console]."
)
@click.pass_obj
def proxy(settings: Settings, /, upstream: tuple[str, ...], **options: str) -> NoReturn:
    """Run a sidecar, so that a program that knows nothing of the mesh can use it and be used by it.

    \b
    Examples:
      lockgate connect proxy -service web -upstream billing:9191
      lockgate connect proxy -service api -service-addr 127.0.0.1:8080 -listen 10.0.0.4:21000
    """
    from coordinator.client import full_address

    from .daemons import become

    if settings.secret:  # not on a command line, where everybody on the host could read it
        os.environ["LOCKGATE_HTTP_TOKEN"] = settings.secret
    if settings.tls.ca_file:
        os.environ["LOCKGATE_CACERT"] = settings.tls.ca_file
    arguments = [f"--http-addr={full_address(settings.address)}"]
    arguments += [f"--upstream={one}" for one in upstream]
    arguments += [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value]
    become("worker.sidecar", arguments)


for _command in (leaf, proxy, expose, ca):
    connect.add_command(_command)
