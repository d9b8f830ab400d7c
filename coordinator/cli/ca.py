"""`lockgate connect ca`: the certificate authority.

Belongs here: Consul's subcommands for the CA, `rotate` and `distrust`. Never here: what a rotation is
(`coordinator.ca`).
"""

import json
import sys
from pathlib import Path
from typing import Any

import click

from .options import Failure, Group, command, flag, option
from .output import print_json, print_table
from .settings import Settings

_FORCE = "Rotate even if the present root cannot vouch for the new one: handshakes fail meanwhile."


@click.group("ca", cls=Group)
def ca() -> None:
    """Show, configure and rotate the certificate authority."""


@command("roots")
@flag("pem", help="Print the certificates themselves.")
@click.pass_obj
def roots(settings: Settings, pem: bool) -> None:
    """Print the roots that are trusted; the active one signs.

    \b
    Example:
      lockgate connect ca roots -pem > roots.pem
    """
    with settings.api() as api:
        found = api.get("/v1/connect/ca/roots")
    if settings.is_json:
        print_json(found)
    elif pem:
        print("\n".join(root["RootCert"].strip() for root in found["Roots"]))
    else:
        rows = [
            (root["Name"], "active" if root["Active"] else "", root["NotAfter"], root["ID"])
            for root in found["Roots"]
        ]
        print_table(("Root", "State", "Valid until", "Id"), rows)


@command("get-config")
@click.pass_obj
def get_config(settings: Settings) -> None:
    """Print the CA's configuration as JSON.

    \b
    Example:
      lockgate connect ca get-config
    """
    with settings.api() as api:
        print_json(api.get("/v1/connect/ca/configuration"))


@command("set-config")
@option("config-file", required=True, metavar="FILE", help="JSON; `-` is standard input.")
@flag("force-without-cross-signing", help=_FORCE)
@click.pass_obj
def set_config(settings: Settings, config_file: str, force_without_cross_signing: bool) -> None:
    """Change the CA's configuration. The root is rotated if another key or root is asked for.

    FILE holds what get-config prints, or `Config` alone. A private key in it should be 0600.

    \b
    Example:
      lockgate connect ca set-config -config-file ca.json
    """
    given = _read(config_file)
    body = given if "Config" in given else {"Provider": "consul", "Config": given}
    if force_without_cross_signing:
        body = body | {"ForceWithoutCrossSigning": True}
    with settings.api() as api:
        before = api.get("/v1/connect/ca/roots")["ActiveRootID"]
        api.put("/v1/connect/ca/configuration", body)
        after = api.get("/v1/connect/ca/roots")["ActiveRootID"]
    if settings.is_json:
        print_json({"rotated": before != after, "active_root": after})
    else:
        print("Configuration updated!")
        if before != after:
            print(_rotated(after))


def _read(name: str) -> dict[str, Any]:
    try:
        content = sys.stdin.read() if name == "-" else Path(name).read_text()
        found = json.loads(content)
    except (OSError, ValueError) as error:
        raise Failure(f"{name}: {error}") from None
    if not isinstance(found, dict):
        raise Failure(f"{name}: expected a JSON object")
    return found


@command("rotate")
@flag("force-without-cross-signing", help=_FORCE)
@click.pass_obj
def rotate(settings: Settings, force_without_cross_signing: bool) -> None:
    """Make a new root with a new key; everybody gets a leaf of it within half a minute.

    The old root vouches for the new one for seven days and stays trusted until the last of its leaves
    has ended, so that no handshake fails.

    \b
    Example:
      lockgate connect ca rotate
    """
    body = {"ForceWithoutCrossSigning": force_without_cross_signing}
    with settings.api() as api:
        roots = api.post("/v1/lockgate/ca/rotate", body)
    if settings.is_json:
        print_json({"rotated": True, "active_root": roots["ActiveRootID"]})
    else:
        print(_rotated(roots["ActiveRootID"]))


@command("distrust")
@click.argument("root", metavar="ROOT_ID")
@click.pass_obj
def distrust(settings: Settings, root: str) -> None:
    """Trust a root that was rotated out no more, at once: its key may have leaked.

    Connections of those whose certificate leads to it are closed. Roots that vouched for it go too. Rotate
    first, and give everybody 30 s to get a certificate of the new root.

    \b
    Example:
      lockgate connect ca distrust 5b:02:e1:b5:6e:1a:d2:9c:44:35:93:30:77:bb:28:4a:6b:a3:57:f1
    """
    with settings.api() as api:
        answer = api.post("/v1/lockgate/ca/distrust", {"RootID": root})
    if settings.is_json:
        print_json({"distrusted": answer["Distrusted"], "active_root": answer["ActiveRootID"]})
    else:
        for gone in answer["Distrusted"]:
            print(f"Root {gone} is trusted no more.")


def _rotated(root: str) -> str:
    return f"The active root is now {root}; new certificates follow within 30 s."


for _command in (roots, get_config, set_config, rotate, distrust):
    ca.add_command(_command)
