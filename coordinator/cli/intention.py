"""`lockgate intention`: who may talk to whom.

Belongs here: Consul's subcommands, with their exit statuses. Never here: what decides.
"""

import sys
from typing import Any

import click

from cluster.durations import parse_duration
from cluster.moments import format_moment, parse_moment
from cluster.process.clock import wall_clock
from coordinator.client import Api, ApiRefused

from .options import Failure, Group, command, flag, option
from .output import print_facts, print_json, print_table
from .settings import Settings

_EXACT = "/v1/connect/intentions/exact"
_SOURCE, _DESTINATION = click.argument("source"), click.argument("destination")


@click.group("intention", cls=Group)
def intention() -> None:
    """Allow, deny, and ask whether a service may reach another."""


@command("create")
@flag("allow", help="Let SOURCE reach DESTINATION [the default].")
@flag("deny", help="Do not let it.")
@flag("replace", help="Replace the intention of this pair if there is one.")
@option("description", default="", help="Why, for people.")
@option(
    "meta", multiple=True, metavar="KEY=VALUE", help="Kept with the intention; may be repeated."
)
@option("expires-in", default="", metavar="2h", help="It ends by itself after this long.")
@_SOURCE
@_DESTINATION
@click.pass_obj
def create(
    settings: Settings,
    allow: bool,
    deny: bool,
    replace: bool,
    description: str,
    meta: tuple[str, ...],
    expires_in: str,
    source: str,
    destination: str,
) -> None:
    """Allow (or deny) connections from SOURCE to DESTINATION; `*` is every service.

    Open connections that are no longer allowed are closed; so are those of an intention that has ended.

    \b
    Examples:
      lockgate intention create web billing
      lockgate intention create -expires-in 2h web billing
      lockgate intention create -deny -replace web billing
    """
    if allow and deny:
        raise click.UsageError("either -allow or -deny")
    action = "deny" if deny else "allow"
    body: dict[str, Any] = {"SourceType": "consul", "Action": action}
    body |= {"Description": description} if description else {}
    body |= {"Meta": _pairs(meta)} if meta else {}
    body |= {"ExpiresAt": _moment(expires_in)} if expires_in else {}
    with settings.api() as api:
        if not replace and _find(api, source, destination):
            raise Failure(f"an intention {source} => {destination} exists already; use -replace")
        api.put(_EXACT, body, source=source, destination=destination)
    if settings.is_json:
        print_json({"source": source, "destination": destination, "action": action})
    else:
        print(f"Created: {source} => {destination} ({_action(body)})")


@command("delete")
@_SOURCE
@_DESTINATION
@click.pass_obj
def delete(settings: Settings, source: str, destination: str) -> None:
    """Delete the intention of one pair; it may be absent.

    \b
    Example:
      lockgate intention delete web billing
    """
    with settings.api() as api:
        api.delete(_EXACT, source=source, destination=destination)
    if settings.is_json:
        print_json({"source": source, "destination": destination})
    else:
        print("Intention deleted.")


@command("get")
@_SOURCE
@_DESTINATION
@click.pass_obj
def get(settings: Settings, source: str, destination: str) -> None:
    """Print the intention of one pair.

    \b
    Example:
      lockgate intention get web billing
    """
    with settings.api() as api:
        found = _find(api, source, destination)
    if found is None:
        raise Failure(f"there is no intention {source} => {destination}")
    if settings.is_json:
        print_json(found)
        return
    shown = ("SourceName", "DestinationName", "Action", "Precedence", "Description")
    facts = [(name.removesuffix("Name"), found.get(name, "")) for name in shown]
    facts += [("Expires", _end(found))]
    facts += [("Permissions", len(found.get("Permissions", ())) or "")]
    facts += [(f"Meta[{key}]", value) for key, value in found.get("Meta", {}).items()]
    print_facts(facts)


@command("list")
@click.pass_obj
def list_intentions(settings: Settings) -> None:
    """Print all intentions in order of precedence; exit status 2 if there are none.

    \b
    Example:
      lockgate intention list
    """
    with settings.api() as api:
        found = api.get("/v1/connect/intentions")
    if settings.is_json:
        print_json(found)
    elif found:
        rows = [(_side(i), _action(i), i["DestinationName"], i["Precedence"]) for i in found]
        print_table(("Source", "Action", "Destination", "Precedence"), rows)
    if not found:
        print("There are no intentions.", file=sys.stderr)
        raise click.exceptions.Exit(2)


@command("check", error_status=2)
@_SOURCE
@_DESTINATION
@click.pass_obj
def check(settings: Settings, source: str, destination: str) -> None:
    """Say whether a connection would be allowed: exit status 0 Allowed, 1 Denied, 2 an error.

    An intention with permissions for single requests counts as denied.

    \b
    Example:
      lockgate intention check web billing
    """
    with settings.api() as api:
        params = {"source": source, "destination": destination}
        allowed = api.get("/v1/connect/intentions/check", **params)["Allowed"]
    if settings.is_json:
        print_json({"allowed": allowed})
    else:
        print("Allowed" if allowed else "Denied")
    if not allowed:
        raise click.exceptions.Exit(1)


@command("match")
@flag("source", help="NAME is the source.")
@flag("destination", help="NAME is the destination [the default].")
@click.argument("name")
@click.pass_obj
def match(settings: Settings, source: bool, destination: bool, name: str) -> None:
    """Print the intentions that could apply to a service, in evaluation order.

    \b
    Examples:
      lockgate intention match billing
      lockgate intention match -source web
    """
    if source and destination:
        raise click.UsageError("either -source or -destination")
    by = "source" if source else "destination"
    with settings.api() as api:
        found = api.get("/v1/connect/intentions/match", by=by, name=name)[name]
    if settings.is_json:
        print_json(found)
        return
    for one in found:
        print(f"{_side(one)} => {one['DestinationName']} ({_action(one)})")


def _find(api: Api, source: str, destination: str) -> Any:
    try:
        return api.get(_EXACT, source=source, destination=destination)
    except ApiRefused as error:
        if error.status == 404:
            return None
        raise


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.UsageError(f"-meta is KEY=VALUE, not {text!r}")
        pairs[key] = value
    return pairs


def _side(found: dict[str, Any]) -> str:
    peer = found.get("SourcePeer")
    return f"peer:{peer}/{found['SourceName']}" if peer else str(found["SourceName"])


def _action(found: dict[str, Any]) -> str:
    count = len(found.get("Permissions", ()))
    permissions = f"{count} {'permission' if count == 1 else 'permissions'}"
    action = permissions if count else str(found["Action"])
    return f"{action} {end}" if (end := _end(found)) else action


def _end(found: dict[str, Any]) -> str:
    """When it ends or ended; empty if it does not."""
    moment = found.get("ExpiresAt")
    if not moment:
        return ""
    return f"{'expired' if parse_moment(moment) <= wall_clock() else 'until'} {moment}"


def _moment(text: str) -> str:
    """So long from now. Raises UsageError."""
    try:
        seconds = parse_duration(text) / 1e9
    except ValueError as error:
        raise click.UsageError(f"-expires-in: {error}") from None
    if seconds < 1:
        raise click.UsageError(f"-expires-in: {text} is less than a second")
    return format_moment(wall_clock() + seconds)


for _command in (create, delete, get, list_intentions, check, match):
    intention.add_command(_command)
