"""Catalog registrations: `Node`, `Address`, `Service`, `Checks` as `/v1/catalog/register` reads them.

Belongs here: the fields and rules of that body (consul-gateways.md 7.3). Never here: the rules that
every instance obeys (`service_shape`), or writing to the catalog.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cluster.documents.document import Items, Node, Table, Value, from_plain
from cluster.documents.faults import SyntaxFault
from cluster.errors import Problem

from .health_check import registered_check, status_rules
from .kind import Body
from .report import Finding, Report, join
from .scalars import MISSING, Flag, Opaque, Text
from .schema import Field, ListOf, Object, TableOf, prune
from .service_shape import (
    TENANCY,
    full_weights,
    instance_fields,
    instance_rules,
    service_meta_rules,
)

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_IGNORED = ("CreateIndex", "ModifyIndex", "EnterpriseMeta", "WriteRequest", "RaftIndex")


def _shape(strict: bool) -> Object:
    check = registered_check(strict)
    connect = Object(
        Field(name="Native", shape=Flag()),
        Field(name="PeerMeta", shape=Opaque()),
        ignored=("SidecarService",),
        strict=strict,
    )
    service = Object(
        Field(name="ID", shape=Text()),
        Field(name="Service", shape=Text(), also=("Name",)),
        *instance_fields(strict),
        Field(name="Connect", shape=connect),
        ignored=(*_IGNORED, "PeerName"),
        strict=strict,
    )
    return Object(
        Field(name="Node", shape=Text()),
        Field(name="Address", shape=Text()),
        Field(name="ID", shape=Text()),
        Field(name="Datacenter", shape=Text()),
        Field(name="TaggedAddresses", shape=TableOf()),
        Field(name="NodeMeta", shape=TableOf()),
        Field(name="SkipNodeUpdate", shape=Flag()),
        Field(name="Service", shape=service),
        Field(name="Check", shape=check),
        Field(name="Checks", shape=ListOf(check)),
        *TENANCY,
        ignored=(*_IGNORED, "Locality"),
        strict=strict,
    )


STRICT = _shape(True)
LENIENT = _shape(False)


def check_registration(
    plain: Mapping[str, Any], *, strict: bool = False
) -> tuple[dict[str, Any] | None, tuple[Problem, ...]]:
    """A registration in a decoded JSON body, normalised; its problems. Never raises.

    Gives `Node`, `Address` and, where there are any, `ID`, `Datacenter`, `TaggedAddresses`, `NodeMeta`,
    `SkipNodeUpdate`, `Service` (with its `ID`) and `Checks` (with `Node`, `CheckID` and `Status`).
    """
    return decode_registration(plain, strict=strict)


def decode_registration(
    document: Node | Mapping[str, Any], file: str = "", *, strict: bool = True
) -> tuple[dict[str, Any] | None, tuple[Problem, ...]]:
    """The same for a document of any file format."""
    report = Report(file, exact=not strict)
    shape = STRICT if strict else LENIENT
    try:
        node = document if isinstance(document, Table | Items | Value) else from_plain(document)
    except SyntaxFault as error:
        return None, (report.problem("", str(error)),)
    report.lines[""] = node.line
    body = shape.read(node, "", report)
    if body is MISSING:
        return None, report.sorted()
    report.extend(_rules(body))
    return (None if report.problems else _normalise(prune(body, shape))), report.sorted()


def _rules(body: Body) -> Iterator[Finding]:
    if not body.get("Node"):
        yield Finding("Node", "Node is required")
    if not body.get("Address") and not body.get("SkipNodeUpdate"):
        yield Finding("Address", "Address is required if SkipNodeUpdate is not set")
    if body.get("ID") and not _UUID.fullmatch(body["ID"]):
        yield Finding("ID", f"the node's ID must be a UUID, found {body['ID'][:64]!r}")
    yield from service_meta_rules(body.get("NodeMeta", {}), "", "NodeMeta")
    if "Service" in body:
        yield from _service_rules(body["Service"])
    if "Check" in body:
        yield from _check_rules(body["Check"], body, "Check")
    for index, check in enumerate(body.get("Checks", [])):
        yield from _check_rules(check, body, f"Checks[{index}]")


def _service_rules(service: Body) -> Iterator[Finding]:
    if not service.get("Service"):
        yield Finding("Service.Service", "the service's name is required")
    yield from instance_rules(service, "Service")


def _check_rules(check: Body, body: Body, path: str) -> Iterator[Finding]:
    if not check.get("CheckID") and not check.get("Name"):
        yield Finding(join(path, "CheckID"), "a check has a CheckID or a Name")
    if check.get("Node") and check["Node"] != body.get("Node"):
        yield Finding(join(path, "Node"), f"the check is for another node, {check['Node'][:64]}")
    yield from status_rules(check, path)


def _normalise(body: Body) -> dict[str, Any]:
    registration = {key: value for key, value in body.items() if key not in ("Check", "Checks")}
    if "Service" in registration:
        service = registration["Service"]
        identity = {"ID": service.get("ID") or service["Service"]}
        registration["Service"] = identity | full_weights(service)
    checks = ([body["Check"]] if "Check" in body else []) + body.get("Checks", [])
    if checks:
        registration["Checks"] = [_check(check, body["Node"]) for check in checks]
    return registration


def _check(check: Body, node: str) -> Body:
    """The check with Consul's defaults: its id is its name, its status critical."""
    named = {"CheckID": check.get("CheckID") or check["Name"], "Node": node}
    return named | check | {"Status": check.get("Status") or "critical"}
