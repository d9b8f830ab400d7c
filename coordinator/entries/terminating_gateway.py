"""The kind `terminating-gateway`: which services outside the mesh a gateway leads to, and by which TLS.

Belongs here: its fields and rules (consul-gateways.md 4.2). Never here: what a link does (compose).
"""

from collections.abc import Iterator

from .kind import Body, Kind, entry_shape, meta_rules, name_rules
from .report import Finding
from .scalars import Flag, Tenancy, Text
from .schema import Field, ListOf, Object

SERVICE = Object(
    Field(name="Name", shape=Text()),
    Field(name="Namespace", shape=Tenancy("namespace")),
    Field(name="CAFile", shape=Text()),
    Field(name="CertFile", shape=Text()),
    Field(name="KeyFile", shape=Text()),
    Field(name="SNI", shape=Text()),
    Field(name="DisableAutoHostRewrite", shape=Flag()),
)


def _rules(body: Body) -> Iterator[Finding]:
    yield from name_rules(body)
    yield from meta_rules(body.get("Meta", {}))
    first: dict[str, int] = {}
    for index, service in enumerate(body.get("Services", [])):
        yield from _service_rules(service, f"Services[{index}]", index, first)


def _service_rules(
    service: Body, path: str, index: int, first: dict[str, int]
) -> Iterator[Finding]:
    name = service.get("Name", "")
    if not name:
        yield Finding(f"{path}.Name", "the service name cannot be blank")
    elif first.setdefault(name, index) != index:
        message = f"service {name} is linked more than once, first as Services[{first[name]}]"
        yield Finding(f"{path}.Name", message)
    files = ("CAFile", "CertFile", "KeyFile")
    missing = [field for field in files if not service.get(field)]
    if missing and (service.get("CertFile") or service.get("KeyFile")):
        message = f"service {name} must have a CertFile, CAFile and KeyFile, or CAFile alone"
        yield Finding(f"{path}.{missing[0]}", f"{message}; missing: {', '.join(missing)}")


def _doubts(body: Body) -> Iterator[Finding]:
    for index, service in enumerate(body.get("Services", [])):
        if service.get("CAFile") and not service.get("SNI"):
            message = f"TLS is set for {service.get('Name', '')} without SNI"
            yield Finding(f"Services[{index}].SNI", message)


TERMINATING_GATEWAY = Kind(
    name="terminating-gateway",
    shape=entry_shape(Field(name="Services", shape=ListOf(SERVICE))),
    rules=_rules,
    doubts=_doubts,
)
