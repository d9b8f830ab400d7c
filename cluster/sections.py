"""The snapshot as it travels: sections and shards, their digests, and back.  ●

Belongs here: encoding, what a receiver lacks, and reading it with every doubt. Never here: what a snapshot
is made of (`cluster.snapshot`), or who offers which to whom (`coordinator.rollout`).

A snapshot travels as sections, each encoded and hashed on its own; the snapshot's digest is the hash of the
list of section digests. So a section that did not change is neither sent nor compiled again. One with many
items travels in shards (`cluster.shards`), each a section of its own by the name `mesh/07`: then a change
costs its shard. Whoever meets a section that it does not know refuses the whole: what is left might allow
more than was meant.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from cluster.codec import MAX_BYTES, decode, encode
from cluster.errors import Problem, SnapshotRejected, WireError
from cluster.intentions import Intention
from cluster.routes import MeshRoute
from cluster.shards import MOST_WHOLE, SHARDS, Sharded, cut, joined, strays
from cluster.snapshot import EndpointSet, Policy, Snapshot
from cluster.wholeness import problems

SECTIONS = tuple(field.name for field in msgspec.structs.fields(Snapshot))
_TYPES: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Snapshot)}


def _route_key(route: MeshRoute) -> str:
    return route.server_name


def _set_key(made: EndpointSet) -> str:
    return made.name


def rule_key(rule: Intention) -> str:
    """All rules towards one destination are in one shard."""
    return rule.destination.name


#: The sections that may come in shards, and by what they are cut.
_CUT: dict[str, Callable[[Any], str]] = {
    "mesh": _route_key,
    "endpoints": _set_key,
    "policy": rule_key,
}
_SHARD_TYPES: dict[str, Any] = {
    "mesh": tuple[MeshRoute, ...],
    "endpoints": tuple[EndpointSet, ...],
    "policy": tuple[Intention, ...],
}
_SHARD = re.compile(f"({'|'.join(_CUT)})/([0-9]{{2}})")

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
    """A snapshot in both forms, for whoever makes or reads the next one: most of it will be the same.

    `pieces` are its sections and shards by the names that they travel by.
    """

    encoded: Encoded
    snapshot: Snapshot
    pieces: Mapping[str, Any]

    @classmethod
    def of(cls, encoded: Encoded, snapshot: Snapshot) -> "Whole":
        snapshot = in_shards(snapshot)
        return cls(encoded, snapshot, _pieces(snapshot))

    def same(self, name: str, piece: object) -> bool:
        """Whether it has an equal piece by that name."""
        if name not in self.encoded.sections or name not in self.pieces:
            return False
        known = self.pieces[name]
        return known is piece or bool(known == piece)

    def piece(self, name: str, digest: str) -> Any:
        """The piece with this digest; None if it is another one."""
        return self.pieces.get(name) if self.encoded.manifest.get(name) == digest else None


def manifest_digest(manifest: Manifest) -> str:
    return hashlib.sha256(encode(manifest)).hexdigest()


def same_policy(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two manifests agree on who may talk to whom."""
    return _policy(one) == _policy(other)


def _policy(manifest: Mapping[str, str]) -> dict[str, str]:
    return {name: digest for name, digest in manifest.items() if name.partition("/")[0] == "policy"}


def in_shards(snapshot: Snapshot, before: Snapshot | None = None) -> Snapshot:
    """The snapshot as it comes out at the other end: sections with many items are cut into shards.

    Shards that are equal to those of `before` are the same objects.
    """
    return msgspec.structs.replace(
        snapshot,
        mesh=_cut("mesh", snapshot.mesh, before.mesh if before else ()),
        endpoints=_cut("endpoints", snapshot.endpoints, before.endpoints if before else ()),
        policy=msgspec.structs.replace(
            snapshot.policy,
            intentions=_cut(
                "policy", snapshot.policy.intentions, before.policy.intentions if before else ()
            ),
        ),
    )


