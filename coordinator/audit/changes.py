"""What a commit changes, for the audit log: which records, and digests of them before and after. Pure.

Belongs here: an effect as JSON. Never here: contents; they are in the history, and may be secret.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from coordinator.store.records import Record
from coordinator.store.settle import Effect, encode_value
from coordinator.store.state import State
from coordinator.store.tables import CA_SERIAL, VERSIONS

#: What follows from other changes, or counts.
_NOT_SHOWN = (VERSIONS, CA_SERIAL)
MAX_SHOWN = 100


def changes_of(effect: Effect, state: State) -> list[dict[str, Any]]:
    """One object for each record that the effect writes or deletes in `state`, the present before it."""
    return [_change(state, record, gone=gone) for record, gone in _records(effect)]


def shown(changes: list[dict[str, Any]]) -> dict[str, Any]:
    """The changes as a line holds them: the first hundred, and a digest of all if there are more."""
    if len(changes) <= MAX_SHOWN:
        return {"changes": changes}
    whole = _digest(encode_value({"changes": changes}))
    return {"changes": changes[:MAX_SHOWN], "changes_total": len(changes), "changes_digest": whole}


def _records(effect: Effect) -> Iterator[tuple[Record, bool]]:
    both: Iterable[tuple[Record, bool]] = (
        *((record, False) for record in effect.written),
        *((record, True) for record in effect.deleted),
    )
    return (pair for pair in both if pair[0].table not in _NOT_SHOWN)


def _change(state: State, record: Record, *, gone: bool) -> dict[str, Any]:
    present = state.get(record.table, record.key)
    return {
        "kind": record.table,
        "name": record.key,
        "before": _digest(encode_value(present.value)) if present else "",
        "after": "" if gone else _digest(encode_value(record.value)),
    }


def _digest(encoded: bytes) -> str:
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"
