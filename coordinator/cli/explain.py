"""`lockgate explain`: the decision for a connection, the rule that made it, and where it would go.

Belongs here: asking and showing. Never here: deciding.
"""

from typing import Any

import click

from .options import command, option
from .output import print_facts, print_json, print_table
from .settings import Settings


@command("explain")
@option("source", required=True, help="The service that connects.")
@option("destination", default="", help="The service that it connects to.")
@option("sni", default="", metavar="NAME", help="Or the server name that it asks for.")
@click.pass_obj
def explain(settings: Settings, source: str, destination: str, sni: str) -> None:
    """Say whether, why and how SOURCE may reach a service.

    \b
    Examples:
      lockgate explain -source web -destination billing
      lockgate explain -source web -sni billing.default.dc1.internal.11111111-2222….consul
    """
    if bool(destination) == bool(sni):
        raise click.UsageError("say where to: either -destination or -sni")
    params = {"source": source} | ({"sni": sni} if sni else {"destination": destination})
    with settings.api() as api:
        answer = api.get("/v1/lockgate/explain", **params)
    if settings.is_json:
        print_json(answer)
    else:
        _tell(answer)


def _tell(answer: dict[str, Any]) -> None:
    route = answer["route"]
    facts = [
        ("Decision", "allowed" if answer["allowed"] else "denied"),
        ("Reason", answer["decision"]["reason"]),
        ("Destination", route["destination"]),
        ("Gateway", route["gateways"] or route["gateway"]),
        ("SNI", route["sni"]),
        ("Generation", answer["generation"]),
    ]
    print_facts([(name, value) for name, value in facts if value != []])
    for title, endpoints in (("Dials", route["dialled"]), ("Endpoint", answer["endpoints"])):
        if endpoints:
            print()
            _endpoints(title, endpoints)


def _endpoints(title: str, endpoints: list[dict[str, Any]]) -> None:
    rows = [(one["address"], "yes" if one["healthy"] else "no", one["weight"]) for one in endpoints]
    print_table((title, "Healthy", "Weight"), rows)
