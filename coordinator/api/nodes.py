"""Which nodes may join the bus, by their public keys: `/v1/lockgate/nodes`.

Belongs here: the list, and enrolment tokens. Never here: the bus, which looks the keys up
(`cluster.bus`), or a secret key, but for a token's, once.
"""

from typing import Any

from cluster.bus.curve import keygen, require_key
from cluster.durations import parse_duration
from cluster.errors import ConfigError
from coordinator.acl.rights import operator_read, operator_write
from coordinator.acl.tokens import timestamp
from coordinator.catalog_shapes import in_order
from coordinator.enrolment import MAX_LIFE_SECONDS, MIN_LIFE_SECONDS, allowing
from coordinator.store.records import Change, Delete, Put, Record
from coordinator.store.tables import BUS_KEYS, BUS_TOKENS

from .answers import ApiError, refuse
from .body import Fields, read_object
from .endpoint import Call, Do, Read, at
from .registration import commit

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
    _require_name(name)
    try:
        require_key(key)
    except ConfigError as error:
        raise refuse(400, error.problems) from None
    await commit(call.services, lambda state: allowing(state, name, key))
    return True


def _require_name(name: str) -> None:
    if not 0 < len(name) <= _NAME_LIMIT:
        raise ApiError(400, f"a node's name has 1 to {_NAME_LIMIT} characters, not {len(name)}")
    if "/" in name or not name.isprintable():
        raise ApiError(400, f"{name!r} is no node's name: it holds a slash or a control character")


async def _make_token(call: Call) -> dict[str, Any]:
    """A token for one node, in place of one that it has. The secret is told now and never again."""
    name = call.path("name")
    _require_name(name)
    life = _life(call.query("ttl", "1h"))
    pair, expires = keygen(), call.services.clock() + life
    value = {"public_key": pair.public_key, "expires": expires}
    await commit(call.services, lambda _: [Put(table=BUS_TOKENS, key=name, value=value)])
    return {"name": name, "token": pair.secret_key, "expires": timestamp(expires)}


def _life(text: str) -> float:
    try:
        seconds = parse_duration(text) / 1e9
    except ValueError as error:
        raise ApiError(400, f"ttl: {error}") from None
    if not MIN_LIFE_SECONDS <= seconds <= MAX_LIFE_SECONDS:
        raise ApiError(400, f"ttl is from 1m to 168h, not {text[:40]}")
    return seconds


async def _revoke(call: Call) -> bool:
    name = call.path("name")
    if call.state.get(BUS_KEYS, name) is None:
        raise ApiError(404, _unknown(call))
    gone: list[Change] = [Delete(table=table, key=name) for table in (BUS_KEYS, BUS_TOKENS)]
    await commit(call.services, lambda _: gone)
    return True


def _unknown(call: Call) -> str:
    return f"no key of a node {call.path('name')!r} is allowed"


ROUTES = (
    at("/v1/lockgate/node-token/{name}", PUT=Do(answer=_make_token, needs=operator_write)),
    at("/v1/lockgate/nodes", GET=Read(answer=_list, needs=operator_read, tables=(BUS_KEYS,))),
    at(
        "/v1/lockgate/nodes/{name:path}",
        GET=Read(answer=_get, needs=operator_read, tables=(BUS_KEYS,)),
        PUT=Do(answer=_allow, needs=operator_write),
        DELETE=Do(answer=_revoke, needs=operator_write),
    ),
)
