"""What one kind of configuration entry is made of: its fields, its defaults and its rules.

Belongs here: the record that each kind's module fills, and the fields and limits that all kinds share.
Never here: a rule of one kind, or the list of kinds (`entry` has it).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .report import Finding, join
from .scalars import Tenancy, Text
from .schema import Field, Object, TableOf

Body: TypeAlias = dict[str, Any]

META_PAIRS = 64
META_KEY_BYTES = 128
META_VALUE_BYTES = 512

_COMMON = (Field(name="Kind", shape=Text()), Field(name="Name", shape=Text()))
_TENANCY = (
    Field(name="Namespace", shape=Tenancy("namespace")),
    Field(name="Partition", shape=Tenancy("partition")),
    Field(name="Meta", shape=TableOf()),
)


def nothing(body: Body) -> Iterator[Finding]:
    """The rules of a kind that has none."""
    yield from ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind. Bodies are what its shape read, in Consul's spelling.

    `normalise` gives the body as it is judged; `rules` say what is wrong with it. `doubts` say what is only
    suspicious, or not enforced, in a valid one without its empty fields; `arrange` orders what was accepted,
    after paths no longer matter.
    """

    name: str
    shape: Object
    rules: Callable[[Body], Iterator[Finding]]
    normalise: Callable[[Body], Body] = lambda body: body
    doubts: Callable[[Body], Iterator[Finding]] = nothing
    arrange: Callable[[Body], Body] = lambda body: body


def entry_shape(*fields: Field) -> Object:
    """The shape of an entry: the fields every entry has, and these."""
    ignored = ("CreateIndex", "ModifyIndex", "Hash", "RaftIndex")
    return Object(*_COMMON, *fields, *_TENANCY, ignored=ignored)


def name_rules(body: Mapping[str, Any]) -> Iterator[Finding]:
    """Every entry has a name."""
    if not body.get("Name"):
        yield Finding("Name", "Name is required")


def meta_rules(meta: Mapping[str, str], path: str = "Meta") -> Iterator[Finding]:
    """At most 64 pairs, keys up to 128 bytes, values up to 512."""
    if len(meta) > META_PAIRS:
        yield Finding(path, f"{len(meta)} pairs exceed the maximum of {META_PAIRS}")
    for key, value in meta.items():
        place, size = join(path, key[:META_KEY_BYTES]), len(value.encode())
        if len(key.encode()) > META_KEY_BYTES:
            yield Finding(place, f"the key exceeds the maximum length of {META_KEY_BYTES} bytes")
        if size > META_VALUE_BYTES:
            message = f"the value of {size} bytes exceeds the maximum of {META_VALUE_BYTES}"
            yield Finding(place, message)


def unenforced(what: str, path: str = "Kind") -> Finding:
    """A doubt: the entry is kept for what Lockgate will do, and does not do yet."""
    return Finding(path, f"stored, not enforced yet: {what}")


def unenforced_fields(body: Body, fields: Mapping[str, str], path: str = "") -> Iterator[Finding]:
    """The same for each of these fields that is there: what it would do, by its name."""
    for name, what in fields.items():
        if name in body:
            yield unenforced(what, join(path, name))


def one_of(
    body: Mapping[str, Any], name: str, allowed: tuple[str, ...], path: str = ""
) -> Iterator[Finding]:
    """The field `name` holds one of `allowed`, or nothing."""
    value = body.get(name, "")
    if value and value not in allowed:
        message = f"invalid value {value[:64]!r} for {name}, must be one of {', '.join(allowed)}"
        yield Finding(join(path, name), message)
