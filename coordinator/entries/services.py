"""Service definitions: `service { … }`, `services = [ … ]` and the agent API's body, to the catalog's form.

Belongs here: the fields of a definition and what Consul's agents make of it: the instance, its checks,
its sidecar. Never here: the rules that every instance obeys (`service_shape`), or registering.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from cluster.documents.document import Items, Node, Table, Value, from_plain
from cluster.documents.faults import SyntaxFault
from cluster.errors import Problem

from .health_check import catalog_check, defined_check, probe_rules
from .kind import Body
from .report import Finding, Report, join
from .scalars import MISSING, Flag, Opaque, Text
from .schema import Field, ListOf, Object, prune
from .service_shape import PROXY_KIND, full_weights, instance_fields, instance_rules

_IGNORED = ("Token", "CreateIndex", "ModifyIndex", "EnterpriseMeta")

Definition: TypeAlias = dict[str, Any]


def _definition(strict: bool, connect: Object) -> Object:
    check = defined_check(strict)
    return Object(
        Field(name="ID", shape=Text()),
        Field(name="Name", shape=Text(), also=("Service",)),
        *instance_fields(strict),
        Field(name="Connect", shape=connect, keep=True),
        Field(name="Check", shape=check),
        Field(name="Checks", shape=ListOf(check)),
        ignored=_IGNORED,
        strict=strict,
    )


def _connect(strict: bool, *more: Field) -> Object:
    peer = Field(name="PeerMeta", shape=Opaque())
    return Object(Field(name="Native", shape=Flag()), peer, *more, strict=strict)


def _with_sidecar(strict: bool) -> Object:
    sidecar = _definition(strict, _connect(strict))
    field = Field(name="SidecarService", shape=sidecar, keep=True)
    return _definition(strict, _connect(strict, field))


STRICT = _with_sidecar(True)
LENIENT = _with_sidecar(False)


def check_service(
    plain: Mapping[str, Any], *, strict: bool = False
) -> tuple[Definition | None, tuple[Problem, ...]]:
    """A definition in a decoded JSON body, in the catalog's form; its problems. Never raises.

    Gives `{"Service": {…}, "Checks": […], "Sidecar": {"Service", "Checks"}}`, the latter two only where
    there are any. A sidecar without a port has no `Port`: whoever registers it picks one, as Consul's
    agents do.
    """
    return decode_service(plain, strict=strict)


def decode_service(
    document: Node | Mapping[str, Any], file: str = "", path: str = "", *, strict: bool = True
) -> tuple[Definition | None, tuple[Problem, ...]]:
    """The same for a document of any file format, whose place in its file is `path`."""
    report = Report(file, exact=not strict)
    shape = STRICT if strict else LENIENT
    try:
        node = document if isinstance(document, Table | Items | Value) else from_plain(document)
    except SyntaxFault as error:
        return None, (report.problem(path, str(error)),)
    report.lines[path] = node.line
    body = shape.read(node, path, report)
    if body is MISSING:
        return None, report.sorted()
    report.extend(_rules(body, path))
    return (None if report.problems else _catalog(prune(body, shape))), report.sorted()


def _rules(body: Body, path: str) -> Iterator[Finding]:
    if not body.get("Name"):
        yield Finding(join(path, "Name"), "a service's Name is required")
    yield from instance_rules(body, path)
    yield from _checks_rules(body, path)
    sidecar = body.get("Connect", {}).get("SidecarService")
    if sidecar is not None and body.get("Name"):
        place = join(path, "Connect.SidecarService")
        yield from instance_rules(_sidecar(body) | {"Port": sidecar.get("Port") or 1}, place)
        yield from _checks_rules(sidecar, place)


def _checks_rules(body: Body, path: str) -> Iterator[Finding]:
    if "Check" in body:
        yield from probe_rules(body["Check"], join(path, "Check"))
    for index, check in enumerate(body.get("Checks", [])):
        yield from probe_rules(check, join(path, f"Checks[{index}]"))


def _catalog(body: Body) -> Definition:
    sidecar = body.get("Connect", {}).get("SidecarService")
    definition = _instance(body)
    if sidecar is not None:
        definition["Sidecar"] = _instance(_sidecar(body))
    return definition


def _instance(body: Body) -> Definition:
    """One instance and its checks in the catalog's form."""
    service = {"ID": body.get("ID") or body["Name"], "Service": body["Name"]}
    service |= {k: v for k, v in body.items() if k not in ("ID", "Name", "Check", "Checks")}
    connect = {k: v for k, v in service.pop("Connect", {}).items() if k != "SidecarService"}
    service |= {"Connect": connect} if connect else {}
    checks = ([body["Check"]] if "Check" in body else []) + body.get("Checks", [])
    total = len(checks)
    kept = [catalog_check(check, service, n, total) for n, check in enumerate(checks, start=1)]
    return {"Service": full_weights(service)} | ({"Checks": kept} if kept else {})


def _sidecar(body: Body) -> Body:
    """The connect-proxy that a `sidecar_service` stands for, with Consul's defaults."""
    own, name = body["Connect"]["SidecarService"], body["Name"]
    identity = body.get("ID") or name
    proxy: Body = {"DestinationServiceName": name, "DestinationServiceID": identity}
    if body.get("Port"):
        proxy |= {"LocalServiceAddress": "127.0.0.1", "LocalServicePort": body["Port"]}
    sidecar: Body = {key: body[key] for key in ("Tags", "Meta", "Address") if body.get(key)}
    sidecar |= own
    sidecar["ID"] = own.get("ID") or f"{identity}-sidecar-proxy"
    sidecar["Name"] = own.get("Name") or f"{name}-sidecar-proxy"
    sidecar["Kind"] = PROXY_KIND
    sidecar["Proxy"] = proxy | own.get("Proxy", {})
    if not (own.get("Check") or own.get("Checks")):
        sidecar["Checks"] = [_alias(identity)]
    return sidecar


def _alias(identity: str) -> Body:
    """A sidecar without checks of its own is as well as its service."""
    name = f"Connect Sidecar Aliasing {identity}"
    return {"Name": name, "AliasService": identity, "Status": "passing"}
