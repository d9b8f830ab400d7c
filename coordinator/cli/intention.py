"""`lockgate intention`: who may talk to whom.

Belongs here: Consul's subcommands, with their exit statuses. Never here: what decides.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from cluster.durations import parse_duration
from cluster.moments import format_moment, parse_moment
from cluster.process.clock import wall_clock
from coordinator.client import Api, ApiRefused, path

from .options import Failure, Group, command, flag, option
from .output import print_facts, print_json, print_table
from .settings import Settings

_ALL = "/v1/connect/intentions"
_EXACT = f"{_ALL}/exact"
_SOURCE, _DESTINATION = click.argument("source"), click.argument("destination")
_WHICH = click.argument("which", nargs=-1, required=True, metavar="(SOURCE DESTINATION | ID)")


@click.group("intention", cls=Group)
def intention() -> None:
    """Allow, deny, and ask whether a service may reach another."""


@command("create")
@flag("allow", help="Let SOURCE reach DESTINATION [the default].")
@flag("deny", help="Do not let it.")
@flag("replace", help="Replace the intention of this pair if there is one.")
@flag("file", help="Read intentions, each as a JSON object, from the files named instead.")
@option("description", default="", help="Why, for people.")
@option(
    "meta", multiple=True, metavar="KEY=VALUE", help="Kept with the intention; may be repeated."
)
@option("expires-in", default="", metavar="2h", help="It ends by itself after this long.")
@click.argument("given", nargs=-1, required=True, metavar="(SOURCE DESTINATION | FILE...)")
@click.pass_obj
def create(
    settings: Settings,
    allow: bool,
    deny: bool,
    replace: bool,
    file: bool,
    description: str,
    meta: tuple[str, ...],
    expires_in: str,
    given: tuple[str, ...],
) -> None:
    """Allow (or deny) connections from SOURCE to DESTINATION; `*` is every service.

    Open connections that are no longer allowed are closed; so are those of an intention that has ended.

    \b
    Examples:
      lockgate intention create web billing
      lockgate intention create -expires-in 2h web billing
      lockgate intention create -deny -replace web billing
      lockgate intention create -file billing.json
    """
    if allow and deny:
        raise click.UsageError("either -allow or -deny")
    if file and (allow or deny or description or meta or expires_in):
        raise click.UsageError("with -file everything is said by the file")
    if file:
        wanted = [_from_file(name) for name in given]
    else:
        source, destination = _pair_of(given)
        body: dict[str, Any] = {"Action": "deny" if deny else "allow"}
        body |= {"Description": description} if description else {}
        body |= {"Meta": _pairs(meta)} if meta else {}
        body |= {"ExpiresAt": _moment(expires_in)} if expires_in else {}
        wanted = [(source, destination, body)]
    with settings.api() as api:
        for one in wanted:
            _create(api, *one, replace=replace)
    if settings.is_json:
        made = [_made(*one) for one in wanted]
        print_json(made if file else made[0])
        return
    for source, destination, body in wanted:
        print(f"Created: {source} => {destination} ({_action(body)})")


def _create(
    api: Api, source: str, destination: str, body: dict[str, Any], *, replace: bool
) -> None:
    if not replace and _find(api, source, destination):
        raise Failure(f"an intention {source} => {destination} exists already; use -replace")
    api.put(_EXACT, {"SourceType": "consul"} | body, source=source, destination=destination)


def _made(source: str, destination: str, body: dict[str, Any]) -> dict[str, str]:
    return {"source": source, "destination": destination, "action": body.get("Action", "")}


def _from_file(name: str) -> tuple[str, str, dict[str, Any]]:
    """Source, destination and the rest of the intention in a file, in Consul's JSON."""
    try:
        with sys.stdin if name == "-" else open(name, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError) as error:
        raise Failure(f"{name}: cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise Failure(f"{name}: an intention is a JSON object")
    names = [str(found.get(side) or "") for side in ("SourceName", "DestinationName")]
    if not all(names):
        raise Failure(f"{name}: SourceName and DestinationName are required")
    kept = ("Action", "Permissions", "Description", "Meta", "SourceType", "ExpiresAt")
    return names[0], names[1], {key: found[key] for key in kept if found.get(key)}


@command("delete")
@_WHICH
@click.pass_obj
def delete(settings: Settings, which: tuple[str, ...]) -> None:
    """Delete the intention of one pair, which may be absent, or the one with this ID.

    \b
    Examples:
      lockgate intention delete web billing
      lockgate intention delete 8f246b77-f3e1-4f88-9b48-8ec93abf3e05
    """
    with settings.api() as api:
        if len(which) == 1:
            api.delete(path("connect", "intentions", which[0]))
            shown = {"id": which[0]}
        else:
            source, destination = _pair_of(which)
            api.delete(_EXACT, source=source, destination=destination)
            shown = {"source": source, "destination": destination}
    if settings.is_json:
        print_json(shown)
    else:
        print("Intention deleted.")


@command("get")
@_WHICH
@click.pass_obj
def get(settings: Settings, which: tuple[str, ...]) -> None:
    """Print the intention of one pair, or the one with this ID.

    \b
    Examples:
      lockgate intention get web billing
      lockgate intention get 8f246b77-f3e1-4f88-9b48-8ec93abf3e05
    """
    with settings.api() as api:
        if len(which) == 1:
            found = _or_none(lambda: api.get(path("connect", "intentions", which[0])))
        else:
            found = _find(api, *_pair_of(which))
    if found is None:
        raise Failure(f"there is no intention {' => '.join(which)}")
    if settings.is_json:
        print_json(found)
        return
    print_facts(_facts(found))


def _facts(found: dict[str, Any]) -> list[tuple[str, Any]]:
    shown = ("SourceName", "DestinationName", "Action", "ID", "Precedence", "Description")
    facts: list[tuple[str, Any]] = [(n.removesuffix("Name"), found.get(n, "")) for n in shown]
    facts += [("Expires", _end(found))]
    facts += [("Permissions", len(found.get("Permissions", ())) or "")]
    return facts + [(f"Meta[{key}]", value) for key, value in found.get("Meta", {}).items()]


@command("list")
@click.pass_obj
def list_intentions(settings: Settings) -> None:
    """Print all intentions in order of precedence; exit status 2 if there are none.

    \b
    Example:
      lockgate intention list
    """
    with settings.api() as api:
        found = api.get(_ALL)
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
        allowed = api.get(f"{_ALL}/check", **params)["Allowed"]
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
        found = api.get(f"{_ALL}/match", by=by, name=name)[name]
    if settings.is_json:
        print_json(found)
        return
    for one in found:
        print(f"{_side(one)} => {one['DestinationName']} ({_action(one)})")


def _pair_of(names: tuple[str, ...]) -> tuple[str, str]:
    if len(names) != 2:
        raise click.UsageError("say which: SOURCE and DESTINATION")
    return names[0], names[1]


def _find(api: Api, source: str, destination: str) -> Any:
    return _or_none(lambda: api.get(_EXACT, source=source, destination=destination))


def _or_none(ask: Callable[[], Any]) -> Any:
    """The answer, None for what is not there."""
    try:
        return ask()
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
