"""Whoever makes a call: what it may do, and what it is called in errors and in the audit log. Pure.

Belongs here: the value, and the speakers that need no token. Never here: a secret, or how somebody is
recognised.
"""

from dataclasses import dataclass

from .authorizer import Authorizer
from .rights import Right
from .rules import MANAGEMENT

ANONYMOUS_ACCESSOR = "00000000-0000-0000-0000-000000000002"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """`name` is an accessor id, `uid 0`, a role: nothing secret."""

    name: str
    authorizer: Authorizer
    accessor: str = ""

    def refusal(self, right: Right) -> str:
        """Why the right is refused, in Consul's words."""
        if self.accessor == ANONYMOUS_ACCESSOR:
            return (
                f"Permission denied: anonymous token lacks permission {right}. The anonymous token"
                " is used implicitly when a request does not specify a token."
            )
        if self.accessor:
            return f"Permission denied: token with AccessorID '{self.accessor}' lacks permission {right}"
        return f"Permission denied: {self.name} lacks permission {right}"


#: Everybody, while access control lists are off.
EVERYBODY = Speaker(name="anybody", authorizer=Authorizer(MANAGEMENT, default_allow=True))
