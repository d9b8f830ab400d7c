"""The snapshot: everything a worker needs to know, as a portable value with an id.

Belongs here: its sections, their digests, and whether it is whole. Never here: how it is made
(`coordinator.compose`) or walked through (`worker.view`).

A snapshot travels as sections, each encoded and hashed on its own; the snapshot's digest is the hash of the
list of section digests. So a section that did not change is neither sent nor compiled again.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from cluster.certs import TrustBundle
from cluster.codec import MAX_BYTES, decode, encode
from cluster.errors import Problem, SnapshotRejected, WireError
from cluster.http.providers import JwtProvider
from cluster.ingress.routes import IngressGateway
from cluster.intentions import Intention
from cluster.names import WILDCARD, ServiceName
from cluster.routes import Endpoint, Listener, MeshRoute, TerminatingGateway


class SnapshotId(msgspec.Struct, frozen=True, kw_only=True):
    """Which history, which place in it, which content.

    `epoch` is a random tag of the store; within one epoch a larger `generation` is newer.
    """

    epoch: str
    generation: int
    digest: str

    def __str__(self) -> str:
        return f"{self.generation} ({self.digest[:12]}, epoch {self.epoch})"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """All intentions, in evaluation order, what holds where none matches, whose tokens they may want."""

    default_allow: bool = False
    intentions: tuple[Intention, ...] = ()
    providers: tuple[JwtProvider, ...] = ()


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are: the datacenter, and the roots of our own trust domain."""

    datacenter: str
    bundle: TrustBundle


