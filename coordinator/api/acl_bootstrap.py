"""The first token: `/v1/acl/bootstrap`, once.

Belongs here: who may have it and when. Never here: any other token.

Whoever asks first gets a token for everything, as in Consul, but only on the host: over the unix socket or
loopback. It can be had a second time when somebody who may write to the state directory puts the reset index,
which the refusal tells, into the file `acl-bootstrap-reset` there.
"""

import ipaddress
from pathlib import Path
from typing import Any

from coordinator.acl.tokens import bootstrap_token, token_shape
from coordinator.store.records import Put
from coordinator.store.tables import ACL_STATE, ACL_TOKENS

from .access import peer_of_scope
from .acl_calls import commit_locked, directory, made, new_id, nothing, record, stored
from .answers import ApiError
from .body import Fields, read_object
from .endpoint import Call, Do, at

_KEY = "bootstrap"


async def _bootstrap(call: Call) -> dict[str, Any]:
    _require_on_host(call)
    has_body = call.request.headers.get("content-length", "0") != "0"
    body = Fields(await read_object(call.request) if has_body else {})
    secret = body.text("BootstrapSecret") or new_id()
    async with call.services.writes:
        _require_open(call)
        now = call.services.clock()
        value = made("Token", lambda: bootstrap_token(accessor=new_id(), secret=secret, now=now))
        if directory(call).knows(secret):
            raise ApiError(500, "Invalid Token: SecretID is already in use")
        accessor = value["AccessorID"]
        done = Put(table=ACL_STATE, key=_KEY, value={"AccessorID": accessor})
        await commit_locked(call, Put(table=ACL_TOKENS, key=accessor, value=value), done)
        _forget_reset(call.services.access.reset_file)
    shown = token_shape(stored(call, ACL_TOKENS, accessor), directory(call), secret)
    return {"ID": secret} | shown


def _require_on_host(call: Call) -> None:
    client = call.request.scope.get("client")
    if peer_of_scope(call.request.scope) is not None or client is None:
        return
    if not ipaddress.ip_address(client[0]).is_loopback:
        raise ApiError(403, "Permission denied: bootstrap on the coordinator's host")


def _require_open(call: Call) -> None:
    """Raises ApiError (403) if it was done, and nobody on the host has allowed it again."""
    done = record(call, ACL_STATE, _KEY)
    if done is None or _reset_index(call.services.access.reset_file) == done.modify_index:
        return
    text = f"ACL bootstrap no longer allowed (reset index: {done.modify_index})"
    raise ApiError(403, f"Permission denied: {text}")


def _reset_index(file: Path | None) -> int | None:
    try:
        text = file.read_text(encoding="ascii").strip() if file else ""
        return int(text) if text.isdigit() and len(text) < 20 else None
    except (OSError, UnicodeDecodeError):
        return None


def _forget_reset(file: Path | None) -> None:
    if file is not None:
        file.unlink(missing_ok=True)


_ONCE = Do(answer=_bootstrap, needs=nothing)

ROUTES = (at("/v1/acl/bootstrap", PUT=_ONCE, POST=_ONCE),)
