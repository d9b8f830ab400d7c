"""`lockgate config`: configuration entries.

Belongs here: Consul's subcommands for entries. Never here: the rules of an entry.
"""

import sys
from typing import Any

import click

from coordinator.client import Api, path

from .options import Failure, Group, command, flag, option
from .output import print_json
from .settings import Settings

_WARNING_HEADER = "X-Lockgate-Warning"


@click.group("config", cls=Group)
def config() -> None:
    """Write, read, list and delete configuration entries."""


@command("write")
@flag("cas", help="Write only if the entry is still at -modify-index.")
@option("modify-index", type=click.IntRange(0), metavar="N", help="For -cas; 0: only if absent.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_obj
def write(settings: Settings, cas: bool, modify_index: int | None, files: tuple[str, ...]) -> None:
    """Write the entries in FILE, HCL or JSON; `-` is standard input.

    \b
    Examples:
      lockgate config write egress.hcl
      lockgate config write -cas -modify-index 12 egress.json
    """
    from coordinator.entries.load import EntryItem

    from .files import name_of, read_items

    params = _cas(cas, modify_index)
    items = read_items(files)
    if not items:
        raise Failure(f"nothing to write in {' '.join(files)}")
    for item in items:
        if not isinstance(item, EntryItem):
            raise Failure(f"{name_of(item)}: use lockgate services register")
    written = []
    with settings.api() as api:
        for item in items:
            if isinstance(item, EntryItem):
                what = f"{item.entry.kind}/{item.entry.name}"
                _write(api, what, item.entry.body, params)
                written.append({"kind": item.entry.kind, "name": item.entry.name})
                if not settings.is_json:
                    print(f"Config entry written: {what}")
    if settings.is_json:
        print_json({"written": written})


def _write(api: Api, what: str, body: dict[str, Any], params: dict[str, str]) -> None:
    response = api.request("PUT", "/v1/config", params=params, body=body)
    if response.json() is not True:
        raise Failure(f"Config entry not updated: {what} was changed")
    for warning in response.headers.get_list(_WARNING_HEADER):
        print(f"WARNING: {warning}", file=sys.stderr)


def _cas(cas: bool, modify_index: int | None) -> dict[str, str]:
    if cas != (modify_index is not None):
        raise click.UsageError("-cas and -modify-index go together")
    return {"cas": str(modify_index)} if cas else {}


@command("read")
@option("kind", required=True, help="The kind of the entry.")
@option("name", required=True, help="The name of the entry.")
@click.pass_obj
def read(settings: Settings, kind: str, name: str) -> None:
    """Print one entry as JSON.

    \b
    Example:
      lockgate config read -kind terminating-gateway -name egress
    """
    with settings.api() as api:
        print_json(api.get(path("config", kind, name)))


@command("list")
@option("kind", required=True, help="The kind of the entries.")
@option("filter", default="", metavar="EXPRESSION", help="Only those that match, as ?filter= does.")
@click.pass_obj
def list_entries(settings: Settings, kind: str, filter: str) -> None:  # noqa: A002 (-filter)
    """Print the names of all entries of one kind.

    \b
    Examples:
      lockgate config list -kind service-intentions
      lockgate config list -kind service-defaults -filter 'Protocol == http'
    """
    params = {"filter": filter} if filter else {}
    with settings.api() as api:
        entries = api.get(path("config", kind), **params)
    if settings.is_json:
        print_json(entries)
        return
    for entry in entries:
        print(entry.get("Name", kind))  # a mesh entry holds no name: it is its kind's


@command("delete")
@option("kind", default="", help="The kind of the entry.")
@option("name", default="", help="The name of the entry.")
@option("filename", default="", metavar="FILE", help="Delete the entries that are in this file.")
@flag("cas", help="Delete only if the entry is still at -modify-index.")
@option("modify-index", type=click.IntRange(0), metavar="N", help="For -cas.")
@click.pass_obj
def delete(
    settings: Settings, kind: str, name: str, filename: str, cas: bool, modify_index: int | None
) -> None:
    """Delete one entry, or those in a file.

    \b
    Examples:
      lockgate config delete -kind terminating-gateway -name egress
      lockgate config delete -filename egress.hcl
    """
    params = _cas(cas, modify_index)
    chosen = _chosen(kind, name, filename)
    with settings.api() as api:
        for one_kind, one_name in chosen:
            if api.delete(path("config", one_kind, one_name), **params) is False:
                raise Failure(f"Config entry not deleted: {one_kind}/{one_name} was changed")
            if not settings.is_json:
                print(f"Config entry deleted: {one_kind}/{one_name}")
    if settings.is_json:
        print_json({"deleted": [{"kind": k, "name": n} for k, n in chosen]})


def _chosen(kind: str, name: str, filename: str) -> list[tuple[str, str]]:
    from coordinator.entries.load import EntryItem

    from .files import read_items

    if filename and not (kind or name):
        items = read_items([filename])
        return [(i.entry.kind, i.entry.name) for i in items if isinstance(i, EntryItem)]
    if kind and name and not filename:
        return [(kind, name)]
    raise click.UsageError("say which: either -kind and -name, or -filename")


for _command in (write, read, list_entries, delete):
    config.add_command(_command)
