"""The key/value store: `/v1/kv`.

Belongs here: Consul's endpoints for single keys and prefixes. Never here: what anybody keeps there; no
snapshot is made of it. Sessions are not there, so neither are the locks that they would hold.

A key has an index of its own, and so has everything under a prefix: a change elsewhere wakes nobody.
"""

import base64
from collections.abc import Iterable
from typing import Any

from starlette.responses import Response

from coordinator.acl.rights import Right, key_read, key_write, key_write_under
from coordinator.catalog_shapes import in_order
from coordinator.store.records import Change, Conflict, Delete, Expect, Put, Record
from coordinator.store.tables import KV

from .answers import ApiError
from .body import read_content
from .call import Rights
from .endpoint import Call, Do, Read, at
from .parameters import cas_index

MAX_VALUE_BYTES = 512 * 1024
MAX_FLAGS = 2**64 - 1
# A value is whatever somebody wrote: a browser shall neither run it nor guess what it is.
_RAW_HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}


def kv_shape(record: Record) -> dict[str, Any]:
    """An entry as Consul shows it; nobody ever holds a lock."""
    return {
        "LockIndex": 0,
        "Key": record.key,
        "Flags": record.value["Flags"],
        "Value": record.value["Value"] or None,
        "CreateIndex": record.create_index,
        "ModifyIndex": record.modify_index,
    }


def kv_put(key: str, value: bytes, flags: int) -> Put:
    return Put(table=KV, key=key, value={"Flags": flags, "Value": base64.b64encode(value).decode()})


def _get(call: Call) -> Any:
    key = call.path("key")
    if _is_set(call, "keys"):
        return _keys(call, key)
    if _is_set(call, "recurse"):
        found = _readable(call, key)
        return [kv_shape(record) for record in found] if found else _nothing()
    record = call.state.get(KV, key)
    if record is None:
        return _nothing()
    if _is_set(call, "raw"):
        content = base64.b64decode(record.value["Value"])
        return Response(content, media_type="text/plain", headers=_RAW_HEADERS)
    return [kv_shape(record)]


def _keys(call: Call, prefix: str) -> Any:
    """The keys under the prefix; with a separator, each only up to the next one after the prefix."""
    found = (record.key for record in _readable(call, prefix))
    listed = list(dict.fromkeys(_upto(found, prefix, call.query("separator"))))
    return listed if listed or not prefix else _nothing()


def _readable(call: Call, prefix: str) -> list[Record]:
    return call.readable(in_order(call.state.under(KV, prefix)), lambda r: key_read(r.key))


def _upto(keys: Iterable[str], prefix: str, separator: str) -> Iterable[str]:
    for key in keys:
        end = key.find(separator, len(prefix)) if separator else -1
        yield key if end < 0 else key[: end + len(separator)]


def _nothing() -> Response:
    return Response(status_code=404)


async def _put(call: Call) -> bool:
    key = _key(call)
    _refuse_locks(call)
    flags, cas = _flags(call), cas_index(call.request.query_params)
    change = kv_put(key, await read_content(call.request, MAX_VALUE_BYTES), flags)
    return await _commit(call, [change], cas)


async def _delete(call: Call) -> bool:
    cas = cas_index(call.request.query_params)
    if _is_set(call, "recurse"):
        if cas is not None:
            raise ApiError(400, "Conflicting flags: ?recurse and ?cas")
        under = call.state.under(KV, call.path("key"))
        return await _commit(call, [Delete(table=KV, key=record.key) for record in under], None)
    key = _key(call)
    if call.state.get(KV, key) is None:
        return True
    return await _commit(call, [Delete(table=KV, key=key)], cas)


async def _commit(call: Call, changes: list[Change], cas: int | None) -> bool:
    """False: the check-and-set was lost."""
    expect = [] if cas is None else [Expect(table=KV, key=changes[0].key, modify_index=cas)]
    try:
        await call.services.wanted.commit(changes, expect)
    except Conflict:
        return False
    return True


def _key(call: Call) -> str:
    """The key in the path. Raises ApiError (400) if there is none."""
    if not call.path("key"):
        raise ApiError(400, "Missing key name")
    return call.path("key")


def _read_rights(call: Call) -> Rights:
    """Of many keys each is shown to those who may read it."""
    return key_read(_key(call)) if _is_single(call) else ()


def _write_right(call: Call) -> Right:
    return key_write(call.path("key"))


def _delete_right(call: Call) -> Right:
    key = call.path("key")
    return key_write_under(key) if _is_set(call, "recurse") else key_write(key)


def _is_set(call: Call, name: str) -> bool:
    """Whether a parameter is there at all, which is how Consul reads those of this endpoint."""
    return name in call.request.query_params


def _flags(call: Call) -> int:
    text = call.query("flags", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 20 or int(text) > MAX_FLAGS:
        raise ApiError(400, f"Invalid flags: {text[:40]!r} is no unsigned 64-bit integer")
    return int(text)


def _refuse_locks(call: Call) -> None:
    for name in ("acquire", "release"):
        if _is_set(call, name):
            raise ApiError(501, f"query parameter '{name}' is not supported: there are no sessions")


def _is_single(call: Call) -> bool:
    return not _is_set(call, "keys") and not _is_set(call, "recurse")


def _index(call: Call) -> int:
    state = call.services.wanted.state
    key = call.path("key")
    return state.key_index(KV, key) if _is_single(call) else state.prefix_index(KV, key)


ROUTES = (
    at(
        "/v1/kv/{key:path}",
        GET=Read(
            answer=_get,
            needs=_read_rights,
            tables=(KV,),
            prefix=lambda call: call.path("key"),
            index=_index,
        ),
        PUT=Do(answer=_put, needs=_write_right),
        DELETE=Do(answer=_delete, needs=_delete_right),
    ),
)
