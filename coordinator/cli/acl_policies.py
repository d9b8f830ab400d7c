"""`lockgate acl policy` and `lockgate acl role`, as `consul acl` has them.

Belongs here: the commands. Never here: what rules mean.
"""

import sys
from pathlib import Path
from typing import Any

import click

from coordinator.client import Api, path

from .acl_links import link_options, linked, names_of
from .options import Failure, Group, command, option
from .output import print_facts, print_json, print_table
from .settings import Settings

_ID = option("id", default="", metavar="ID", help="Its id.")
_NAME = option("name", default="", metavar="NAME", help="Its name.")
_NEW_NAME = option("name", required=True, metavar="NAME", help="Letters, digits, - and _.")
_DESCRIPTION = option("description", default="", metavar="TEXT", help="What it is for.")
_DATACENTERS = option(
    "valid-datacenter", multiple=True, metavar="DC", help="Counts only there; may be repeated."
)
_RULES = option("rules", required=True, metavar="RULES", help="The rules, @FILE, or - for stdin.")


@click.group("policy", cls=Group)
def policy() -> None:
    """Policies: rules that say what who bears them may do."""


@command("create")
@_NEW_NAME
@_RULES
@_DESCRIPTION
@_DATACENTERS
@click.pass_obj
def create_policy(settings: Settings, /, **given: Any) -> None:
    """Make a policy of rules in Consul's language, HCL or JSON.

    \b
    Examples:
      lockgate acl policy create -name operators -rules 'operator = "write"'
      lockgate acl policy create -name web -rules @web.hcl
    """
    body = {"Name": given["name"], "Description": given["description"]}
    body |= {"Rules": _text(given["rules"]), "Datacenters": list(given["valid_datacenter"])}
    with settings.api() as api:
        _show_policy(settings, api.put(path("acl", "policy"), body))


@command("read")
@_ID
@_NAME
@click.pass_obj
def read_policy(settings: Settings, /, **given: Any) -> None:
    """Print a policy with its rules.

    \b
    Example:
      lockgate acl policy read -name operators
    """
    with settings.api() as api:
        _show_policy(settings, _found(api, "policy", given))


@command("list")
@click.pass_obj
def list_policies(settings: Settings) -> None:
    """Print all policies.

    \b
    Example:
      lockgate acl policy list
    """
    with settings.api() as api:
        found = api.get(path("acl", "policies"))
    if settings.is_json:
        print_json(found)
    else:
        rows = [(one["Name"], one["ID"], one["Description"]) for one in found]
        print_table(("Name", "ID", "Description"), rows)


@command("update")
@_ID
@_NAME
@option("rules", default="", metavar="RULES", help="The new rules, @FILE, or - for stdin.")
@_DESCRIPTION
@click.pass_obj
def update_policy(settings: Settings, /, **given: Any) -> None:
    """Change a policy; it counts at once for all who bear it.

    \b
    Example:
      lockgate acl policy update -name web -rules @web.hcl
    """
    with settings.api() as api:
        body = _found(api, "policy", given)
        body |= {"Rules": _text(given["rules"])} if given["rules"] else {}
        body |= {"Description": given["description"]} if given["description"] else {}
        _show_policy(settings, api.put(path("acl", "policy", body["ID"]), body))


@command("delete")
@_ID
@_NAME
@click.pass_obj
def delete_policy(settings: Settings, /, **given: Any) -> None:
    """Delete a policy: it grants nothing any more.

    \b
    Example:
      lockgate acl policy delete -name web
    """
    _delete(settings, "policy", given)


@click.group("role", cls=Group)
def role() -> None:
    """Roles: policies and identities under one name, for many tokens."""


@command("create")
@_NEW_NAME
@_DESCRIPTION
@link_options(roles=False)
@click.pass_obj
def create_role(settings: Settings, /, **given: Any) -> None:
    """Make a role.

    \b
    Example:
      lockgate acl role create -name on-call -policy-name operators
    """
    body = {"Name": given["name"], "Description": given["description"]} | linked(given)
    with settings.api() as api:
        _show_role(settings, api.put(path("acl", "role"), body))


@command("read")
@_ID
@_NAME
@click.pass_obj
def read_role(settings: Settings, /, **given: Any) -> None:
    """Print a role.

    \b
    Example:
      lockgate acl role read -name on-call
    """
    with settings.api() as api:
        _show_role(settings, _found(api, "role", given))


@command("list")
@click.pass_obj
def list_roles(settings: Settings) -> None:
    """Print all roles.

    \b
    Example:
      lockgate acl role list
    """
    with settings.api() as api:
        found = api.get(path("acl", "roles"))
    if settings.is_json:
        print_json(found)
    else:
        rows = [(one["Name"], one["ID"], names_of(one)) for one in found]
        print_table(("Name", "ID", "Grants"), rows)


@command("delete")
@_ID
@_NAME
@click.pass_obj
def delete_role(settings: Settings, /, **given: Any) -> None:
    """Delete a role: it grants nothing any more.

    \b
    Example:
      lockgate acl role delete -name on-call
    """
    _delete(settings, "role", given)


def _found(api: Api, what: str, given: dict[str, Any]) -> dict[str, Any]:
    """The policy or role that is meant. Raises Failure when none is said."""
    if bool(given["id"]) == bool(given["name"]):
        raise Failure(f"say which {what}: either -id or -name")
    place = (given["id"],) if given["id"] else ("name", given["name"])
    found: dict[str, Any] = api.get(path("acl", what, *place))
    return found


def _delete(settings: Settings, what: str, given: dict[str, Any]) -> None:
    with settings.api() as api:
        found = _found(api, what, given)
        api.delete(path("acl", what, found["ID"]))
    if settings.is_json:
        print_json({"deleted": found["ID"]})
    else:
        print(f"{what.capitalize()} {found['Name']!r} deleted successfully")


def _show_policy(settings: Settings, shown: dict[str, Any]) -> None:
    if settings.is_json:
        print_json(shown)
        return
    names = ("ID", "Name", "Description")
    facts = [(name, shown[name]) for name in names]
    print_facts([*facts, ("Datacenters", shown.get("Datacenters", ""))])
    if shown.get("Rules"):
        print(f"Rules:\n{shown['Rules'].rstrip()}")


def _show_role(settings: Settings, shown: dict[str, Any]) -> None:
    if settings.is_json:
        print_json(shown)
        return
    facts = [(name, shown[name]) for name in ("ID", "Name", "Description")]
    print_facts([*facts, ("Grants", names_of(shown) or "")])


def _text(rules: str) -> str:
    """The rules themselves, or what a file or stdin holds. Raises Failure."""
    if rules == "-":
        return sys.stdin.read()
    if not rules.startswith("@"):
        return rules
    try:
        return Path(rules[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise Failure(f"{rules[1:]}: {reason}") from None


for _command in (create_policy, read_policy, list_policies, update_policy, delete_policy):
    policy.add_command(_command)
for _command in (create_role, read_role, list_roles, delete_role):
    role.add_command(_command)
