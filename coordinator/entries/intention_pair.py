"""An intention as one object per pair of services, the shape of Consul's older intention API.

Belongs here: the validity of such an object. Never here: the entry that the pairs of one destination
make together (`service_intentions`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cluster.documents.document import from_plain
from cluster.documents.faults import SyntaxFault
from cluster.errors import Problem

from .intention_permissions import PERMISSION, normal_permission
from .kind import Body, meta_rules
from .moments import Moment
from .report import Finding, Report
from .scalars import MISSING, Text
from .schema import Field, ListOf, Object, TableOf
from .service_intentions import action_rules, description_rules, wildcard_rules

_SIDES = ("Source", "Destination")

PAIR = Object(
    *(Field(name=f"{side}{part}", shape=Text()) for side in _SIDES for part in ("NS", "Name")),
    Field(name="SourcePeer", shape=Text()),
    Field(name="SourceType", shape=Text()),
    Field(name="Action", shape=Text()),
    Field(name="Permissions", shape=ListOf(PERMISSION)),
    Field(name="Description", shape=Text()),
    Field(name="ExpiresAt", shape=Moment()),
    Field(name="Meta", shape=TableOf()),
    strict=False,
)


def validate_pair(plain: Mapping[str, Any]) -> tuple[Problem, ...]:
    """What is wrong with a single intention whose defaults were filled in; nothing if it is valid.

    Both namespaces and `SourceType` are required here: whoever takes the object from a client puts
    `default` and `consul` where they were left out.
    """
    report = Report()
    try:
        pair = PAIR.read(from_plain(plain), "", report)
    except SyntaxFault as error:
        return (Problem(message=str(error)),)
    report.extend(() if pair is MISSING else _rules(pair))
    return report.sorted()


def _rules(pair: Body) -> Iterator[Finding]:
    for side in _SIDES:
        yield from _side_rules(pair.get(f"{side}NS", ""), pair.get(f"{side}Name", ""), side)
    if pair.get("SourceType") != "consul":
        yield Finding("SourceType", "SourceType must be consul")
    permissions = [normal_permission(permission) for permission in pair.get("Permissions", [])]
    wildcarded = pair.get("DestinationName") == "*"
    yield from action_rules(pair | {"Permissions": permissions}, "", wildcarded)
    yield from description_rules(pair.get("Description", ""), "Description")
    yield from meta_rules(pair.get("Meta", {}))


def _side_rules(namespace: str, name: str, side: str) -> Iterator[Finding]:
    for part, value in (("NS", namespace), ("Name", name)):
        if not value:
            yield Finding(f"{side}{part}", f"{side}{part} must be set")
        yield from wildcard_rules(value, f"{side}{part}")
    if namespace == "*" and name not in ("", "*"):
        yield Finding(f"{side}Name", "an exact value cannot follow a wildcard namespace")
