"""One configuration entry: decoded, normalised, judged.

Belongs here: the list of kinds and the way through a kind's shape and rules. Never here: a rule
(each kind has its own module), or rules between entries (`cross`).
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from cluster.documents.document import Items, Node, Table, Value, from_plain
from cluster.documents.faults import SyntaxFault
from cluster.errors import Problem

from .exported_services import EXPORTED_SERVICES
from .ingress_gateway import INGRESS_GATEWAY
from .jwt_provider import JWT_PROVIDER
from .kind import Body, Kind
from .mesh import MESH
from .proxy_defaults import PROXY_DEFAULTS
from .report import Report
from .scalars import MISSING
from .schema import nearest, prune
from .service_defaults import SERVICE_DEFAULTS
from .service_intentions import LEGACY_INTENTIONS, SERVICE_INTENTIONS
from .service_resolver import SERVICE_RESOLVER
from .service_router import SERVICE_ROUTER
from .service_splitter import SERVICE_SPLITTER
from .terminating_gateway import TERMINATING_GATEWAY

KINDS = {
    kind.name: kind
    for kind in (
        TERMINATING_GATEWAY,
        SERVICE_INTENTIONS,
        SERVICE_DEFAULTS,
        PROXY_DEFAULTS,
        SERVICE_RESOLVER,
        SERVICE_SPLITTER,
        SERVICE_ROUTER,
        INGRESS_GATEWAY,
        JWT_PROVIDER,
        MESH,
        EXPORTED_SERVICES,
    )
}

# Kinds that Consul has and we do not have yet: refused by name, never ignored.
LATER = (
    "api-gateway",
    "bound-api-gateway",
    "control-plane-request-limit",
    "file-system-certificate",
    "http-route",
    "inline-certificate",
    "sameness-group",
    "tcp-route",
)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A normalised, valid entry.

    `body` is the stored form in Consul's spelling: Kind and Name included, empty optional fields left
    out, durations as Go prints them, no indexes.
    """

    kind: str
    name: str
    body: dict[str, Any]


Judged: TypeAlias = tuple[Checked | None, tuple[Problem, ...], tuple[Problem, ...]]


def check_entry(plain: Mapping[str, Any], *, legacy: bool = False) -> Judged:
    """The entry in a decoded JSON body, or None; its problems; its warnings. Never raises.

    `legacy` is for intentions that the older API writes: it keeps their LegacyID, LegacyMeta and times.
    """
    return decode_entry(plain, legacy=legacy)


def decode_entry(
    document: Node | Mapping[str, Any], file: str = "", *, legacy: bool = False
) -> Judged:
    """The entry in a document of any file format, or None; its problems; its warnings. Never raises."""
    report = Report(file)
    try:
        node = document if isinstance(document, Table | Items | Value) else from_plain(document)
    except SyntaxFault as error:
        return None, (report.problem("", str(error)),), ()
    report.lines[""] = node.line
    kind = _kind(node, report)
    if legacy and kind is SERVICE_INTENTIONS:
        kind = LEGACY_INTENTIONS
    body = None if kind is None else read_body(node, kind, report)
    if kind is None or body is None:
        return None, report.sorted(), ()
    report.extend(kind.rules(body))
    if report.problems:
        return None, report.sorted(), ()
    report.warn(kind.doubts(prune(body, kind.shape)))
    stored = prune(kind.arrange(body), kind.shape)
    checked = Checked(kind=kind.name, name=stored["Name"], body=stored)
    return checked, (), report.sorted_warnings()


def read_body(node: Node, kind: Kind, report: Report) -> Body | None:
    """The body of an entry as it is judged: read and normalised, not yet found valid."""
    body = kind.shape.read(node, "", report)
    return None if body is MISSING else kind.normalise(body | {"Kind": kind.name})


def _kind(node: Node, report: Report) -> Kind | None:
    """The kind that the document names, or None with the reason reported."""
    if not isinstance(node, Table):
        report.add("", "a configuration entry is an object", node.line)
        return None
    member = node.find("Kind")
    name = member.node.content if member and isinstance(member.node, Value) else None
    if member is None or not isinstance(name, str) or not name:
        report.add("Kind", "Kind is required and is a string", member.line if member else node.line)
        return None
    if name not in KINDS:
        report.add("Kind", _refusal(name), member.line)
    return KINDS.get(name)


def _refusal(kind: str) -> str:
    if kind in LATER:
        return f"kind {kind} is not supported yet"
    near = nearest(kind, [*KINDS, *LATER])
    return f"unknown kind {kind[:64]!r}" + (f", did you mean {near}?" if near else "")
