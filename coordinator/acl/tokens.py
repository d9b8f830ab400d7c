"""Tokens: made, changed and shown. Pure: ids, secrets and the time are handed in.

Belongs here: Consul's rules for a token's life. Never here: who may do it, or storing.

A secret is stored as a hash and shown once, by the call that makes it; from then on its place reads
`<hidden>`, which is what Consul shows those who may not see it.
"""

import datetime
import re
from collections.abc import Mapping
from typing import Any

from cluster.durations import parse_duration
from coordinator.store.records import Record

from .bodies import TOKEN, AclError, bearer, read_fields
from .builtin import ANONYMOUS, MANAGEMENT_ID, RESERVED
from .directory import Directory, hash_secret
from .documents import content_hash, with_names

HIDDEN = "<hidden>"
MIN_LIFE_SECONDS = 60.0
MAX_LIFE_SECONDS = 24 * 3600.0
_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_NEVER = "0001-01-01T00:00:00Z"  # how Go writes the absence of a time


def new_token(
    body: Mapping[str, Any], directory: Directory, *, accessor: str, secret: str, now: float
) -> tuple[str, dict[str, Any]]:
    """The secret and the value of a new token; `accessor` and `secret` count where the body has none.

    Raises AclError.
    """
    read = read_fields(body, TOKEN)
    wanted_accessor, wanted_secret = read.get("AccessorID", ""), read.get("SecretID", "")
    _check_id("AccessorID", wanted_accessor)
    _check_id("SecretID", wanted_secret)
    secret = wanted_secret or secret
    value = {
        "AccessorID": (wanted_accessor or accessor).lower(),
        "SecretHash": hash_secret(secret),
        "Description": read.get("Description", ""),
        "Local": read.get("Local", False),
        "Created": now,
        **bearer(read, directory),
    }
    expires = _expiration(read, now)
    return secret, value | ({} if expires is None else {"Expires": expires})


def bootstrap_token(*, accessor: str, secret: str, now: float) -> dict[str, Any]:
    """The first token, which may do everything. Raises AclError for a secret that is no UUID."""
    _check_id("BootstrapSecret", secret)
    return {
        "AccessorID": accessor,
        "SecretHash": hash_secret(secret),
        "Description": "Bootstrap Token (Global Management)",
        "Local": False,
        "Created": now,
        "Policies": [{"ID": MANAGEMENT_ID}],
    }


def changed_token(
    present: Mapping[str, Any], body: Mapping[str, Any], directory: Directory
) -> dict[str, Any]:
    """The value after an update, which replaces description and links. Raises AclError."""
    read = read_fields(body, TOKEN)
    accessor = present["AccessorID"]
    if read.get("AccessorID", accessor).lower() not in ("", accessor):
        raise AclError("Token Accessor ID in URL and payload do not match")
    secret = read.get("SecretID", "")
    if secret not in ("", HIDDEN, "anonymous") and hash_secret(secret) != present.get("SecretHash"):
        raise AclError("Changing a token's SecretID is not permitted")
    if read.get("Local", False) != present.get("Local", False):
        raise AclError(f"Cannot toggle local mode of {accessor}")
    if _changes_expiration(read, present):
        raise AclError(f"Cannot change expiration time of {accessor}")
    kept = {
        name: present[name]
        for name in ("AccessorID", "SecretHash", "Local", "Created", "Expires")
        if name in present
    }
    return kept | {"Description": read.get("Description", "")} | bearer(read, directory)


def cloned_token(
    present: Mapping[str, Any], body: Mapping[str, Any], *, accessor: str, secret: str, now: float
) -> dict[str, Any]:
    """Another token with the same links and the same end, or it would outlive its model. Raises AclError."""
    description = read_fields(body, TOKEN).get("Description") or present.get("Description", "")
    return {
        **present,
        "AccessorID": accessor,
        "SecretHash": hash_secret(secret),
        "Description": description,
        "Created": now,
    }


def token_shape(record: Record, directory: Directory, secret: str = HIDDEN) -> dict[str, Any]:
    """A token as it is shown."""
    value = record.value
    shown = {
        "AccessorID": value["AccessorID"],
        "SecretID": "anonymous" if value["AccessorID"] == ANONYMOUS["AccessorID"] else secret,
        "Description": value.get("Description", ""),
        **with_names(value, directory),
        "Local": value.get("Local", False),
    }
    if "Expires" in value:
        shown["ExpirationTime"] = timestamp(value["Expires"])
    return shown | {
        "CreateTime": timestamp(value["Created"]) if "Created" in value else _NEVER,
        "Hash": content_hash(value),
        "CreateIndex": record.create_index,
        "ModifyIndex": record.modify_index,
    }


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as Go writes them."""
    at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return at.isoformat().replace("+00:00", "Z")


def _check_id(name: str, wanted: str) -> None:
    if not wanted:
        return
    if wanted.startswith(RESERVED):
        text = f"UUIDs with the prefix {RESERVED!r} are reserved"
        raise AclError(f"Invalid Token: {name} - {text}")
    if not _UUID.fullmatch(wanted):
        raise AclError(f"Invalid Token: {name} - not a valid UUID")


def _expiration(read: Mapping[str, Any], now: float) -> float | None:
    life = parse_duration(read["ExpirationTTL"]) / 1e9 if read.get("ExpirationTTL") else 0.0
    at = _time(read)
    if life and at is not None:
        raise AclError("Token Expiration TTL and Expiration Time cannot both be set")
    expires = now + life if life else at
    if expires is None:
        return None
    if not MIN_LIFE_SECONDS <= expires - now <= MAX_LIFE_SECONDS:
        text = f"between 1m0s and 24h0m0s in the future (was {expires - now:.0f}s)"
        raise AclError(f"ExpirationTime must be {text}")
    return expires


def _changes_expiration(read: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    if read.get("ExpirationTTL", "0s") not in ("", "0s"):
        return True
    at = _time(read)
    return at is not None and abs(at - present.get("Expires", 0.0)) > 0.001


def _time(read: Mapping[str, Any]) -> float | None:
    text = read.get("ExpirationTime", "")
    if text in ("", _NEVER):
        return None
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise AclError(f"ExpirationTime: {text[:40]!r} is no time as of RFC 3339") from None
    if at.tzinfo is None:
        raise AclError(f"ExpirationTime: {text[:40]!r} has no time zone")
    return at.timestamp()
