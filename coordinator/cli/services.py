"""`lockgate services`: definitions and registrations, into the catalog and out of it.

Belongs here: Consul's two subcommands. Never here: the rules of a definition.
A service definition goes to the coordinator's own node, a registration to the node that it names.
"""

from collections.abc import Callable
from typing import Any

import click

from coordinator.client import Api, path
from coordinator.entries.load import Item, RegistrationItem, ServiceItem

from .files import name_of, read_items
from .options import Failure, Group, command, option
from .output import print_json
from .settings import Settings


@click.group("services", cls=Group)
def services() -> None:
    """Register and deregister services."""


@command("register")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_obj
def register(settings: Settings, files: tuple[str, ...]) -> None:
    """Register what is in FILE: `service` blocks, or registrations with `Node` and `Address`.

    \b
    Example:
      lockgate services register billing.hcl
    """
    _each(settings, _read(files), _register, "Registered")


@command("deregister")
@option("id", default="", help="The id of a service of the coordinator's own node.")
@click.argument("files", nargs=-1, metavar="FILE...")
@click.pass_obj
def deregister(settings: Settings, id: str, files: tuple[str, ...]) -> None:  # noqa: A002 (-id)
    """Deregister what is in FILE, or one service by its id.

    \b
    Examples:
      lockgate services deregister billing.hcl
      lockgate services deregister -id billing
    """
    if bool(id) == bool(files):
        raise click.UsageError("say which: either FILE or -id")
    if files:
        _each(settings, _read(files), _deregister, "Deregistered")
        return
    with settings.api() as api:
        api.put(path("agent", "service", "deregister", id))
    _done(settings, "Deregistered", [id])


def _read(files: tuple[str, ...]) -> tuple[Item, ...]:
    """What the files hold; one without anything is hardly what was meant."""
    items = read_items(files)
    if not items:
        raise Failure(f"no service in {' '.join(files)}")
    return items


def _each(
    settings: Settings, items: tuple[Item, ...], send: Callable[[Api, Item], str], what: str
) -> None:
    for item in items:
        if not isinstance(item, ServiceItem | RegistrationItem):
            raise Failure(f"{name_of(item)}: use lockgate config write")
    with settings.api() as api:
        _done(settings, what, [send(api, item) for item in items])


def _done(settings: Settings, what: str, names: list[str]) -> None:
    if settings.is_json:
        print_json({what.lower(): names})
        return
    for name in names:
        print(f"{what} service: {name}")


def _register(api: Api, item: Item) -> str:
    if isinstance(item, ServiceItem):
        api.put("/v1/agent/service/register", agent_body(item.definition))
        return str(item.definition["Service"]["ID"])
    assert isinstance(item, RegistrationItem)
    api.put("/v1/catalog/register", item.registration)
    return _registered(item.registration)


def _deregister(api: Api, item: Item) -> str:
    if isinstance(item, ServiceItem):
        service = str(item.definition["Service"]["ID"])
        api.put(path("agent", "service", "deregister", service))
        return service
    assert isinstance(item, RegistrationItem)
    body = {"Node": item.registration["Node"]}
    if "Service" in item.registration:
        body["ServiceID"] = item.registration["Service"]["ID"]
    api.put("/v1/catalog/deregister", body)
    return _registered(item.registration)


def _registered(registration: dict[str, Any]) -> str:
    service = registration.get("Service")
    return f"{registration['Node']}/{service['ID']}" if service else str(registration["Node"])


def agent_body(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition in the catalog's form as the agent's endpoint takes it."""
    service = definition["Service"]
    body = {key: value for key, value in service.items() if key != "Service"}
    body["Name"] = service["Service"]
    body["Checks"] = [_agent_check(check) for check in definition.get("Checks", ())]
    if "Sidecar" in definition:
        sidecar = agent_body(definition["Sidecar"])
        body["Connect"] = service.get("Connect", {}) | {"SidecarService": sidecar}
    return body


def _agent_check(check: dict[str, Any]) -> dict[str, Any]:
    """What is probed stands beside the check's name there."""
    names = ("CheckID", "Name", "Status", "Notes")
    definition: dict[str, Any] = check.get("Definition", {})
    return {key: check[key] for key in names if key in check} | definition


services.add_command(register)
services.add_command(deregister)
