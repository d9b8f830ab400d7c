"""Several changes of keys and values at once, all or none: `/v1/txn`.

Belongs here: the operations, what each does to the keys as those before it leave them, and Consul's answer.
Never here: single keys (`kv`). Of Consul's operations only those on keys are there, and of these none that
takes a session.

What an operation saw of a key must still hold when all is committed; if it does not, all is done anew.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from coordinator.acl.rights import Access, Right, Scope, key_read, key_write, key_write_under
from coordinator.catalog_shapes import in_order
from coordinator.store.records import Change, Conflict, Delete, Expect, Put, Record
from coordinator.store.state import State
from coordinator.store.tables import KV

from .answers import ApiError, json_answer
from .body import Fields, read_list
from .endpoint import Call, Do, at
from .kv import MAX_FLAGS, MAX_VALUE_BYTES, kv_put, kv_shape
from .needs import in_answer

MAX_OPERATIONS = 128
_SESSIONS = ("lock", "unlock", "check-session")


class Failed(Exception):
    """The operation cannot be done, and so none is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation on a key, or on all keys that begin so."""

    verb: str
    key: str
    value: bytes
    flags: int
    index: int


@dataclass(slots=True)
class Draft:
    """The keys as the operations so far leave them, over a state that stays as it is."""

    state: State
    changes: dict[str, Change] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    results: list[tuple[str, Record | None]] = field(default_factory=list)

    def index(self, key: str) -> int | None:
        """The key's ModifyIndex; -1 if it is written here, None if it is not there."""
        present = self.state.get(KV, key)
        self.seen.setdefault(key, present.modify_index if present else 0)
        if key in self.changes:
            return -1 if isinstance(self.changes[key], Put) else None
        return present.modify_index if present else None

    def record(self, key: str) -> Record | None:
        """What a read of the key gives."""
        self.index(key)
        change, present = self.changes.get(key), self.state.get(KV, key)
        if not isinstance(change, Put):
            return present if change is None else None
        made = present.create_index if present else 0
        return Record(table=KV, key=key, value=change.value, create_index=made, modify_index=0)

    def keys(self, prefix: str) -> list[str]:
        """What is there under the prefix, in order."""
        found = {record.key for record in in_order(self.state.under(KV, prefix))}
        found |= {key for key in self.changes if key.startswith(prefix)}
        return [key for key in sorted(found) if self.index(key) is not None]


def _set(draft: Draft, one: Operation) -> None:
    draft.index(one.key)
    draft.changes[one.key] = kv_put(one.key, one.value, one.flags)
    draft.results.append((one.key, None))


def _cas(draft: Draft, one: Operation) -> None:
    if (draft.index(one.key) or 0) != one.index:
        raise Failed(f'failed to set key "{one.key}", index is stale')
    _set(draft, one)


def _delete(draft: Draft, one: Operation) -> None:
    if draft.index(one.key) is not None:
        draft.changes[one.key] = Delete(table=KV, key=one.key)


def _delete_cas(draft: Draft, one: Operation) -> None:
    if draft.index(one.key) not in (None, one.index):
        raise Failed(f'failed to delete key "{one.key}", index is stale')
    _delete(draft, one)


def _delete_tree(draft: Draft, one: Operation) -> None:
    for key in draft.keys(one.key):
        draft.changes[key] = Delete(table=KV, key=key)


def _get(draft: Draft, one: Operation) -> None:
    found = draft.record(one.key)
    if found is None:
        raise Failed(f'key "{one.key}" doesn\'t exist')
    draft.results.append((one.key, found))


def _get_or_empty(draft: Draft, one: Operation) -> None:
    empty = {"Flags": 0, "Value": ""}
    absent = Record(table=KV, key=one.key, value=empty, create_index=0, modify_index=0)
    draft.results.append((one.key, draft.record(one.key) or absent))


def _get_tree(draft: Draft, one: Operation) -> None:
    draft.results += [(key, draft.record(key)) for key in draft.keys(one.key)]


def _check_index(draft: Draft, one: Operation) -> None:
    found = draft.index(one.key)
    if found is None:
        raise Failed(f'key "{one.key}" doesn\'t exist')
    if found != one.index:
        text = f'failed index check for key "{one.key}", current modify index {found}'
        raise Failed(f"{text} != {one.index}")
    draft.results.append((one.key, None))


def _check_not_exists(draft: Draft, one: Operation) -> None:
    if draft.index(one.key) is not None:
        raise Failed(f'key "{one.key}" exists')


