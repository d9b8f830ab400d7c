"""What tokens and roles are linked to, as the flags of `consul acl` say it.

Belongs here: flags to the API's bodies, and how links are shown. Never here: a command.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from .options import Failure, option

F = TypeVar("F", bound=Callable[..., Any])

_FLAGS = (
    ("policy-id", "ID", "A policy by its id; may be repeated."),
    ("policy-name", "NAME", "A policy by its name; may be repeated."),
    ("service-identity", "SERVICE[:DC,…]", "Be this service and its sidecar; may be repeated."),
    ("node-identity", "NODE:DC", "Be the agent of this node; may be repeated."),
)
_ROLE_FLAGS = (
    ("role-id", "ID", "A role by its id; may be repeated."),
    ("role-name", "NAME", "A role by its name; may be repeated."),
)


def link_options(*, roles: bool) -> Callable[[F], F]:
    """The flags for links, each of which may be repeated."""

    def add(function: F) -> F:
        for name, metavar, text in reversed((*_FLAGS, *(_ROLE_FLAGS if roles else ()))):
            function = option(name, multiple=True, metavar=metavar, help=text)(function)
        return function

    return add


def linked(given: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """The links of a body. Raises Failure for an identity that cannot be read."""
    found = {
        "Policies": _links(given.get("policy_id", ()), given.get("policy_name", ())),
        "Roles": _links(given.get("role_id", ()), given.get("role_name", ())),
        "ServiceIdentities": [_service(one) for one in given.get("service_identity", ())],
        "NodeIdentities": [_node(one) for one in given.get("node_identity", ())],
    }
    return {name: value for name, value in found.items() if value}


def merged(present: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    """The links that are there and the new ones."""
    names = ("Policies", "Roles", "ServiceIdentities", "NodeIdentities")
    found = {name: [*present.get(name, ()), *added.get(name, ())] for name in names}
    return {name: value for name, value in found.items() if value}


def names_of(shown: dict[str, Any]) -> list[str]:
    """Every link in a word or two, for tables."""
    words = [one["Name"] for name in ("Policies", "Roles") for one in shown.get(name, ())]
    words += [f"service {one['ServiceName']}" for one in shown.get("ServiceIdentities", ())]
    return words + [f"node {one['NodeName']}" for one in shown.get("NodeIdentities", ())]


def _links(ids: Iterable[str], names: Iterable[str]) -> list[dict[str, str]]:
    return [*({"ID": one} for one in ids), *({"Name": one} for one in names)]


def _service(text: str) -> dict[str, Any]:
    name, _, datacenters = text.partition(":")
    if not name:
        raise Failure(f"-service-identity is SERVICE or SERVICE:DC,…, not {text!r}")
    return {"ServiceName": name} | ({"Datacenters": datacenters.split(",")} if datacenters else {})


def _node(text: str) -> dict[str, str]:
    name, _, datacenter = text.partition(":")
    if not name or not datacenter:
        raise Failure(f"-node-identity is NODE:DC, not {text!r}")
    return {"NodeName": name, "Datacenter": datacenter}
