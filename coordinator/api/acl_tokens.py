"""Tokens: `/v1/acl/token` and `/v1/acl/tokens`.

Belongs here: Consul's endpoints for them. Never here: what a token is (`coordinator.acl.tokens`), or the
first one (`acl_bootstrap`).
"""

from typing import Any

from coordinator.acl.builtin import ANONYMOUS
from coordinator.acl.directory import TABLES, is_expired
from coordinator.acl.speaker import ANONYMOUS_ACCESSOR
from coordinator.acl.tokens import HIDDEN, changed_token, cloned_token, new_token, token_shape
from coordinator.catalog_shapes import in_order
from coordinator.store.records import Delete, Put, Record
from coordinator.store.tables import ACL_TOKENS

from .access import secret_of
from .acl_calls import (
    commit_locked,
    directory,
    links_to,
    made,
    new_id,
    nothing,
    reading,
    record,
    stored,
    unknown,
    writing,
)
from .answers import ApiError
from .body import read_object
from .endpoint import Call, Do, Read, at


def _token(call: Call, accessor: str) -> Record | None:
    """A token whose time is not over; the anonymous one is there without having been written."""
    found = record(call, ACL_TOKENS, accessor.lower())
    if found is None and accessor == ANONYMOUS_ACCESSOR:
        return Record(
            table=ACL_TOKENS, key=accessor, value=ANONYMOUS, create_index=1, modify_index=1
        )
    if found is not None and is_expired(found.value, call.services.clock()):
        return None
    return found


def _require(call: Call) -> Record:
    """The token of the path. Raises ApiError (404)."""
    found = _token(call, call.path("id"))
    if found is None:
        raise unknown("Requested token", call.path("id"))
    return found


def _shown(call: Call, found: Record, secret: str = HIDDEN) -> dict[str, Any]:
    return token_shape(found, directory(call), secret)


def _list(call: Call) -> list[dict[str, Any]]:
    """All tokens, or those linked to a policy or role. No secret is in a list."""
    policy, role = call.query("policy"), call.query("role")
    accessors = {ANONYMOUS_ACCESSOR, *call.state.table(ACL_TOKENS)}
    found = [token for accessor in accessors if (token := _token(call, accessor)) is not None]
    kept = (
        token
        for token in found
        if links_to(token.value, "Policies", policy) and links_to(token.value, "Roles", role)
    )
    return [_shown(call, token) for token in in_order(kept)]


def _read(call: Call) -> dict[str, Any]:
    return _shown(call, _require(call))


def _self(call: Call) -> dict[str, Any]:
    """The token that the request bears, with its secret, which the caller knows."""
    accessor = call.speaker.accessor
    found = _token(call, accessor) if accessor else None
    if found is None:
        raise ApiError(403, "ACL not found")
    return _shown(call, found, secret_of(call.request.scope))


async def _create(call: Call) -> dict[str, Any]:
    body = await read_object(call.request)
    async with call.services.writes:
        secret, value = made(
            "Token",
            lambda: new_token(
                body,
                directory(call),
                accessor=new_id(),
                secret=new_id(),
                now=call.services.clock(),
            ),
        )
        await _store_new(call, value, secret)
    return _shown(call, stored(call, ACL_TOKENS, value["AccessorID"]), secret)


async def _store_new(call: Call, value: dict[str, Any], secret: str) -> None:
    accessor = value["AccessorID"]
    if record(call, ACL_TOKENS, accessor) is not None:
        raise ApiError(500, "Invalid Token: AccessorID is already in use")
    if directory(call).knows(secret):
        raise ApiError(500, "Invalid Token: SecretID is already in use")
    await commit_locked(call, Put(table=ACL_TOKENS, key=accessor, value=value))


async def _update(call: Call) -> dict[str, Any]:
    body = await read_object(call.request)
    async with call.services.writes:
        present = _require(call)
        value = made("Token", lambda: changed_token(present.value, body, directory(call)))
        await commit_locked(call, Put(table=ACL_TOKENS, key=present.key, value=value))
    return _shown(call, stored(call, ACL_TOKENS, present.key))


async def _clone(call: Call) -> dict[str, Any]:
    body = await read_object(call.request)
    secret, accessor = new_id(), new_id()
    async with call.services.writes:
        present, now = _require(call), call.services.clock()
        value = made(
            "Token",
            lambda: cloned_token(present.value, body, accessor=accessor, secret=secret, now=now),
        )
        await _store_new(call, value, secret)
    return _shown(call, stored(call, ACL_TOKENS, accessor), secret)


async def _delete(call: Call) -> bool:
    accessor = call.path("id").lower()
    if accessor == ANONYMOUS_ACCESSOR:
        raise ApiError(500, "Delete operation not permitted on the anonymous token")
    if accessor == call.speaker.accessor:
        text = "Deletion of the request's authorization token is not permitted"
        raise ApiError(500, text)
    async with call.services.writes:
        if _token(call, accessor) is None:
            raise ApiError(404, "Cannot find token to delete: ACL not found")
        await commit_locked(call, Delete(table=ACL_TOKENS, key=accessor))
    return True


ROUTES = (
    at("/v1/acl/tokens", GET=Read(answer=_list, needs=reading, tables=TABLES)),
    at("/v1/acl/token", PUT=Do(answer=_create, needs=writing)),
    at("/v1/acl/token/self", GET=Read(answer=_self, needs=nothing, tables=TABLES)),
    at("/v1/acl/token/{id}/clone", PUT=Do(answer=_clone, needs=writing)),
    at(
        "/v1/acl/token/{id}",
        GET=Read(answer=_read, needs=reading, tables=TABLES),
        PUT=Do(answer=_update, needs=writing),
        DELETE=Do(answer=_delete, needs=writing),
    ),
)
