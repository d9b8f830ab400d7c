"""Policies and roles: made, and shown; and what tokens and roles show alike. Pure.

Belongs here: Consul's rules for their names, and their JSON. Never here: who may do it, or storing.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from coordinator.store.records import Record

from .bodies import POLICY, ROLE, AclError, bearer, read_fields
from .builtin import POLICIES
from .directory import Directory
from .language import parse_rules

_POLICY_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ROLE_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")


def new_policy(body: Mapping[str, Any], directory: Directory, *, policy_id: str) -> dict[str, Any]:
    """The value of the policy with this id, new or changed. Raises AclError, RulesError."""
    read = read_fields(body, POLICY)
    if policy_id in POLICIES:
        name = POLICIES[policy_id]["Name"]
        raise AclError(f"Changing the builtin {name} policy is not permitted")
    if read.get("ID", policy_id) not in ("", policy_id):
        raise AclError("Policy ID in URL and payload do not match")
    name = _name(read, _POLICY_NAME, "Policy")
    other = directory.policy(name)
    if other is not None and other["ID"] != policy_id:
        raise AclError(f'Invalid Policy: A Policy with Name "{name}" already exists')
    parse_rules(read.get("Rules", ""))
    value = {
        "ID": policy_id,
        "Name": name,
        "Description": read.get("Description", ""),
        "Rules": read.get("Rules", ""),
    }
    datacenters = read.get("Datacenters")
    return value | ({"Datacenters": datacenters} if datacenters else {})


def new_role(body: Mapping[str, Any], directory: Directory, *, role_id: str) -> dict[str, Any]:
    """The value of the role with this id, new or changed. Raises AclError."""
    read = read_fields(body, ROLE)
    if read.get("ID", role_id) not in ("", role_id):
        raise AclError("Role ID in URL and payload do not match")
    name = _name(read, _ROLE_NAME, "Role")
    other = directory.role(name)
    if other is not None and other["ID"] != role_id:
        raise AclError(f'Invalid Role: A Role with Name "{name}" already exists')
    value = {"ID": role_id, "Name": name, "Description": read.get("Description", "")}
    return value | bearer(read, directory)


def policy_shape(record: Record, *, rules: bool = True) -> dict[str, Any]:
    """A policy as it is shown; lists leave the rules out."""
    value = record.value if rules else {k: v for k, v in record.value.items() if k != "Rules"}
    return value | {
        "Hash": content_hash(record.value),
        "CreateIndex": record.create_index,
        "ModifyIndex": record.modify_index,
    }


def role_shape(record: Record, directory: Directory) -> dict[str, Any]:
    """A role as it is shown."""
    return {
        **{name: record.value[name] for name in ("ID", "Name", "Description")},
        **with_names(record.value, directory),
        "Hash": content_hash(record.value),
        "CreateIndex": record.create_index,
        "ModifyIndex": record.modify_index,
    }


def with_names(bearer: Mapping[str, Any], directory: Directory) -> dict[str, Any]:
    """The links of a token or role with the present names; those that lead nowhere any more are left out."""
    found = {
        "Policies": _named(bearer.get("Policies", ()), directory.policy),
        "Roles": _named(bearer.get("Roles", ()), directory.role),
        "ServiceIdentities": bearer.get("ServiceIdentities", []),
        "NodeIdentities": bearer.get("NodeIdentities", []),
    }
    return {name: value for name, value in found.items() if value}


def content_hash(value: Mapping[str, Any]) -> str:
    """What clients compare to see whether something has changed; nothing secret goes into it."""
    shown = {name: value[name] for name in sorted(value) if name != "SecretHash"}
    return base64.b64encode(hashlib.sha256(msgspec.json.encode(shown)).digest()).decode()


def _named(links: Any, find: Any) -> list[dict[str, Any]]:
    found = (find(link["ID"]) for link in links)
    return [{"ID": one["ID"], "Name": one["Name"]} for one in found if one is not None]


def _name(read: Mapping[str, Any], pattern: re.Pattern[str], what: str) -> str:
    name = str(read.get("Name", ""))
    if not name:
        raise AclError(f"Invalid {what}: no Name is set")
    if not pattern.fullmatch(name):
        text = "Only alphanumeric characters, '-' and '_' are allowed"
        raise AclError(f"Invalid {what}: invalid Name. {text}")
    return name
