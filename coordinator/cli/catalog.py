"""`lockgate catalog`: what is registered.

Belongs here: reading the catalog. Never here: writing to it (`services`).
"""

from typing import Any

import click

from coordinator.client import path

from .options import Group, command, flag, option
from .output import print_json, print_table
from .settings import Settings

_TERMINATING = "terminating-gateway"
_KINDS = (_TERMINATING, "ingress-gateway")


@click.group("catalog", cls=Group)
def catalog() -> None:
    """Show services, nodes, and what gateways lead to."""


@command("services")
@flag("tags", help="Show the tags of each service too.")
@click.pass_obj
def list_services(settings: Settings, tags: bool) -> None:
    """Print the names of all registered services.

    \b
    Example:
      lockgate catalog services -tags
    """
    with settings.api() as api:
        found = api.get("/v1/catalog/services")
    if settings.is_json:
        print_json(found)
    elif tags:
        print_table(("Service", "Tags"), [(name, found[name]) for name in found])
    else:
        for name in found:
            print(name)


@command("nodes")
@option("service", default="", help="Only nodes that this service is registered on.")
@click.pass_obj
def list_nodes(settings: Settings, service: str) -> None:
    """Print all registered nodes.

    \b
    Example:
      lockgate catalog nodes -service billing
    """
    with settings.api() as api:
        found = api.get("/v1/catalog/nodes")
        if service:
            on = {one["Node"] for one in api.get(path("catalog", "service", service))}
            found = [node for node in found if node["Node"] in on]
    if settings.is_json:
        print_json(found)
        return
    rows = [(node["Node"], node["Address"], node["Datacenter"]) for node in found]
    print_table(("Node", "Address", "Datacenter"), rows)


@command("gateway-services")
@click.argument("gateway", required=False)
@click.pass_obj
def gateway_services(settings: Settings, gateway: str | None) -> None:
    """Print the services that a gateway, or each gateway, leads to or exposes.

    \b
    Example:
      lockgate catalog gateway-services egress
    """
    with settings.api() as api:
        entries = [e for kind in _KINDS for e in api.get(path("config", kind))]
        names = [gateway] if gateway else sorted(entry["Name"] for entry in entries)
        found = [row for n in names for row in api.get(path("catalog", "gateway-services", n))]
    if settings.is_json:
        print_json(found)
        return
    rows = [_row(row) for row in found]
    columns = ("Gateway", "Service", "Port", "Protocol", "Hosts", "TLS", "SNI", "Linked by")
    print_table(columns, rows)


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["Gateway"]["Name"],
        row["Service"]["Name"],
        str(row.get("Port", "")),
        row.get("Protocol", ""),
        " ".join(row.get("Hosts", ())),
        _tls(row),
        row.get("SNI", ""),
        "wildcard" if row.get("FromWildcard") else "name",
    )


def _tls(row: dict[str, Any]) -> str:
    """How a terminating gateway speaks to the service; an ingress gateway's listeners say it for all."""
    if row["GatewayKind"] != _TERMINATING:
        return ""
    return "mutual" if row.get("CertFile") else "yes" if {"CAFile", "SNI"} & row.keys() else "no"


for _command in (list_services, list_nodes, gateway_services):
    catalog.add_command(_command)
