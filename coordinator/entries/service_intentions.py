"""The kind `service-intentions`: who may talk to one destination, or to all.

Belongs here: its fields, rules and order (consul-gateways.md 5.1 to 5.3). Never here: the evaluation
(`cluster.intentions`), or rules that need other entries (`cross`).
"""

from collections.abc import Iterator
from dataclasses import replace

from cluster.intentions import precedence
from cluster.names import ServiceName

from .intention_permissions import (
    ACTIONS,
    JWT,
    PERMISSION,
    jwt_rules,
    normal_permission,
    permission_doubts,
    permission_rules,
)
from .kind import Body, Kind, entry_shape, meta_rules, name_rules
from .moments import Moment
from .report import Finding
from .scalars import EnterpriseOnly, Tenancy, Text, Whole
from .schema import Field, ListOf, Object, TableOf

DESCRIPTION_BYTES = 512
LEGACY = ("LegacyID", "LegacyMeta", "LegacyCreateTime", "LegacyUpdateTime")

SOURCE = Object(
    Field(name="Name", shape=Text()),
    Field(name="Peer", shape=Text()),
    Field(name="Namespace", shape=Tenancy("namespace")),
    Field(name="Partition", shape=Tenancy("partition")),
    Field(name="SamenessGroup", shape=EnterpriseOnly()),
    Field(name="Action", shape=Text()),
    Field(name="Permissions", shape=ListOf(PERMISSION)),
    Field(name="Precedence", shape=Whole()),
    Field(name="Type", shape=Text()),
    Field(name="Description", shape=Text()),
    Field(name="ExpiresAt", shape=Moment()),
    Field(name="LegacyID", shape=Text()),
    Field(name="LegacyMeta", shape=TableOf()),
    Field(name="LegacyCreateTime", shape=Text()),
    Field(name="LegacyUpdateTime", shape=Text()),
)


def wildcard_rules(name: str, path: str) -> Iterator[Finding]:
    """`*` stands alone or not at all."""
    if "*" in name and name != "*":
        message = f"the wildcard character * cannot be used with partial values: {name[:64]!r}"
        yield Finding(path, message)


def description_rules(description: str, path: str) -> Iterator[Finding]:
    """A description holds at most 512 bytes."""
    size = len(description.encode())
    if size > DESCRIPTION_BYTES:
        yield Finding(path, f"{size} bytes exceed the maximum length of {DESCRIPTION_BYTES}")


def action_rules(body: Body, path: str, wildcarded: bool) -> Iterator[Finding]:
    """Either an action or permissions; `path` ends in a dot or is empty."""
    permissions = body.get("Permissions", [])
    if not permissions and body.get("Action") not in ACTIONS:
        yield Finding(f"{path}Action", "Action must be allow or deny")
    if permissions and body.get("Action"):
        yield Finding(f"{path}Action", "Action must be omitted if Permissions are specified")
    if permissions and wildcarded:
        message = "Permissions are not allowed on intentions with wildcarded destinations"
        yield Finding(f"{path}Permissions", message)
    for index, permission in enumerate(permissions):
        yield from permission_rules(permission, f"{path}Permissions[{index}]")


def _normalise(body: Body) -> Body:
    sources = [_source(source, body.get("Name", "")) for source in body.get("Sources", [])]
    return body | {"Sources": sources}


def _source(source: Body, destination: str) -> Body:
    permissions = [normal_permission(permission) for permission in source.get("Permissions", [])]
    return source | {
        "Permissions": permissions,
        "Type": source.get("Type") or "consul",
        "Precedence": precedence(
            ServiceName(name=source.get("Name", "")), ServiceName(name=destination)
        ),
    }


def _rules(body: Body) -> Iterator[Finding]:
    yield from name_rules(body)
    yield from wildcard_rules(body.get("Name", ""), "Name")
    yield from meta_rules(body.get("Meta", {}))
    yield from jwt_rules(body.get("JWT", {}), "JWT")
    if not body["Sources"]:
        yield Finding("Sources", "at least one source is required")
    first: dict[tuple[str, str], int] = {}
    for index, source in enumerate(body["Sources"]):
        path = f"Sources[{index}]"
        yield from _source_rules(source, path, body.get("Name") == "*")
        pair = (source.get("Peer", ""), source.get("Name", ""))
        if pair[1] and first.setdefault(pair, index) != index:
            yield Finding(path, _more_than_once(*pair, first[pair]))


def _source_rules(source: Body, path: str, wildcarded: bool) -> Iterator[Finding]:
    if not source.get("Name"):
        yield Finding(f"{path}.Name", f"{path}.Name is required")
    yield from wildcard_rules(source.get("Name", ""), f"{path}.Name")
    if "*" in source.get("Peer", ""):
        yield Finding(f"{path}.Peer", "cannot use wildcard * in a peer")
    yield from _tenancy_rules(source, path)
    if source["Type"] != "consul":
        yield Finding(f"{path}.Type", f"Type must be consul, found {source['Type'][:64]!r}")
    yield from description_rules(source.get("Description", ""), f"{path}.Description")
    yield from action_rules(source, f"{path}.", wildcarded)


def _tenancy_rules(source: Body, path: str) -> Iterator[Finding]:
    """A source lives in one place: a peer, a partition or a sameness group."""
    for one, other in (
        ("Peer", "Partition"),
        ("Peer", "SamenessGroup"),
        ("Partition", "SamenessGroup"),
    ):
        if source.get(one) and source.get(other):
            yield Finding(f"{path}.{one}", f"{one} and {other} are mutually exclusive")


def _more_than_once(peer: str, name: str, first: int) -> str:
    who = f"peer {peer} {name}" if peer else name
    return f"defines {who} more than once, first as Sources[{first}]"


def _sorted(body: Body) -> Body:
    """Sources by descending precedence, equal ones as written."""
    return body | {"Sources": sorted(body["Sources"], key=lambda source: -source["Precedence"])}


def _without_legacy(body: Body) -> Body:
    """What an entry that is written as an entry may not set is dropped, as Consul drops it."""
    ordered = _sorted(body)
    sources = [
        {name: value for name, value in source.items() if name not in LEGACY}
        for source in ordered["Sources"]
    ]
    return ordered | {"Sources": sources}


def _entry_rules(body: Body) -> Iterator[Finding]:
    yield from _rules(body)
    for index, source in enumerate(body["Sources"]):
        if source.get("LegacyMeta"):
            yield Finding(f"Sources[{index}].LegacyMeta", "LegacyMeta must be omitted")


def _doubts(body: Body) -> Iterator[Finding]:
    for index, source in enumerate(body["Sources"]):
        path = f"Sources[{index}].Permissions"
        for number, permission in enumerate(source.get("Permissions", [])):
            yield from permission_doubts(permission, f"{path}[{number}]")


SERVICE_INTENTIONS = Kind(
    name="service-intentions",
    shape=entry_shape(Field(name="JWT", shape=JWT), Field(name="Sources", shape=ListOf(SOURCE))),
    normalise=_normalise,
    rules=_entry_rules,
    doubts=_doubts,
    arrange=_without_legacy,
)

# The same entry on its way from the older API, which alone may set the legacy fields of a source.
LEGACY_INTENTIONS = replace(SERVICE_INTENTIONS, rules=_rules, arrange=_sorted)