def _read_under(prefix: str) -> Right:
    return Right(resource="key", access=Access.READ, name=prefix, scope=Scope.UNDER)


_VERBS: dict[str, tuple[Callable[[Draft, Operation], None], Callable[[str], Right]]] = {
    "set": (_set, key_write),
    "cas": (_cas, key_write),
    "delete": (_delete, key_write),
    "delete-cas": (_delete_cas, key_write),
    "delete-tree": (_delete_tree, key_write_under),
    "get": (_get, key_read),
    "get-or-empty": (_get_or_empty, key_read),
    "get-tree": (_get_tree, _read_under),
    "check-index": (_check_index, key_read),
    "check-not-exists": (_check_not_exists, key_read),
}


async def _txn(call: Call) -> Response:
    given = await read_list(call.request)
    if len(given) > MAX_OPERATIONS:
        text = f"Transaction contains too many operations ({len(given)} > {MAX_OPERATIONS})"
        raise ApiError(413, text)
    operations = [_operation(number, one) for number, one in enumerate(given)]
    call.asked.at_all = True  # of no operations nothing is asked
    for one in operations:
        call.require(_VERBS[one.verb][1](one.key))
    while True:
        draft, errors = _drafted(operations, call.services.wanted.state)
        if errors:
            return json_answer({"Results": None, "Errors": errors}, status=409)
        expect = [Expect(table=KV, key=key, modify_index=at) for key, at in draft.seen.items()]
        try:
            await call.services.wanted.commit(list(draft.changes.values()), expect)
        except Conflict:
            continue
        return json_answer({"Results": _results(call, draft), "Errors": None})


def _drafted(operations: list[Operation], state: State) -> tuple[Draft, list[dict[str, Any]]]:
    """What the operations come to, and what stands against it."""
    draft, errors = Draft(state), []
    for number, one in enumerate(operations):
        try:
            _VERBS[one.verb][0](draft, one)
        except Failed as error:
            errors.append({"OpIndex": number, "What": str(error)})
    return draft, errors


def _results(call: Call, draft: Draft) -> list[dict[str, Any]]:
    """Entries that were read with their values, entries that were written without, as Consul does."""
    shown = []
    for key, found in draft.results:
        written = call.services.wanted.state.get(KV, key)
        if found is not None and found.modify_index == 0 and written is not None:
            at = {"CreateIndex": written.create_index, "ModifyIndex": written.modify_index}
            shown.append({"KV": kv_shape(found) | at})
        elif found is not None:
            shown.append({"KV": kv_shape(found)})
        elif written is not None:
            shown.append({"KV": kv_shape(written) | {"Value": None}})
    return shown


def _operation(number: int, given: Any) -> Operation:
    """Raises ApiError: 400 for what makes no sense, 501 for what is not there, 413 for what is too large."""
    if not isinstance(given, dict):
        raise ApiError(400, f"Request decode failed: operation {number} is no object")
    kinds = [name for name, value in given.items() if value is not None]
    inner = Fields(given).anything("KV")
    if kinds and inner is None:
        raise ApiError(501, f"operation {number}: {kinds[0][:40]!r} is not supported, only KV is")
    if not isinstance(inner, dict):
        raise ApiError(400, f"operation {number} holds no KV")
    fields = Fields(inner)
    verb = fields.text("Verb")
    if verb in _SESSIONS:
        raise ApiError(501, f"operation {number}: {verb!r} is not supported: there are no sessions")
    if verb not in _VERBS:
        raise ApiError(400, f"operation {number}: unknown verb {verb[:40]!r}")
    key = fields.text("Key")
    if not key and not verb.endswith("-tree"):
        raise ApiError(400, f"operation {number}: a key is missing")
    return Operation(
        verb=verb,
        key=key,
        value=_value(number, key, fields.text("Value")),
        flags=fields.whole("Flags", MAX_FLAGS),
        index=fields.whole("Index", MAX_FLAGS),
    )


def _value(number: int, key: str, text: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, f"operation {number}: the value is no base64") from None
    if len(value) > MAX_VALUE_BYTES:
        size = f"{len(value)} > {MAX_VALUE_BYTES} bytes"
        raise ApiError(413, f'Value for key "{key[:200]}" is too large ({size})')
    return value


ROUTES = (at("/v1/txn", PUT=Do(answer=_txn, needs=in_answer)),)
