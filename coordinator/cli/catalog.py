"""`lockgate catalog`: what is registered.

Belongs here: reading the catalog. Never here: writing to it (`services`).
"""

from typing import Any

import click

from coordinator.client import path

from .options import Group, command, flag, option
from .output import print_json, print_table
from .settings import Settings

_KIND = "terminating-gateway"


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
    """Print the services that a gateway, or each gateway, leads to.

    \b
    Example:
      lockgate catalog gateway-services egress
    """
    with settings.api() as api:
        names = [gateway] if gateway else [e["Name"] for e in api.get(path("config", _KIND))]
        found = [row for n in names for row in api.get(path("catalog", "gateway-services", n))]
    if settings.is_json:
        print_json(found)
        return
    rows = [_row(row) for row in found]
    print_table(("Gateway", "Service", "TLS", "SNI", "Linked by"), rows)


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    tls = "mutual" if row.get("CertFile") else "yes" if {"CAFile", "SNI"} & row.keys() else "no"
    link = "wildcard" if row.get("FromWildcard") else "name"
    return row["Gateway"]["Name"], row["Service"]["Name"], tls, row.get("SNI", ""), link


for _command in (list_services, list_nodes, gateway_services):
    catalog.add_command(_command)
