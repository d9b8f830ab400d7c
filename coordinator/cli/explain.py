"""`lockgate explain`: the decision for a connection, the rule that made it, and where it would go.

Belongs here: asking and showing. Never here: deciding.
"""

from typing import Any
from urllib.parse import urlencode

import click

from coordinator.client import path as api_path

from .files import read_entries
from .history import time_of
from .options import command, option
from .output import print_facts, print_json, print_table
from .settings import Settings


@command("explain")
@option("source", default="", help="The service that connects.")
@option("destination", default="", help="The service that it connects to.")
@option("sni", default="", metavar="NAME", help="Or the server name that it asks for.")
@option("method", default="", help="Of a request: what the permissions say of it.")
@option("path", default="", help="The path of the request.")
@option("header", multiple=True, metavar="NAME:VALUE", help="A header of it; may be repeated.")
@option("plan", multiple=True, metavar="FILE", help="As if the entries in FILE were written.")
@option("connection", default="", metavar="ID", help="Or one connection, live or closed lately.")
@click.pass_obj
def explain(
    settings: Settings,
    source: str,
    destination: str,
    sni: str,
    method: str,
    path: str,
    header: tuple[str, ...],
    plan: tuple[str, ...],
    connection: str,
) -> None:
    """Say whether, why and how SOURCE may reach a service, or why one connection was let in and ended.

    \b
    Examples:
      lockgate explain -source web -destination billing
      lockgate explain -source web -sni billing.default.dc1.internal.11111111-2222….consul
      lockgate explain -source web -destination shop -method POST -path /orders -header x-team:a
      lockgate explain -source web -destination billing -plan deny-web.hcl
      lockgate explain -connection gw1/0/42
    """
    if connection:
        if source or destination or sni or method or path or header or plan:
            raise click.UsageError("-connection stands alone")
        _explain_connection(settings, connection)
        return
    if not source:
        raise click.UsageError("say who: -source, or -connection")
    if bool(destination) == bool(sni):
        raise click.UsageError("say where to: either -destination or -sni")
    given = {"source": source, "destination": destination, "sni": sni}
    given |= {"method": method, "path": path}
    params = [(name, value) for name, value in given.items() if value]
    params += [("header", one) for one in header]
    answer = _asked(settings, params, plan)
    if settings.is_json:
        print_json(answer)
    else:
        _tell(answer)


def _asked(settings: Settings, params: list[tuple[str, str]], plan: tuple[str, ...]) -> Any:
    path = f"/v1/lockgate/explain?{urlencode(params)}"
    with settings.api() as api:
        if plan:
            return api.post(path, {"entries": read_entries(plan)})
        return api.request("GET", path).json()


def _explain_connection(settings: Settings, connection: str) -> None:
    with settings.api() as api:
        answer = api.get(api_path("lockgate", "explain", *connection.split("/")))
    if settings.is_json:
        print_json(answer)
        return
    found, then = answer["connection"], answer["then"]
    verdict = {True: "allowed", False: "denied", None: "not decided"}[then["allowed"]]
    print_facts(
        [
            ("Connection", found["id"]),
            ("State", found["state"]),
            ("Opened", time_of(found["opened_at"]) if "opened_at" in found else ""),
            ("Closed", time_of(found["closed_at"]) if "closed_at" in found else ""),
            ("Lasted", f"{found['age_seconds']:.3f} s"),
            ("End", found.get("end", "")),
            ("Because", found.get("detail", "")),
            ("Look at", found.get("look_at", "")),
            ("Source", found["source"]),
            ("Decision then", f"{verdict} at generation {then['generation']}"),
            ("Reason then", then["reason"]),
            ("Dialled", found["endpoint"]),
            ("Bytes up", found["bytes_up"]),
            ("Bytes down", found["bytes_down"]),
        ]
    )
    if "decision" in answer:
        print("\nNow:")
        _tell(answer)


#: A name that was mistyped looks like this too.
_UNREACHED = "by nobody in the mesh: nothing that leads to it is registered"


def _tell(answer: dict[str, Any]) -> None:
    route = answer["route"]
    facts = [
        ("Decision", "allowed" if answer["allowed"] else "denied"),
        ("Reason", answer["decision"]["reason"]),
        ("Request", _request(answer["request"]) if "request" in answer else ""),
        *(("Expired", _ended(one)) for one in answer["decision"].get("expired", ())),
        ("Destination", route["destination"]),
        ("Gateway", route["gateways"] or route["gateway"]),
        ("SNI", route["sni"]),
        ("Reached", "" if route["dialled"] or answer["endpoints"] else _UNREACHED),
        ("Generation", answer["generation"]),
    ]
    print_facts([(name, value) for name, value in facts if value != []])
    for title, endpoints in (("Dials", route["dialled"]), ("Endpoint", answer["endpoints"])):
        if endpoints:
            print()
            _endpoints(title, endpoints)


def _request(request: dict[str, Any]) -> str:
    verdict = "allowed" if request["allowed"] else "denied"
    if request["number"]:
        return f"{verdict} by permission {request['number']}, once requests are looked at"
    return f"{verdict}: no permission is met, or none is there"


def _ended(rule: dict[str, Any]) -> str:
    pair = f"{rule['SourceName']} => {rule['DestinationName']}"
    return f"the intention {pair} ended at {rule['ExpiresAt']}"


def _endpoints(title: str, endpoints: list[dict[str, Any]]) -> None:
    rows = [(one["address"], "yes" if one["healthy"] else "no", one["weight"]) for one in endpoints]
    print_table((title, "Healthy", "Weight"), rows)
