"""What the endpoints under `/v1/acl` have in common: that ACLs are on, bodies, and commits.

Belongs here: what more than one of them needs. Never here: tokens, policies or roles themselves.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

from coordinator.acl.bodies import BodyError
from coordinator.acl.directory import Directory
from coordinator.acl.rights import acl_read, acl_write
from coordinator.store.records import Change, Record

from .answers import ApiError
from .call import Call, Rights

T = TypeVar("T")


def reading(call: Call) -> Rights:
    """What it takes to read. Raises ApiError (401) while access control lists are off."""
    require_enabled(call)
    return acl_read


def writing(call: Call) -> Rights:
    """What it takes to write. Raises ApiError (401) while access control lists are off."""
    require_enabled(call)
    return acl_write


def nothing(call: Call) -> Rights:
    """No right. Raises ApiError (401) while access control lists are off."""
    require_enabled(call)
    return ()


def require_enabled(call: Call) -> None:
    if not call.services.access.enabled:
        raise ApiError(401, "ACL support disabled")


def directory(call: Call) -> Directory:
    return call.services.access.directory()


def new_id() -> str:
    """A random UUID, from the kernel's randomness."""
    return str(uuid4())


def made(what: str, make: Callable[[], T]) -> T:
    """What `make` makes. Raises ApiError (400) when it cannot read its body."""
    try:
        return make()
    except BodyError as error:
        raise ApiError(400, f"{what} decoding failed: {error}") from None


async def commit_locked(call: Call, *changes: Change) -> None:
    """Commit under the lock that the caller holds, so that what was looked at still holds."""
    await call.services.wanted.commit(changes)


def record(call: Call, table: str, key: str) -> Record | None:
    """The record as it is now, after a commit too."""
    return call.services.wanted.state.get(table, key)


def stored(call: Call, table: str, key: str) -> Record:
    """The record that was just written."""
    found = record(call, table, key)
    assert found is not None
    return found


def unknown(what: str, wanted: str) -> ApiError:
    return ApiError(404, f'{what} "{wanted[:128]}" does not exist: ACL not found')


def links_to(value: Mapping[str, Any], kind: str, wanted: str) -> bool:
    """Whether a token or role is linked to this policy or role; to all when none is asked for."""
    return not wanted or any(link["ID"] == wanted for link in value.get(kind, ()))
