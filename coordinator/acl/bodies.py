"""The bodies of tokens, policies and roles as clients send them, to checked values. Pure.

Belongs here: their fields, what is wrong with one by itself, and the links of tokens and roles. Never here:
storing. Fields that only reading gives (`Hash`, indexes) are ignored; unknown ones are refused, as in Consul.
Texts of errors are Consul's where it has one.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cluster.documents.document import from_plain
from cluster.documents.faults import SyntaxFault
from cluster.errors import LockgateError
from coordinator.entries.report import Report
from coordinator.entries.scalars import MISSING, Duration, Flag, Tenancy, Text
from coordinator.entries.schema import Field, ListOf, Object

from .directory import Directory


class AclError(LockgateError):
    """What was asked for cannot be; the text says why."""


class BodyError(AclError):
    """A body that is not of the shape."""


_TENANCY = (
    Field(name="Namespace", shape=Tenancy("namespace")),
    Field(name="Partition", shape=Tenancy("partition")),
)
_LINK = Object(Field(name="ID", shape=Text()), Field(name="Name", shape=Text()))
_LINKS = ListOf(_LINK)
_SERVICES = ListOf(
    Object(
        Field(name="ServiceName", shape=Text()),
        Field(name="Datacenters", shape=ListOf(Text())),
        *_TENANCY,
    )
)
_NODES = ListOf(
    Object(Field(name="NodeName", shape=Text()), Field(name="Datacenter", shape=Text()), *_TENANCY)
)
_READ_ONLY = ("Hash", "CreateTime", "CreateIndex", "ModifyIndex", "Legacy", "ExpandedPolicies")
_LATER = ("TemplatedPolicies", "AuthMethod", "AuthMethodNamespace", "Type", "ID")
_BEARER = (
    Field(name="Description", shape=Text()),
    Field(name="Policies", shape=_LINKS),
    Field(name="ServiceIdentities", shape=_SERVICES),
    Field(name="NodeIdentities", shape=_NODES),
    *_TENANCY,
)
TOKEN = Object(
    Field(name="AccessorID", shape=Text()),
    Field(name="SecretID", shape=Text()),
    Field(name="Roles", shape=_LINKS),
    Field(name="Local", shape=Flag()),
    Field(name="ExpirationTTL", shape=Duration()),
    Field(name="ExpirationTime", shape=Text()),
    *_BEARER,
    ignored=(*_READ_ONLY, "ExpandedRoles", "NamespaceDefaultPolicyIDs", "NamespaceDefaultRoleIDs"),
)
ROLE = Object(
    Field(name="ID", shape=Text()),
    Field(name="Name", shape=Text()),
    *_BEARER,
    ignored=_READ_ONLY,
)
POLICY = Object(
    Field(name="ID", shape=Text()),
    Field(name="Name", shape=Text()),
    Field(name="Description", shape=Text()),
    Field(name="Rules", shape=Text()),
    Field(name="Datacenters", shape=ListOf(Text())),
    *_TENANCY,
    ignored=_READ_ONLY,
)

_IDENTITY_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,254}[a-z0-9])?")


def read_fields(body: Mapping[str, Any], shape: Object) -> dict[str, Any]:
    """The fields of a body in Consul's spelling. Raises BodyError with every problem."""
    report = Report()
    try:
        read = shape.read(from_plain(_without_empty(body)), "", report)
    except SyntaxFault as error:
        raise BodyError(str(error)) from None
    if report.problems or read is MISSING:
        raise BodyError("; ".join(map(str, report.sorted())))
    return dict(read)


def _without_empty(body: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that are not supported yet may be there if they say nothing, as clients that send all do."""
    later = {name.lower() for name in _LATER if name != "ID"}
    return {key: value for key, value in body.items() if value or key.lower() not in later}


def bearer(read: Mapping[str, Any], directory: Directory) -> dict[str, Any]:
    """What a token or role is linked to, by ids, each once. Raises AclError for a link that leads nowhere."""
    links = {
        "Policies": _linked(read.get("Policies", ()), directory.policy, "policy"),
        "Roles": _linked(read.get("Roles", ()), directory.role, "role"),
        "ServiceIdentities": _unique(map(_service, read.get("ServiceIdentities", ()))),
        "NodeIdentities": _unique(map(_node, read.get("NodeIdentities", ()))),
    }
    return {name: value for name, value in links.items() if value}


def _linked(links: Iterable[Mapping[str, Any]], find: Any, what: str) -> list[dict[str, Any]]:
    ids = []
    for link in links:
        by = "ID" if link.get("ID") else "name"
        wanted = link.get("ID") or link.get("Name", "")
        found = find(wanted)
        if found is None:
            raise AclError(f'No such ACL {what} with {by} "{wanted[:128]}"')
        ids.append({"ID": found["ID"]})
    return _unique(ids)


def _service(identity: Mapping[str, Any]) -> dict[str, Any]:
    name = identity.get("ServiceName", "")
    if not name:
        raise AclError("Service identity is missing the service name field")
    if not _IDENTITY_NAME.fullmatch(name):
        rule = "Only lowercase alphanumeric characters, '-' and '_' are allowed"
        raise AclError(f'Service identity "{name[:256]}" has an invalid name. {rule}')
    datacenters = identity.get("Datacenters")
    return {"ServiceName": name} | ({"Datacenters": datacenters} if datacenters else {})


def _node(identity: Mapping[str, Any]) -> dict[str, Any]:
    name, datacenter = identity.get("NodeName", ""), identity.get("Datacenter", "")
    if not name:
        raise AclError("Node identity is missing the node name field")
    if not datacenter:
        raise AclError("Node identity is missing the datacenter field")
    if not _IDENTITY_NAME.fullmatch(name):
        rule = "Only lowercase alphanumeric characters, '-' and '_' are allowed"
        raise AclError(f'Node identity "{name[:256]}" has an invalid name. {rule}')
    return {"NodeName": name, "Datacenter": datacenter}


def _unique(values: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
