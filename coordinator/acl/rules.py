"""What a policy says: rules, one for a name, a prefix, or a resource as a whole. Pure.

Belongs here: the values, and the rules that stand for everything. Never here: their text (`language`), or
what follows from several of them (`authorizer`).
"""

from dataclasses import dataclass

from .rights import Access

#: Resources whose rules name what they are about, exactly or by a prefix.
NAMED = ("agent", "event", "key", "node", "query", "service", "session")
#: Resources that are one thing.
SINGLE = ("acl", "keyring", "mesh", "operator", "peering")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`resource` is one of NAMED, SINGLE or `intention`; a SINGLE one has no name and is no prefix."""

    resource: str
    access: Access
    name: str = ""
    is_prefix: bool = False


Rules = tuple[Rule, ...]


def everywhere(access: Access, *, but: tuple[str, ...] = ()) -> Rules:
    """This access to every resource and name, but for some resources."""
    named = (Rule(resource=one, access=access, is_prefix=True) for one in (*NAMED, "intention"))
    single = (Rule(resource=one, access=access) for one in SINGLE)
    return tuple(rule for rule in (*named, *single) if rule.resource not in but)


#: Consul's `global-management`.
MANAGEMENT: Rules = everywhere(Access.WRITE)
#: Consul's `builtin/global-read-only`.
READ_ONLY: Rules = everywhere(Access.READ)
#: Everything but tokens, policies and roles.
OPERATOR: Rules = everywhere(Access.WRITE, but=("acl",))
