"""Which nodes may join the bus, by their public keys: `/v1/lockgate/nodes`.

Belongs here: the list. Never here: the bus, which looks the keys up (`cluster.bus`), or secret keys.
"""

from typing import Any

from cluster.bus.curve import require_key
from cluster.errors import ConfigError
from coordinator.acl.rights import operator_read, operator_write
from coordinator.store.records import Change, Delete, Put, Record
from coordinator.store.state import State
from coordinator.store.tables import BUS_KEYS

from .answers import ApiError, refuse
from .body import Fields, read_object
from .endpoint import Call, Do, Read, at
from .registration import commit
from .shapes import in_order

_NAME_LIMIT = 128


def _shown(record: Record) -> dict[str, Any]:
    return {
        "name": record.key,
        "public_key": record.value["public_key"],
        "create_index": record.create_index,
        "modify_index": record.modify_index,
    }


def _list(call: Call) -> list[dict[str, Any]]:
    return [_shown(record) for record in in_order(call.state.table(BUS_KEYS).values())]


def _get(call: Call) -> dict[str, Any]:
    record = call.state.get(BUS_KEYS, call.path("name"))
    if record is None:
        raise ApiError(404, _unknown(call))
    return _shown(record)


async def _allow(call: Call) -> bool:
    name = call.path("name")
    key = Fields(await read_object(call.request)).text("public_key")
    if not 0 < len(name) <= _NAME_LIMIT:
        raise ApiError(400, f"a node's name has 1 to {_NAME_LIMIT} characters, not {len(name)}")
    if "/" in name or not name.isprintable():
        raise ApiError(400, f"{name!r} is no node's name: it holds a slash or a control character")
    try:
        require_key(key)
    except ConfigError as error:
        raise refuse(400, error.problems) from None
    await commit(call.services, lambda state: _allowing(state, name, key))
    return True


def _allowing(state: State, name: str, key: str) -> list[Change]:
    """One key is one node: the key is the identity of a peer."""
    for record in state.table(BUS_KEYS).values():
        if record.value["public_key"] == key and record.key != name:
            raise ValueError(f"this key is already the one of node {record.key}")
    return [Put(table=BUS_KEYS, key=name, value={"public_key": key})]


async def _revoke(call: Call) -> bool:
    name = call.path("name")
    if call.state.get(BUS_KEYS, name) is None:
        raise ApiError(404, _unknown(call))
    await commit(call.services, lambda _: [Delete(table=BUS_KEYS, key=name)])
    return True


def _unknown(call: Call) -> str:
    return f"no key of a node {call.path('name')!r} is allowed"


ROUTES = (
    at("/v1/lockgate/nodes", GET=Read(answer=_list, needs=operator_read, tables=(BUS_KEYS,))),
    at(
        "/v1/lockgate/nodes/{name:path}",
        GET=Read(answer=_get, needs=operator_read, tables=(BUS_KEYS,)),
        PUT=Do(answer=_allow, needs=operator_write),
        DELETE=Do(answer=_revoke, needs=operator_write),
    ),
)