def _cut(name: str, items: tuple[Any, ...], before: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(items) <= MOST_WHOLE:
        return tuple(items)
    return items if isinstance(items, Sharded) else cut(items, _CUT[name], before)


def _pieces(snapshot: Snapshot) -> dict[str, Any]:
    """What travels, by name: a section of few items whole, of one with many its shards."""
    found: dict[str, Any] = {name: getattr(snapshot, name) for name in SECTIONS}
    for name in ("mesh", "endpoints"):
        if isinstance(found[name], Sharded):
            found |= _shards(name, found.pop(name))
    if isinstance(snapshot.policy.intentions, Sharded):
        found["policy"] = msgspec.structs.replace(snapshot.policy, intentions=())
        found |= _shards("policy", snapshot.policy.intentions)
    return found


def _shards(name: str, items: Sharded[Any]) -> dict[str, tuple[Any, ...]]:
    return {f"{name}/{number:02}": part for number, part in items.parts.items()}


def encode_snapshot(snapshot: Snapshot) -> Encoded:
    """The canonical form; equal snapshots give equal bytes and digests."""
    return encode_whole(snapshot).encoded


def encode_whole(snapshot: Snapshot, before: Whole | None = None) -> Whole:
    """The same, with or without one `before`: what is equal to a piece of it is not encoded again."""
    snapshot = in_shards(snapshot, before.snapshot if before else None)
    pieces = _pieces(snapshot)
    sections: dict[str, bytes] = {}
    manifest: Manifest = {}
    for name, piece in pieces.items():
        if before is not None and before.same(name, piece):
            sections[name] = before.encoded.sections[name]
            manifest[name] = before.encoded.manifest[name]
        else:
            sections[name] = encode(piece)
            manifest[name] = hashlib.sha256(sections[name]).hexdigest()
    return Whole(Encoded(manifest=manifest, sections=sections), snapshot, pieces)


def size_problems(encoded: Encoded, *, max_bytes: int = MAX_SECTIONS_BYTES) -> tuple[Problem, ...]:
    """Why an encoded snapshot cannot travel: it is too large. Empty if it can."""
    size = sum(len(body) for body in encoded.sections.values())
    if size <= max_bytes:
        return ()
    return (Problem(message=f"the snapshot has {size} bytes, {max_bytes} are the limit"),)


def decode_snapshot(encoded: Encoded, digest: str, before: Whole | None = None) -> Snapshot:
    """The snapshot that these bytes hold, if they are what `digest` says and it is whole.

    Sections and shards that are those of `before` are taken from there: the very same objects. Raises
    `SnapshotRejected` with every reason.
    """
    found = tuple(_encoding_problems(encoded, digest, before))
    if found:
        raise SnapshotRejected(found)
    try:
        pieces = {name: _piece(name, encoded, before) for name in encoded.manifest}
    except WireError as error:
        raise SnapshotRejected((Problem(message=str(error)),)) from error
    if astray := tuple(_astray(pieces, before)):
        raise SnapshotRejected(astray)
    snapshot = _put_together(pieces, before.snapshot if before else None)
    if broken := problems(snapshot, before.snapshot if before else None):
        raise SnapshotRejected(broken)
    return snapshot


def _piece(name: str, encoded: Encoded, before: Whole | None) -> Any:
    known = before.piece(name, encoded.manifest[name]) if before is not None else None
    return decode(_type(name), encoded.sections[name]) if known is None else known


def _type(name: str) -> Any:
    section, shard, _ = name.partition("/")
    return _SHARD_TYPES[section] if shard else _TYPES[section]


def _astray(pieces: Mapping[str, Any], before: Whole | None) -> Iterator[Problem]:
    """What is in a shard where nobody looks for it, or both in a shard and not."""
    known = before.pieces if before else {}
    for name, piece in pieces.items():
        section, shard, number = name.partition("/")
        if shard and known.get(name) is not piece:
            for key in strays(int(number), piece, _CUT[section]):
                yield Problem(path=name, message=f"{key!r} does not belong in this shard")
    if _parts("policy", pieces) and pieces["policy"].intentions:
        yield Problem(path="policy", message="the intentions are there whole and in shards")


def _put_together(pieces: Mapping[str, Any], before: Snapshot | None) -> Snapshot:
    fields = {name: piece for name, piece in pieces.items() if name in SECTIONS}
    for name in ("mesh", "endpoints"):
        if parts := _parts(name, pieces):
            fields[name] = joined(parts, getattr(before, name) if before else ())
    if parts := _parts("policy", pieces):
        rules = joined(parts, before.policy.intentions if before else ())
        fields["policy"] = _with_rules(fields["policy"], rules, before.policy if before else None)
    return Snapshot(**fields)


def _with_rules(head: Policy, rules: Sharded[Intention], before: Policy | None) -> Policy:
    """Of what did not change, the very same object."""
    made = msgspec.structs.replace(head, intentions=rules)
    return before if before is not None and before.intentions is rules and before == made else made


def _parts(section: str, pieces: Mapping[str, Any]) -> dict[int, tuple[Any, ...]]:
    return {
        int(number): piece
        for name, piece in pieces.items()
        for place, shard, number in (name.partition("/"),)
        if shard and place == section
    }


def _encoding_problems(encoded: Encoded, digest: str, before: Whole | None) -> Iterator[Problem]:
    yield from size_problems(encoded)
    if encoded.digest != digest:
        yield Problem(message=f"the digest is {encoded.digest}, not {digest} as announced")
    yield from _name_of_section_problems(encoded.manifest)
    for name, announced in encoded.manifest.items():
        body = encoded.sections.get(name)
        if body is None:
            yield Problem(path=name, message="the section is missing")
        elif _is_of(before, name, announced, body):
            continue
        elif hashlib.sha256(body).hexdigest() != announced:
            yield Problem(path=name, message="the bytes do not have the section's digest")


def _is_of(before: Whole | None, name: str, announced: str, body: bytes) -> bool:
    """Whether these are the bytes, already verified, of one before."""
    return (
        before is not None
        and before.encoded.manifest.get(name) == announced
        and before.encoded.sections.get(name) is body
    )


def _name_of_section_problems(manifest: Manifest) -> Iterator[Problem]:
    """What is announced that this version does not know, and what it needs and is not announced."""
    cut_up = {found[1] for name in manifest if (found := _shard_named(name))}
    for name in manifest:
        if name not in SECTIONS and _shard_named(name) is None:
            message = "this version does not know such a section: the sender is another version"
            yield Problem(path=name, message=message)
    for name in SECTIONS:
        if name not in manifest and (name == "policy" or name not in cut_up):
            yield Problem(path=name, message="the section is missing")
        if name in manifest and name in cut_up and name != "policy":
            yield Problem(path=name, message="the section is there whole and in shards")


def _shard_named(name: str) -> re.Match[str] | None:
    found = _SHARD.fullmatch(name)
    return found if found is not None and int(found[2]) < SHARDS else None


def assemble(manifest: Manifest, sections: Mapping[str, bytes], held: Encoded | None) -> Encoded:
    """A whole snapshot from what was sent and what is held; what is in neither stays missing."""
    known = {name: body for name, body in sections.items() if name in manifest}
    for name, digest in manifest.items():
        if name not in known and held is not None and held.manifest.get(name) == digest:
            known[name] = held.sections[name]
    return Encoded(manifest=manifest, sections=known)
