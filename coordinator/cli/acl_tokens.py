"""`lockgate acl token`, as `consul acl token`.

Belongs here: the commands. Never here: what a token may do.
"""

from typing import Any

import click

from coordinator.client import path

from .acl_links import link_options, linked, merged, names_of
from .options import Failure, Group, command, flag, option
from .output import print_facts, print_json, print_table
from .settings import Settings

_ID = option(
    "id", default="", metavar="ACCESSOR", help="The token's accessor id, never its secret."
)
_ACCESSOR = option("accessor-id", default="", metavar="ACCESSOR", help="The same as -id.")


def show_token(settings: Settings, shown: dict[str, Any]) -> None:
    """One token; its secret is there only when it was made just now, or is one's own."""
    if settings.is_json:
        print_json(shown)
        return
    links = names_of(shown)
    print_facts(
        [
            ("AccessorID", shown["AccessorID"]),
            ("SecretID", shown["SecretID"]),
            ("Description", shown["Description"]),
            ("Local", str(shown["Local"]).lower()),
            ("Create Time", shown["CreateTime"]),
            ("Expiration Time", shown.get("ExpirationTime", "")),
            ("Grants", links or ""),
        ]
    )


@click.group("token", cls=Group)
def token() -> None:
    """Tokens: who bears one may do what its policies, roles and identities say."""


@command("create")
@option("description", default="", metavar="TEXT", help="What the token is for.")
@option("accessor", default="", metavar="UUID", help="The accessor id; by default one is made.")
@option("secret", default="", metavar="UUID", help="The secret; by default one is made.")
@option("expires-ttl", default="", metavar="DURATION", help="How long it counts: 1m to 24h.")
@flag("local", help="Marked as of this datacenter only.")
@link_options(roles=True)
@click.pass_obj
def create(settings: Settings, /, **given: Any) -> None:
    """Make a token. Its secret is printed now and never again.

    \b
    Examples:
      lockgate acl token create -description "web's sidecar" -service-identity web
      lockgate acl token create -policy-name operators -expires-ttl 8h
    """
    body = {
        "AccessorID": given["accessor"],
        "SecretID": given["secret"],
        "Description": given["description"],
        "Local": given["local"],
        "ExpirationTTL": given["expires_ttl"],
    }
    body = {name: value for name, value in body.items() if value} | linked(given)
    with settings.api() as api:
        made = api.put(path("acl", "token"), body)
    show_token(settings, made)


@command("read")
@_ID
@_ACCESSOR
@flag("self", help="The token that is shown with -token.")
@click.pass_obj
def read(settings: Settings, /, **given: Any) -> None:
    """Print a token.

    \b
    Example:
      lockgate acl token read -id 6a1253d2-1785-24fd-91c2-f8e78c745511
    """
    accessor = "self" if given["self"] else _accessor(given)
    with settings.api() as api:
        show_token(settings, api.get(path("acl", "token", accessor)))


@command("list")
@click.pass_obj
def list_tokens(settings: Settings) -> None:
    """Print all tokens, without their secrets.

    \b
    Example:
      lockgate acl token list
    """
    with settings.api() as api:
        found = api.get(path("acl", "tokens"))
    if settings.is_json:
        print_json(found)
        return
    rows = [
        (one["AccessorID"], one["Description"], names_of(one), one.get("ExpirationTime", ""))
        for one in found
    ]
    print_table(("AccessorID", "Description", "Grants", "Expires"), rows)


@command("update")
@_ID
@_ACCESSOR
@option("description", default=None, metavar="TEXT", help="What the token is for.")
@flag("merge-policies", help="Keep the policies that it has.")
@flag("merge-roles", help="Keep the roles that it has.")
@flag("merge-service-identities", help="Keep the service identities that it has.")
@flag("merge-node-identities", help="Keep the node identities that it has.")
@link_options(roles=True)
@click.pass_obj
def update(settings: Settings, /, **given: Any) -> None:
    """Change what a token is linked to: what is given replaces what it has, unless -merge-… is given.

    \b
    Example:
      lockgate acl token update -id 6a1253d2-1785-24fd-91c2-f8e78c745511 -policy-name operators
    """
    accessor = _accessor(given)
    with settings.api() as api:
        present = api.get(path("acl", "token", accessor))
        body = _updated(present, given)
        show_token(settings, api.put(path("acl", "token", accessor), body))


_MERGE = {
    "Policies": "merge_policies",
    "Roles": "merge_roles",
    "ServiceIdentities": "merge_service_identities",
    "NodeIdentities": "merge_node_identities",
}


def _updated(present: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The body of an update. Links of a sort that is not mentioned stay."""
    added = linked(given)
    kept = {
        name: present.get(name, [])
        for name, merge in _MERGE.items()
        if given[merge] or name not in added
    }
    description = given["description"]
    return {
        "Description": present["Description"] if description is None else description,
        "Local": present["Local"],
    } | merged(kept, added)


@command("clone")
@_ID
@_ACCESSOR
@option("description", default="", metavar="TEXT", help="What the new token is for.")
@click.pass_obj
def clone(settings: Settings, /, **given: Any) -> None:
    """Make another token with the same links.

    \b
    Example:
      lockgate acl token clone -id 6a1253d2-1785-24fd-91c2-f8e78c745511
    """
    body = {"Description": given["description"]} if given["description"] else {}
    with settings.api() as api:
        made = api.put(path("acl", "token", _accessor(given), "clone"), body)
    show_token(settings, made)


@command("delete")
@_ID
@_ACCESSOR
@click.pass_obj
def delete(settings: Settings, /, **given: Any) -> None:
    """Delete a token: whoever bears it is refused from then on.

    \b
    Example:
      lockgate acl token delete -id 6a1253d2-1785-24fd-91c2-f8e78c745511
    """
    accessor = _accessor(given)
    with settings.api() as api:
        api.delete(path("acl", "token", accessor))
    if settings.is_json:
        print_json({"deleted": accessor})
    else:
        print(f"Token {accessor!r} deleted successfully")


def _accessor(given: dict[str, Any]) -> str:
    found = str(given["accessor_id"] or given["id"])
    if not found:
        raise Failure("say which token: -id ACCESSOR")
    return found


for _command in (create, read, list_tokens, update, clone, delete):
    token.add_command(_command)
