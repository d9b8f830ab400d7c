"""Tokens, policies and roles of one state: found by id, name or secret, and what a bearer may do. Pure.

Belongs here: looking up, and joining what a token is linked to. Never here: changing any of it.

A link to a policy or role that is gone grants nothing. A stored policy that this version cannot read denies
everything: what it meant is not known.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import ACL_POLICIES, ACL_ROLES, ACL_TOKENS

from .authorizer import Authorizer
from .builtin import ANONYMOUS, POLICIES, RULES
from .identities import node_identity, service_identity
from .language import RulesError, parse_rules
from .rights import Access
from .rules import Rule, Rules, everywhere
from .speaker import ANONYMOUS_ACCESSOR, Speaker

TABLES = (ACL_TOKENS, ACL_POLICIES, ACL_ROLES)


def hash_secret(secret: str) -> str:
    """How a secret is stored. It is a random UUID: 122 bits that nobody guesses, so one round is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_expired(token: Mapping[str, Any], now: float) -> bool:
    """Whether the token's time is over at `now` (seconds since 1970)."""
    return token.get("Expires") is not None and now >= token["Expires"]


def expired(state: State, now: float) -> tuple[str, ...]:
    """The accessors of tokens whose time is over."""
    found = state.table(ACL_TOKENS).items()
    return tuple(key for key, record in found if is_expired(record.value, now))


class Directory:
    """A view of one state. Made anew when one of its tables has changed (`indexes`)."""

    def __init__(self, state: State, *, datacenter: str, default_allow: bool) -> None:
        self.indexes = indexes(state)
        self._datacenter = datacenter
        self._default_allow = default_allow
        self._tokens = {key: record.value for key, record in state.table(ACL_TOKENS).items()}
        self._accessors = {
            value["SecretHash"]: key for key, value in self._tokens.items() if "SecretHash" in value
        }
        self._policies = POLICIES | _values(state.table(ACL_POLICIES))
        self._roles = _values(state.table(ACL_ROLES))
        self._authorizers: dict[str, Authorizer] = {}

    def speaker(self, secret: str, now: float) -> Speaker | None:
        """Whoever bears this secret; None for one that there is not, or whose time is over."""
        accessor = self._accessors.get(hash_secret(secret))
        if accessor is None or is_expired(self._tokens[accessor], now):
            return None
        return self._speaker(accessor, f"token {accessor}")

    def knows(self, secret: str) -> bool:
        """Whether some token has this secret, or this accessor id."""
        return hash_secret(secret) in self._accessors or secret.lower() in self._tokens

    def anonymous(self) -> Speaker:
        """Whoever bears no secret."""
        return self._speaker(ANONYMOUS_ACCESSOR, "anonymous")

    def policy(self, id_or_name: str) -> dict[str, Any] | None:
        return _find(self._policies, id_or_name)

    def role(self, id_or_name: str) -> dict[str, Any] | None:
        return _find(self._roles, id_or_name)

    def _speaker(self, accessor: str, name: str) -> Speaker:
        if accessor not in self._authorizers:
            rules = tuple(self._rules_of(self._tokens.get(accessor, ANONYMOUS)))
            self._authorizers[accessor] = Authorizer(rules, default_allow=self._default_allow)
        return Speaker(name=name, accessor=accessor, authorizer=self._authorizers[accessor])

    def _rules_of(self, bearer: Mapping[str, Any]) -> Iterator[Rule]:
        """Of a token or a role."""
        for link in bearer.get("Policies", ()):
            yield from self._policy_rules(link["ID"])
        for link in bearer.get("Roles", ()):
            yield from self._rules_of(self._roles.get(link["ID"], {}))
        for one in bearer.get("ServiceIdentities", ()):
            if self._is_here(one.get("Datacenters")):
                yield from service_identity(one["ServiceName"])
        for one in bearer.get("NodeIdentities", ()):
            if self._is_here([one["Datacenter"]]):
                yield from node_identity(one["NodeName"])

    def _policy_rules(self, policy_id: str) -> Rules:
        if policy_id in RULES:
            return RULES[policy_id]
        policy = self._policies.get(policy_id)
        if policy is None or not self._is_here(policy.get("Datacenters")):
            return ()
        try:
            return parse_rules(policy.get("Rules", ""))
        except RulesError:
            return everywhere(Access.DENY)

    def _is_here(self, datacenters: list[str] | None) -> bool:
        return not datacenters or self._datacenter in datacenters


def indexes(state: State) -> tuple[int, ...]:
    """Of the tables that a directory is made of."""
    return tuple(state.table_index(table) for table in TABLES)


def _values(table: Mapping[str, Record]) -> dict[str, dict[str, Any]]:
    return {key: record.value for key, record in table.items()}


def _find(values: Mapping[str, dict[str, Any]], id_or_name: str) -> dict[str, Any] | None:
    found = values.get(id_or_name)
    return found or next((one for one in values.values() if one["Name"] == id_or_name), None)
