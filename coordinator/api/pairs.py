"""Intentions as one object per pair, out of the entries `service-intentions` that hold them. Pure.

Belongs here: both forms of a pair, Consul's JSON and the data path's `Intention`, and a pair put into or
taken out of its entry. Never here: HTTP, or which intention decides (`cluster.intentions`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.intentions import Intention, covers, in_order
from cluster.names import ServiceName
from coordinator.compose.policy import KIND, intentions_of
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

_NEVER = "0001-01-01T00:00:00Z"  # how Go writes the absence of a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One source in one entry, as the data path knows it and as the API shows it."""

    rule: Intention
    shown: dict[str, Any]


def pairs_from(state: State, source: ServiceName) -> tuple[Pair, ...]:
    """Those that could apply to connections from a service, in evaluation order."""
    found = state.under(ENTRIES, f"{KIND}/")
    return ordered(_of_entries(found, lambda rule: covers(rule.source, source)))


def pairs_towards(state: State, destination: ServiceName) -> tuple[Pair, ...]:
    """Those that could apply to connections to a service, in evaluation order."""
    found = _entries_towards(state, destination.name)
    return ordered(_of_entries(found, lambda rule: covers(rule.destination, destination)))


def rules_towards(state: State, destination: str) -> tuple[Intention, ...]:
    """The rules of which one may decide about a service, in no order."""
    found = _entries_towards(state, destination)
    return tuple(rule for record in found for rule in intentions_of(record.value))


def ordered(found: Iterable[Pair]) -> tuple[Pair, ...]:
    """In evaluation order."""
    by_rule = {id(pair.rule): pair for pair in found}
    rules = in_order(pair.rule for pair in by_rule.values())
    return tuple(by_rule[id(rule)] for rule in rules)


def of_entry(
    record: Record, wanted: Callable[[Intention], bool] = lambda rule: True
) -> Iterator[Pair]:
    """The wanted pairs of one entry, in the order of its sources."""
    sources = record.value.get("Sources", ())
    for rule, source in zip(intentions_of(record.value), sources, strict=True):
        if wanted(rule):
            yield Pair(rule=rule, shown=_shown(record, source))


def find_by_id(state: State, identity: str) -> Pair | None:
    """The intention that the older API made under this id."""
    for record in state.under(ENTRIES, f"{KIND}/"):
        if any(s.get("LegacyID") == identity for s in record.value.get("Sources", ())):
            return next(pair for pair in of_entry(record) if pair.shown.get("ID") == identity)
    return None


def find_pair(state: State, source: str, destination: str) -> Pair | None:
    """The intention between two names of this cluster, `*` meaning the wildcard itself."""
    record = state.get(ENTRIES, f"{KIND}/{destination}")
    for pair in of_entry(record) if record else ():
        if pair.rule.source == ServiceName(name=source):
            return pair
    return None


def with_pair(entry: Record | None, destination: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the entry with this source, in the place of the one of the same name."""
    sources = entry.value.get("Sources", ()) if entry else ()
    at = next((n for n, s in enumerate(sources) if _is_local(s, source["Name"])), None)
    return with_source(entry, destination, at, source)


def with_source(
    entry: Record | None, destination: str, place: int | None, source: Mapping[str, Any]
) -> dict[str, Any]:
    """The body of the entry with this source at a place, or after all others."""
    body = entry.value if entry else {"Kind": KIND, "Name": destination}
    sources = list(body.get("Sources", ()))
    at = len(sources) if place is None else place
    sources[at : at + 1] = [dict(source)]
    return body | {"Sources": sources}


def without_pair(entry: Record, source: str) -> dict[str, Any]:
    """The body of the entry without this source; `Sources` may be empty then."""
    sources = [s for s in entry.value.get("Sources", ()) if not _is_local(s, source)]
    return entry.value | {"Sources": sources}


def _of_entries(entries: Iterable[Record], wanted: Callable[[Intention], bool]) -> Iterator[Pair]:
    return (pair for record in entries for pair in of_entry(record, wanted))


def _entries_towards(state: State, destination: str) -> tuple[Record, ...]:
    """The destination's own entry and that of the wildcard."""
    keys = dict.fromkeys((f"{KIND}/{destination}", f"{KIND}/*"))
    return tuple(record for key in keys if (record := state.get(ENTRIES, key)))


def _shown(record: Record, source: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        "ID": source.get("LegacyID"),
        "Description": source.get("Description"),
        "SourceNS": "default",
        "SourceName": source["Name"],
        "SourcePeer": source.get("Peer"),
        "DestinationNS": "default",
        "DestinationName": record.value["Name"],
        "SourceType": source.get("Type", "consul"),
        "Action": source.get("Action"),
        "Permissions": source.get("Permissions"),
        "JWT": record.value.get("JWT"),
        "Meta": source.get("LegacyMeta") if "LegacyID" in source else record.value.get("Meta"),
        "Precedence": source["Precedence"],
        "ExpiresAt": source.get("ExpiresAt"),
        "CreatedAt": source.get("LegacyCreateTime", _NEVER),
        "UpdatedAt": source.get("LegacyUpdateTime", _NEVER),
        "CreateIndex": record.create_index,
        "ModifyIndex": record.modify_index,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _is_local(source: Mapping[str, Any], name: str) -> bool:
    return source["Name"] == name and not source.get("Peer")
