"""`lockgate connect expose`: let the outside reach a service through an ingress gateway.

Belongs here: what Consul does: one listener or service more in the gateway's entry, and one intention.
Never here: the rules of either, which the coordinator has.
"""

from typing import Any

import click

from coordinator.client import Api, ApiRefused, path

from .options import Failure, command, option
from .output import print_json
from .settings import Settings

_KIND = "ingress-gateway"
_EXACT = "/v1/connect/intentions/exact"


@command("expose")
@option("service", required=True, help="The service that is exposed.")
@option("ingress-gateway", required=True, metavar="NAME", help="The gateway that exposes it.")
@option("port", required=True, type=click.IntRange(1, 65535), help="Where the gateway listens.")
@option("protocol", default="tcp", metavar="NAME", help="tcp, http, http2 or grpc [tcp].")
@option("host", multiple=True, help="A host name that leads to the service; may be repeated.")
@click.pass_obj
def expose(
    settings: Settings,
    service: str,
    ingress_gateway: str,
    port: int,
    protocol: str,
    host: tuple[str, ...],
) -> None:
    """Add a service to an ingress gateway, and let the gateway reach it.

    \b
    Examples:
      lockgate connect expose -service web -ingress-gateway public -port 8080 -protocol http
      lockgate connect expose -service db -ingress-gateway public -port 5432
    """
    with settings.api() as api:
        entry = _entry(api, ingress_gateway)
        body = with_service(entry, service, port, protocol, host)
        index = str(entry.get("ModifyIndex", 0))
        if api.put("/v1/config", body, cas=index) is not True:
            raise Failure(f"{_KIND}/{ingress_gateway} was changed meanwhile; try again")
        is_new = _allow(api, ingress_gateway, service)
    if settings.is_json:
        print_json({"gateway": ingress_gateway, "service": service, "intention_created": is_new})
        return
    print(f"Successfully updated config entry for ingress service {ingress_gateway!r}")
    done = "Successfully set up intention" if is_new else "Intention already exists"
    print(f"{done} for {ingress_gateway!r} -> {service!r}")


def with_service(
    entry: dict[str, Any], service: str, port: int, protocol: str, hosts: tuple[str, ...]
) -> dict[str, Any]:
    """The entry with this service on this port. Raises Failure when the port speaks something else."""
    body = {key: value for key, value in entry.items() if not key.endswith("Index")}
    listeners = [dict(listener) for listener in body.get("Listeners", ())]
    found = next((one for one in listeners if one["Port"] == port), None)
    if found is None:
        found = {"Port": port, "Protocol": protocol, "Services": []}
        listeners.append(found)
    if found["Protocol"] != protocol:
        text = f"port {port} of {body['Name']} speaks {found['Protocol']} already, not {protocol}"
        raise Failure(text)
    services = [dict(one) for one in found.get("Services", ())]
    known = next((one for one in services if one["Name"] == service), None)
    if known is None:
        known = {"Name": service}
        services.append(known)
    if hosts:
        known["Hosts"] = list(dict.fromkeys((*known.get("Hosts", ()), *hosts)))
    found["Services"] = services
    return body | {"Listeners": listeners}


def _entry(api: Api, gateway: str) -> dict[str, Any]:
    """The gateway's entry, a new one if there is none."""
    try:
        return dict(api.get(path("config", _KIND, gateway)))
    except ApiRefused as error:
        if error.status != 404:
            raise
        return {"Kind": _KIND, "Name": gateway}


def _allow(api: Api, gateway: str, service: str) -> bool:
    """Whether there was no intention of the two yet. One that there is stays as it is."""
    try:
        api.get(_EXACT, source=gateway, destination=service)
        return False
    except ApiRefused as error:
        if error.status != 404:
            raise
    body = {"Action": "allow", "SourceType": "consul"}
    api.put(_EXACT, body, source=gateway, destination=service)
    return True
