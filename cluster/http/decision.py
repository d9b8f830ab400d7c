"""The answer to a request, and why. Nothing else belongs here; never how it looks on the wire."""

from dataclasses import dataclass

from cluster.authorize import reason_of
from cluster.intentions import Decision, Intention


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDecision:
    """The answer, and what gave it: a rule and one of its permissions (from 0), a rule, or neither, which
    is the default policy. With `lacks_token` the default policy decided, as the permission that was met
    asks for a token that the request did not have. `unknown_caller` is nobody that rules could be about.
    """

    allowed: bool
    rule: Intention | None = None
    permission: int | None = None
    lacks_token: bool = False
    unknown_caller: bool = False

    @property
    def by_default(self) -> bool:
        """Whether the default policy decided."""
        if self.unknown_caller:
            return False
        if self.rule is None or self.lacks_token:
            return True
        return bool(self.rule.permissions) and self.permission is None

    @property
    def reason(self) -> str:
        """The answer in words, for people. Not for the client."""
        verdict = "allowed" if self.allowed else "denied"
        if self.unknown_caller:
            return f"{verdict}: the caller's certificate names no service that is known here"
        rule = self.rule
        if rule is None or not rule.permissions:
            return reason_of(Decision(allowed=self.allowed, rule=rule))
        of = f"the intention {rule.source} => {rule.destination} (precedence {rule.precedence})"
        if self.permission is None:
            return f"{verdict} by the default policy: the request meets no permission of {of}"
        which = f"permission {self.permission + 1} of {of}"
        if self.lacks_token:
            return f"{verdict} by the default policy: no verified token as {which} asks for"
        return f"{verdict} by {which}"


UNKNOWN_CALLER = RequestDecision(allowed=False, unknown_caller=True)
