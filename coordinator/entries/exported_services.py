"""The kind `exported-services`: which services peers may reach; there is one entry, named `default`.

Belongs here: its fields and rules (consul-gateways.md 6.7). Never here: peering, or what an exported
service's discovery chain may hold.
"""

from collections.abc import Iterator

from .kind import Body, Kind, entry_shape, meta_rules, unenforced
from .report import Finding
from .scalars import EnterpriseOnly, Tenancy, Text
from .schema import Field, ListOf, Object

PARTITION = "default"

CONSUMER = Object(
    Field(name="Peer", shape=Text(), also=("PeerName",)),
    Field(name="Partition", shape=EnterpriseOnly()),
    Field(name="SamenessGroup", shape=EnterpriseOnly()),
)
_WHO = tuple(field.name for field in CONSUMER.fields)

SERVICE = Object(
    Field(name="Name", shape=Text()),
    Field(name="Namespace", shape=Tenancy("namespace")),
    Field(name="Consumers", shape=ListOf(CONSUMER)),
)


def _rules(body: Body) -> Iterator[Finding]:
    name = body.get("Name", "")
    if name != PARTITION:
        message = f"exported-services Name must be {PARTITION!r}, found {name[:64]!r}"
        yield Finding("Name", message)
    for index, service in enumerate(body.get("Services", [])):
        path = f"Services[{index}]"
        if not service.get("Name"):
            yield Finding(f"{path}.Name", "the service name cannot be empty")
        consumers = service.get("Consumers", [])
        if not consumers:
            yield Finding(f"{path}.Consumers", "a service must have at least one consumer")
        for number, consumer in enumerate(consumers):
            yield from _consumer_rules(consumer, f"{path}.Consumers[{number}]")
    yield from meta_rules(body.get("Meta", {}))


def _consumer_rules(consumer: Body, path: str) -> Iterator[Finding]:
    given = [name for name in _WHO if consumer.get(name)]
    if len(given) > 1:
        message = f"must define at most one of {', '.join(_WHO)}, found {' and '.join(given)}"
        yield Finding(path, message)
    if consumer.get("Peer") == "*":
        yield Finding(f"{path}.Peer", "exporting to all peers (wildcard) is not supported")


def _doubts(body: Body) -> Iterator[Finding]:
    yield unenforced("cluster peering")
    for index, service in enumerate(body.get("Services", [])):
        for number, consumer in enumerate(service["Consumers"]):
            if not consumer:
                message = "names no peer: the service is exported to nobody by this"
                yield Finding(f"Services[{index}].Consumers[{number}]", message)


EXPORTED_SERVICES = Kind(
    name="exported-services",
    shape=entry_shape(Field(name="Services", shape=ListOf(SERVICE))),
    rules=_rules,
    doubts=_doubts,
)