class EndpointSet(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of endpoints, which routes refer to."""

    name: str
    endpoints: tuple[Endpoint, ...]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateways of one datacenter serve. Each field is a section."""

    trust: Trust
    listeners: tuple[Listener, ...] = ()
    terminating: tuple[TerminatingGateway, ...] = ()
    mesh: tuple[MeshRoute, ...] = ()
    ingress: tuple[IngressGateway, ...] = ()
    endpoints: tuple[EndpointSet, ...] = ()
    policy: Policy = Policy()


SECTIONS = tuple(field.name for field in msgspec.structs.fields(Snapshot))
_TYPES = {field.name: field.type for field in msgspec.structs.fields(Snapshot)}

#: The most that all sections may take together, so that a peer which holds none of them can be sent all
#: in one message; the rest is for what goes around them.
MAX_SECTIONS_BYTES = MAX_BYTES - 1024 * 1024

#: Section name to digest; the snapshot's own digest is made of it.
Manifest = dict[str, str]


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot as it travels: its manifest, and the bytes of each section."""

    manifest: Manifest
    sections: dict[str, bytes]

    @property
    def digest(self) -> str:
        return manifest_digest(self.manifest)

    def without(self, held: Mapping[str, str]) -> dict[str, bytes]:
        """The sections that somebody who holds these digests still needs."""
        return {
            name: body
            for name, body in self.sections.items()
            if held.get(name) != self.manifest[name]
        }


@dataclass(frozen=True, slots=True)
class Whole:
    """A snapshot in both forms, for whoever makes or reads the next one: most of it will be the same."""

    encoded: Encoded
    snapshot: Snapshot

    def body(self, name: str, section: object) -> bytes | None:
        """The bytes of an equal section; None if it is another one."""
        return self.encoded.sections[name] if getattr(self.snapshot, name) == section else None

    def section(self, name: str, digest: str) -> Any:
        """The section with this digest; None if it is another one."""
        return getattr(self.snapshot, name) if self.encoded.manifest[name] == digest else None


def manifest_digest(manifest: Manifest) -> str:
    return hashlib.sha256(encode(manifest)).hexdigest()


def encode_snapshot(snapshot: Snapshot, before: Whole | None = None) -> Encoded:
    """The canonical form; equal snapshots give equal bytes and digests, with or without one `before`."""
    sections = {name: _body(name, getattr(snapshot, name), before) for name in SECTIONS}
    manifest = {name: hashlib.sha256(body).hexdigest() for name, body in sections.items()}
    return Encoded(manifest=manifest, sections=sections)


def _body(name: str, section: object, before: Whole | None) -> bytes:
    known = before.body(name, section) if before is not None else None
    return encode(section) if known is None else known


def size_problems(encoded: Encoded, *, max_bytes: int = MAX_SECTIONS_BYTES) -> tuple[Problem, ...]:
    """Why an encoded snapshot cannot travel: it is too large. Empty if it can."""
    size = sum(len(body) for body in encoded.sections.values())
    if size <= max_bytes:
        return ()
    return (Problem(message=f"the snapshot has {size} bytes, {max_bytes} are the limit"),)


def decode_snapshot(encoded: Encoded, digest: str, before: Whole | None = None) -> Snapshot:
    """The snapshot that these bytes hold, if they are what `digest` says and it is whole.

    Sections that are those of `before` are taken from there: the very same objects. Raises
    `SnapshotRejected` with every reason.
    """
    found = tuple(_encoding_problems(encoded, digest))
    if found:
        raise SnapshotRejected(found)
    try:
        parts = {name: _section(name, encoded, before) for name in SECTIONS}
    except WireError as error:
        raise SnapshotRejected((Problem(message=str(error)),)) from error
    snapshot = Snapshot(**parts)
    if broken := problems(snapshot):
        raise SnapshotRejected(broken)
    return snapshot


def _section(name: str, encoded: Encoded, before: Whole | None) -> Any:
    known = before.section(name, encoded.manifest[name]) if before is not None else None
    return decode(_TYPES[name], encoded.sections[name]) if known is None else known


def _encoding_problems(encoded: Encoded, digest: str) -> Iterator[Problem]:
    yield from size_problems(encoded)
    if encoded.digest != digest:
        yield Problem(message=f"the digest is {encoded.digest}, not {digest} as announced")
    for name in SECTIONS:
        body = encoded.sections.get(name)
        if body is None:
            yield Problem(path=name, message="the section is missing")
        elif hashlib.sha256(body).hexdigest() != encoded.manifest.get(name):
            yield Problem(path=name, message="the bytes do not have the section's digest")


def problems(snapshot: Snapshot) -> tuple[Problem, ...]:
    """Why a snapshot is not whole: references without a target, names or ports used twice."""
    return (
        *_listener_problems(snapshot),
        *_reference_problems(snapshot),
        *_name_problems(snapshot),
        *_trust_problems(snapshot),
    )


def _listener_problems(snapshot: Snapshot) -> Iterator[Problem]:
    by_port: dict[tuple[str, int], list[Listener]] = {}
    for listener in snapshot.listeners:
        there = by_port.setdefault((listener.node, listener.port), [])
        yield from (clash(one, listener) for one in there if one.shares_place(listener))
        there.append(listener)


def clash(first: Listener, second: Listener) -> Problem:
    """Two gateways want one place."""
    return Problem(
        path="listeners",
        message=f"{first.kind} {first.gateway!r} and {second.kind} {second.gateway!r} both want port "
        f"{first.port} of {first.address or 'every address'} on node {first.node!r}",
    )


def _reference_problems(snapshot: Snapshot) -> Iterator[Problem]:
    sets = {endpoint_set.name for endpoint_set in snapshot.endpoints}
    for gateway in snapshot.terminating:
        for route in gateway.routes:
            if route.endpoints not in sets:
                yield Problem(
                    path=f"terminating.{gateway.name}",
                    message=f"service {route.service} refers to endpoints {route.endpoints!r}, "
                    "which are not there",
                )
    for mesh_route in snapshot.mesh:
        if mesh_route.endpoints not in sets:
            yield Problem(
                path="mesh",
                message=f"{mesh_route.server_name} refers to endpoints {mesh_route.endpoints!r}, "
                "which are not there",
            )
    for front in snapshot.ingress:
        for name in _sets_of(front):
            if name not in sets:
                yield Problem(
                    path=f"ingress.{front.name}",
                    message=f"it refers to endpoints {name!r}, which are not there",
                )


def _sets_of(gateway: IngressGateway) -> frozenset[str]:
    """The endpoint sets that the targets of an ingress gateway refer to."""
    return frozenset(
        name
        for listener in gateway.listeners
        for service in listener.services
        for target in service.targets
        for name in (target.endpoints, target.plaintext)
        if name
    )


def _name_problems(snapshot: Snapshot) -> Iterator[Problem]:
    for gateway in snapshot.terminating:
        names = Counter(name for route in gateway.routes for name in route.server_names)
        yield from _repeated(f"terminating.{gateway.name}", names)
    yield from _repeated("mesh", Counter(route.server_name for route in snapshot.mesh))
    yield from _repeated("terminating", Counter(g.name for g in snapshot.terminating))
    yield from _repeated("ingress", Counter(g.name for g in snapshot.ingress))
    for front in snapshot.ingress:
        ports = Counter(str(listener.port) for listener in front.listeners)
        yield from _repeated(f"ingress.{front.name}", ports)
    yield from _repeated("endpoints", Counter(s.name for s in snapshot.endpoints))


def _repeated(path: str, names: Counter[str]) -> Iterator[Problem]:
    for name, count in names.items():
        if count > 1:
            yield Problem(path=path, message=f"{name!r} is there {count} times")


def _trust_problems(snapshot: Snapshot) -> Iterator[Problem]:
    roots = snapshot.trust.bundle.roots
    if not roots:
        yield Problem(path="trust", message="there is no CA root")
    elif sum(root.active for root in roots) != 1:
        yield Problem(path="trust", message="exactly one CA root must be active")


def linked_services(snapshot: Snapshot, gateways: frozenset[str]) -> frozenset[ServiceName]:
    """The services whose leaf a node with these terminating gateways must hold."""
    return frozenset(
        route.service
        for gateway in snapshot.terminating
        if gateway.name in gateways
        for route in gateway.routes
        if route.service.name != WILDCARD
    )


def assemble(manifest: Manifest, sections: Mapping[str, bytes], held: Encoded | None) -> Encoded:
    """A whole snapshot from what was sent and what is held; what is in neither stays missing."""
    known = dict(sections)
    for name, digest in manifest.items():
        if name not in known and held is not None and held.manifest.get(name) == digest:
            known[name] = held.sections[name]
    return Encoded(manifest=manifest, sections=known)
