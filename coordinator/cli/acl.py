"""`lockgate acl`: the first token, and who may do what, as `consul acl`.

Belongs here: the group, and the first token. Never here: tokens (`acl_tokens`), policies and roles
(`acl_policies`).
"""

from typing import Any

import click

from coordinator.client import path

from .acl_policies import policy, role
from .acl_tokens import show_token, token
from .options import Group, command, option
from .settings import Settings


@click.group("acl", cls=Group)
def acl() -> None:
    """Say who may do what: tokens, policies and roles."""


@command("bootstrap")
@option("secret", default="", metavar="UUID", help="The secret; by default one is made.")
@click.pass_obj
def bootstrap(settings: Settings, secret: str) -> None:
    """Make the first token, which may do everything. Once, and on the coordinator's host.

    \b
    Example:
      lockgate acl bootstrap --format json > first-token.json
    """
    body: dict[str, Any] = {"BootstrapSecret": secret} if secret else {}
    with settings.api() as api:
        made = api.put(path("acl", "bootstrap"), body)
    show_token(settings, made)


for _command in (bootstrap, token, policy, role):
    acl.add_command(_command)
