"""`lockgate keygen` and `lockgate nodes`: keys of the bus, and who may join it.

Belongs here: making a key pair, and the coordinator's list of public keys. Never here: a secret key on a
command line or in an answer.
"""

from pathlib import Path

import click

from coordinator.client import path

from .options import Command, Group, command, option
from .output import print_json, print_table
from .settings import Settings

_KEY_LENGTH = 40  # Z85: ZeroMQ RFC 32


@command("keygen")
@option("out", required=True, metavar="FILE", help="Where the secret key goes, mode 0600.")
@click.pass_obj
def keygen(settings: Settings, out: str) -> None:
    """Make a key pair for the bus; print its public key.

    A file that is there already is never overwritten.

    \b
    Example:
      lockgate nodes allow gw1 "$(lockgate keygen -out /etc/lockgate/bus.key)"
    """
    from cluster.keyfile import create_key_file

    pair = create_key_file(Path(out))
    if settings.is_json:
        print_json({"public_key": pair.public_key, "file": out})
    else:
        print(pair.public_key)


@click.group("nodes", cls=Group)
def nodes() -> None:
    """Say which nodes may join the bus."""


@command("list")
@click.pass_obj
def list_nodes(settings: Settings) -> None:
    """Print the nodes that may join, with their public keys.

    \b
    Example:
      lockgate nodes list
    """
    with settings.api() as api:
        found = api.get("/v1/lockgate/nodes")
    if settings.is_json:
        print_json(found)
    else:
        print_table(("Node", "Public key"), [(n["name"], n["public_key"]) for n in found])


class _AllowCommand(Command):
    """A public key may begin with a dash, which makes it no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        keys = [one for one in args if one.startswith("-") and len(one) == _KEY_LENGTH]
        rest = [one for one in args if one not in keys]
        return super().parse_args(ctx, [*rest, "--", *keys] if keys else rest)


@click.command("allow", cls=_AllowCommand)
@click.argument("name")
@click.argument("key")
@click.pass_obj
def allow(settings: Settings, name: str, key: str) -> None:
    """Let the node NAME, which has the public KEY, join the bus.

    \b
    Example:
      lockgate nodes allow gw1 'rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7'
    """
    with settings.api() as api:
        api.put(path("lockgate", "nodes", name), {"public_key": key})
    if settings.is_json:
        print_json({"name": name, "public_key": key})
    else:
        print(f"Node allowed: {name}")


@command("token")
@click.argument("name")
@option("ttl", default="1h", metavar="DURATION", help="How long it counts: 1m to 168h [1h].")
@option(
    "out", default="", metavar="FILE", help="Write it there, mode 0600, instead of printing it."
)
@click.pass_obj
def token(settings: Settings, name: str, ttl: str, out: str) -> None:
    """Make a token by which the node NAME may join the bus once, with a key of its own.

    The node's configuration names its file: enrol_token_file.

    \b
    Example:
      lockgate nodes token gw1 -ttl 10m -out gw1.token
    """
    from cluster.keyfile import write_secret

    with settings.api() as api:
        made = api.put(path("lockgate", "node-token", name), ttl=ttl)
    if out:
        write_secret(Path(out), made.pop("token"))
        made["file"] = out
    if settings.is_json:
        print_json(made)
    else:
        print(made.get("token") or f"Token for {name} written to {out}")


@command("revoke")
@click.argument("name")
@click.pass_obj
def revoke(settings: Settings, name: str) -> None:
    """Take a node off the list: its messages are no longer taken.

    \b
    Example:
      lockgate nodes revoke gw1
    """
    with settings.api() as api:
        api.delete(path("lockgate", "nodes", name))
    if settings.is_json:
        print_json({"name": name})
    else:
        print(f"Node revoked: {name}")


for _command in (list_nodes, allow, token, revoke):
    nodes.add_command(_command)
