"""Rules between entries: what a write or a delete would leave behind must fit together.

Belongs here: rules that need more than one entry. Never here: a rule of one entry alone, or the store:
whoever writes hands in all entries as they would be afterwards.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cluster.errors import Problem

from .entry import Checked
from .protocols import HTTP_LIKE, chain_protocol
from .report import Finding


def cross_problems(entries: Iterable[Checked]) -> tuple[Problem, ...]:
    """Why these entries cannot stand together; nothing if they can.

    The path of each problem begins with the entry: `service-intentions/api: Sources[0].Permissions`.
    """
    known = {(entry.kind, entry.name): entry.body for entry in entries}
    return tuple(
        Problem(message=message, path=f"{kind}/{name}: {path}")
        for (kind, name), body in known.items()
        if kind == "service-intentions"
        for path, message in _intention_rules(name, body, known)
    )


def _intention_rules(
    name: str, body: Mapping[str, Any], known: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Iterator[Finding]:
    own, every = known.get(("service-defaults", name)), known.get(("proxy-defaults", "global"))
    protocol = chain_protocol(own, every)
    for index, source in enumerate(body["Sources"]):
        if source.get("Permissions") and protocol not in HTTP_LIKE:
            message = (
                f"service {name} has protocol {protocol}, which is incompatible with L7 permissions"
            )
            yield Finding(f"Sources[{index}].Permissions", message)
    for path, provider in _providers(body):
        if ("jwt-provider", provider) not in known:
            yield Finding(path, f"JWT provider {provider} must exist")


def _providers(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every JWT provider the entry names, with its path."""
    places = [("JWT", body.get("JWT", {}))]
    for index, source in enumerate(body["Sources"]):
        for number, permission in enumerate(source.get("Permissions", [])):
            path = f"Sources[{index}].Permissions[{number}].JWT"
            places.append((path, permission.get("JWT", {})))
    for path, jwt in places:
        for index, provider in enumerate(jwt.get("Providers", [])):
            yield f"{path}.Providers[{index}].Name", provider["Name"]
