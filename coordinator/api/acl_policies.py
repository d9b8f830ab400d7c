"""Policies: `/v1/acl/policy` and `/v1/acl/policies`.

Belongs here: Consul's endpoints for them. Never here: what their rules mean (`coordinator.acl`).
"""

from typing import Any

from coordinator.acl.builtin import POLICIES
from coordinator.acl.documents import new_policy, policy_shape
from coordinator.catalog_shapes import in_order
from coordinator.store.records import Delete, Put, Record
from coordinator.store.tables import ACL_POLICIES

from .acl_calls import (
    commit_locked,
    directory,
    made,
    new_id,
    reading,
    record,
    stored,
    unknown,
    writing,
)
from .answers import ApiError
from .body import Fields, read_object
from .endpoint import Call, Do, Read, at


def _builtin(policy_id: str) -> Record:
    value = POLICIES[policy_id]
    return Record(table=ACL_POLICIES, key=policy_id, value=value, create_index=1, modify_index=1)


def _policy(call: Call, policy_id: str) -> Record | None:
    return _builtin(policy_id) if policy_id in POLICIES else record(call, ACL_POLICIES, policy_id)


def _list(call: Call) -> list[dict[str, Any]]:
    found = [*map(_builtin, POLICIES), *in_order(call.state.table(ACL_POLICIES).values())]
    return [policy_shape(one, rules=False) for one in found]


def _read(call: Call) -> dict[str, Any]:
    found = _policy(call, call.path("id"))
    if found is None:
        raise unknown("Requested policy", call.path("id"))
    return policy_shape(found)


def _read_by_name(call: Call) -> dict[str, Any]:
    name = call.path("name")
    value = directory(call).policy(name)
    found = _policy(call, value["ID"]) if value and value["Name"] == name else None
    if found is None:
        raise unknown("Requested policy", name)
    return policy_shape(found)


async def _create(call: Call) -> dict[str, Any]:
    body = await read_object(call.request)
    if Fields(body).text("ID"):
        raise ApiError(400, "Cannot specify the ID when creating a new policy")
    return await _write(call, new_id(), body)


async def _update(call: Call) -> dict[str, Any]:
    body = await read_object(call.request)
    if _policy(call, call.path("id")) is None:
        raise unknown("Requested policy", call.path("id"))
    return await _write(call, call.path("id"), body)


async def _write(call: Call, policy_id: str, body: dict[str, Any]) -> dict[str, Any]:
    async with call.services.writes:
        value = made("Policy", lambda: new_policy(body, directory(call), policy_id=policy_id))
        await commit_locked(call, Put(table=ACL_POLICIES, key=policy_id, value=value))
    return policy_shape(stored(call, ACL_POLICIES, policy_id))


async def _delete(call: Call) -> bool:
    policy_id = call.path("id")
    if policy_id in POLICIES:
        name = POLICIES[policy_id]["Name"]
        raise ApiError(500, f"Delete operation not permitted on the builtin {name} policy")
    if record(call, ACL_POLICIES, policy_id) is None:
        raise ApiError(404, "Cannot find policy to delete: ACL not found")
    await commit_locked(call, Delete(table=ACL_POLICIES, key=policy_id))
    return True


_TABLES = (ACL_POLICIES,)

ROUTES = (
    at("/v1/acl/policies", GET=Read(answer=_list, needs=reading, tables=_TABLES)),
    at("/v1/acl/policy", PUT=Do(answer=_create, needs=writing)),
    at(
        "/v1/acl/policy/name/{name:path}",
        GET=Read(answer=_read_by_name, needs=reading, tables=_TABLES),
    ),
    at(
        "/v1/acl/policy/{id}",
        GET=Read(answer=_read, needs=reading, tables=_TABLES),
        PUT=Do(answer=_update, needs=writing),
        DELETE=Do(answer=_delete, needs=writing),
    ),
)
