"""A check on its own, as the agent's API registers one beside the services' definitions.

Belongs here: the fields and rules of that body. Never here: what a check does (`health_check`), or storage.
Source: Consul, "Check" HTTP API, `PUT /v1/agent/check/register`.
"""

from collections.abc import Mapping
from typing import Any

from cluster.documents.document import from_plain
from cluster.documents.faults import SyntaxFault
from cluster.errors import Problem

from .health_check import defined_check, lone_check, probe_rules
from .report import Report
from .scalars import MISSING, Text
from .schema import Field, Object, prune

_CHECK = defined_check(strict=False)
SHAPE = Object(*_CHECK.fields, Field(name="ServiceID", shape=Text()), strict=False)


def check_lone_check(
    plain: Mapping[str, Any],
) -> tuple[dict[str, Any] | None, tuple[Problem, ...]]:
    """The check in a decoded JSON body, in the catalog's form; its problems. Never raises."""
    report = Report(exact=True)
    try:
        body = SHAPE.read(from_plain(plain), "", report)
    except SyntaxFault as error:
        return None, (Problem(message=str(error)),)
    if body is MISSING:
        return None, report.sorted()
    if not body.get("Name"):
        report.add("Name", "Missing check name")
    report.extend(probe_rules(body, ""))
    if report.problems:
        return None, report.sorted()
    return lone_check(prune(body, SHAPE), body.get("ServiceID", "")), ()
