"""Roles: `/v1/acl/role` and `/v1/acl/roles`.

Belongs here: Consul's endpoints for them. Never here: what follows from a role (`coordinator.acl.directory`).
"""

from typing import Any

from coordinator.acl.directory import TABLES
from coordinator.acl.documents import new_role, role_shape
from coordinator.catalog_shapes import in_order
from coordinator.store.records import Delete, Put
from coordinator.store.tables import ACL_ROLES

from .acl_calls import (
    commit_locked,
    directory,
    links_to,
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


def _list(call: Call) -> list[dict[str, Any]]:
    policy = call.query("policy")
    found = in_order(call.state.table(ACL_ROLES).values())
    kept = [one for one in found if links_to(one.value, "Policies", policy)]
    return [role_shape(one, directory(call)) for one in kept]


def _read(call: Call) -> dict[str, Any]:
    return _shown(call, call.path("id"))


def _read_by_name(call: Call) -> dict[str, Any]:
    value = directory(call).role(call.path("name"))
    return _shown(call, value["ID"] if value and value["Name"] == call.path("name") else "")


def _shown(call: Call, role_id: str) -> dict[str, Any]:
    found = record(call, ACL_ROLES, role_id)
    if found is None:
        raise unknown("Requested role", role_id or call.path("name"))
    return role_shape(found, directory(call))


async def _create(call: Call) -> dict[str, Any]:
    body = await read_object(call.request)
    if Fields(body).text("ID"):
        raise ApiError(400, "Cannot specify the ID when creating a new role")
    return await _write(call, new_id(), body)


async def _update(call: Call) -> dict[str, Any]:
    body = await read_object(call.request)
    if record(call, ACL_ROLES, call.path("id")) is None:
        raise unknown("Requested role", call.path("id"))
    return await _write(call, call.path("id"), body)


async def _write(call: Call, role_id: str, body: dict[str, Any]) -> dict[str, Any]:
    async with call.services.writes:
        value = made("Role", lambda: new_role(body, directory(call), role_id=role_id))
        await commit_locked(call, Put(table=ACL_ROLES, key=role_id, value=value))
    return role_shape(stored(call, ACL_ROLES, role_id), directory(call))


async def _delete(call: Call) -> bool:
    role_id = call.path("id")
    if record(call, ACL_ROLES, role_id) is None:
        raise ApiError(404, "Cannot find role to delete: ACL not found")
    await commit_locked(call, Delete(table=ACL_ROLES, key=role_id))
    return True


ROUTES = (
    at("/v1/acl/roles", GET=Read(answer=_list, needs=reading, tables=TABLES)),
    at("/v1/acl/role", PUT=Do(answer=_create, needs=writing)),
    at(
        "/v1/acl/role/name/{name:path}",
        GET=Read(answer=_read_by_name, needs=reading, tables=TABLES),
    ),
    at(
        "/v1/acl/role/{id}",
        GET=Read(answer=_read, needs=reading, tables=TABLES),
        PUT=Do(answer=_update, needs=writing),
        DELETE=Do(answer=_delete, needs=writing),
    ),
)
