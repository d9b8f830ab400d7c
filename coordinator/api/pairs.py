"""Intentions as one object per pair, out of the entries `service-intentions` that hold them. Pure.

Belongs here: both forms of a pair, Consul's JSON and the data path's `Intention`, and a pair put into or
taken out of its entry. Never here: HTTP, or which intention decides (`cluster.intentions`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.intentions import Intention, in_order
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


def pairs(state: State) -> tuple[Pair, ...]:
    """Every intention, in evaluation order."""
    by_rule = {id(pair.rule): pair for pair in _found(state)}
    ordered = in_order(pair.rule for pair in by_rule.values())
    return tuple(by_rule[id(rule)] for rule in ordered)


def find_pair(state: State, source: str, destination: str) -> Pair | None:
    """The intention between two names of this cluster, `*` meaning the wildcard itself."""
    record = state.get(ENTRIES, f"{KIND}/{destination}")
    for pair in _of_entry(record) if record else ():
        if pair.rule.source == ServiceName(name=source):
            return pair
    return None


def with_pair(entry: Record | None, destination: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the entry with this source, in the place of the one of the same name."""
    body = entry.value if entry else {"Kind": KIND, "Name": destination}
    sources = list(body.get("Sources", ()))
    at = next((n for n, s in enumerate(sources) if _is_local(s, source["Name"])), len(sources))
    sources[at : at + 1] = [dict(source)]
    return body | {"Sources": sources}


def without_pair(entry: Record, source: str) -> dict[str, Any]:
    """The body of the entry without this source; `Sources` may be empty then."""
    sources = [s for s in entry.value.get("Sources", ()) if not _is_local(s, source)]
    return entry.value | {"Sources": sources}


def _found(state: State) -> Iterator[Pair]:
    for record in state.under(ENTRIES, f"{KIND}/"):
        yield from _of_entry(record)


def _of_entry(record: Record) -> Iterator[Pair]:
    sources = record.value.get("Sources", ())
    for rule, source in zip(intentions_of(record.value), sources, strict=True):
        yield Pair(rule=rule, shown=_shown(record, source))


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
        "Meta": source.get("LegacyMeta"),
        "Precedence": source["Precedence"],
        "CreatedAt": source.get("LegacyCreateTime", _NEVER),
        "UpdatedAt": source.get("LegacyUpdateTime", _NEVER),
        "CreateIndex": record.create_index,
        "ModifyIndex": record.modify_index,
    }
    return {name: value for name, value in shown.items() if value is not None}


def _is_local(source: Mapping[str, Any], name: str) -> bool:
    return source["Name"] == name and not source.get("Peer")
