"""What a call asks for: a right, in the words of Consul's rules. Pure.

Belongs here: the values, one function for each, and how Consul's errors write them. Never here: who has one.
Source: Consul, "ACL rules"; the texts of its PermissionDeniedError.
"""

from enum import StrEnum

import msgspec


class Access(StrEnum):
    """What a rule grants, and what a right asks for (which is never DENY)."""

    DENY = "deny"
    READ = "read"
    LIST = "list"
    WRITE = "write"


class Scope(StrEnum):
    """Which names a right is about."""

    ONE = "one"
    UNDER = "under"  # every name that begins so
    ANY = "any"  # at least one name, whichever
    ALL = "all"  # every name there may be


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """One right; `name` is empty for resources that have no names. A long list makes one for each row.

    Who has the right that `otherwise` names needs this one not.
    """

    resource: str
    access: Access
    name: str = ""
    scope: Scope = Scope.ONE
    otherwise: "Right | None" = None

    def __str__(self) -> str:
        """As in Consul's refusals: `'service:write' on "web"`."""
        what = f"'{self.resource}:{self.access}'"
        where = {Scope.ANY: " on any", Scope.ALL: " on all"}.get(self.scope, "")
        return f'{what} on "{self.name}"' if self.name else f"{what}{where}"


def service_read(name: str) -> Right:
    return Right(resource="service", access=Access.READ, name=name)


def service_write(name: str) -> Right:
    return Right(resource="service", access=Access.WRITE, name=name)


def service_write_any() -> Right:
    """To be some service, whichever."""
    return Right(resource="service", access=Access.WRITE, scope=Scope.ANY)


def intention_read(destination: str) -> Right:
    """`*` stands for any destination that one may read, as in Consul."""
    if destination == "*":
        return Right(resource="intention", access=Access.READ, scope=Scope.ANY)
    return Right(resource="intention", access=Access.READ, name=destination)


def intention_write(destination: str) -> Right:
    """`*` is an intention for all destinations and needs the right to each."""
    if destination == "*":
        return Right(resource="intention", access=Access.WRITE, scope=Scope.ALL)
    return Right(resource="intention", access=Access.WRITE, name=destination)


def node_read(name: str) -> Right:
    return Right(resource="node", access=Access.READ, name=name)


def node_write(name: str) -> Right:
    return Right(resource="node", access=Access.WRITE, name=name)


def agent_read(node: str) -> Right:
    return Right(resource="agent", access=Access.READ, name=node)


def agent_write(node: str) -> Right:
    return Right(resource="agent", access=Access.WRITE, name=node)


def key_read(key: str) -> Right:
    return Right(resource="key", access=Access.READ, name=key)


def key_list(prefix: str) -> Right:
    return Right(resource="key", access=Access.LIST, name=prefix)


def key_write(key: str) -> Right:
    return Right(resource="key", access=Access.WRITE, name=key)


def key_write_under(prefix: str) -> Right:
    """To write every key that begins so: what a recursive delete takes."""
    return Right(resource="key", access=Access.WRITE, name=prefix, scope=Scope.UNDER)


def session_read(node: str) -> Right:
    return Right(resource="session", access=Access.READ, name=node)


def session_write(node: str) -> Right:
    return Right(resource="session", access=Access.WRITE, name=node)


operator_read = Right(resource="operator", access=Access.READ)
operator_write = Right(resource="operator", access=Access.WRITE)
mesh_read = Right(resource="mesh", access=Access.READ)
mesh_write = Right(resource="mesh", access=Access.WRITE)
peering_read = Right(resource="peering", access=Access.READ)
peering_write = Right(resource="peering", access=Access.WRITE)
acl_read = Right(resource="acl", access=Access.READ)
acl_write = Right(resource="acl", access=Access.WRITE)
#: Who may be some service must verify the tokens that its callers show.
provider_read = Right(resource="mesh", access=Access.READ, otherwise=service_write_any())
