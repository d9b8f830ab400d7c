"""The permissions of one intention, compiled: what they say of a request.

Belongs here: their order, and what a missing token means. Never here: which intention is asked
(`cluster.http.authorize`), or single criteria (`cluster.http.criteria`).

The first permission whose HTTP criteria a request meets settles it: a later one is not asked, also where the
token is missing that the first one wants. The default policy decides then, as it does where no permission is
met. That is what comes out of Consul's composition into a set of rules without order.

The entry's own token is asked for on top by every permission that allows. A permission that denies does not
ask for it: leaving out a token must not lift a denial.

A permission with an expression that is none fails closed: one that allows is met by nothing, one that denies
by everything. Consul would keep the rules from before for as long as that lasts.
"""

from dataclasses import dataclass

from cluster.intentions import Action, Intention

from .criteria import Question, questions
from .decision import RequestDecision
from .pattern import PatternError
from .request import Request
from .tokens import Claims, Issuers, TokenTest, token_test


@dataclass(frozen=True, slots=True)
class _Permission:
    """Its two answers are made beforehand."""

    questions: tuple[Question, ...]
    tokens: tuple[TokenTest, ...]
    with_token: RequestDecision
    without: RequestDecision

    def is_met(self, request: Request) -> bool:
        return all(question(request) for question in self.questions)

    def answer(self, claims: Claims) -> RequestDecision:
        has_token = all(test(claims) for test in self.tokens)
        return self.with_token if has_token else self.without


class Permissions:
    """The permissions of a rule that has some."""

    __slots__ = ("_none_met", "_permissions")

    def __init__(self, rule: Intention, *, default_allow: bool, issuers: Issuers) -> None:
        self._none_met = RequestDecision(allowed=default_allow, rule=rule)
        compiler = _Compiler(rule, default_allow, issuers)
        found = (compiler.permission(number) for number in range(len(rule.permissions)))
        self._permissions = tuple(one for one in found if one is not None)

    def decide(self, request: Request, claims: Claims) -> RequestDecision:
        """The answer for a request."""
        for permission in self._permissions:
            if permission.is_met(request):
                return permission.answer(claims)
        return self._none_met


class _Compiler:
    def __init__(self, rule: Intention, default_allow: bool, issuers: Issuers) -> None:
        self.rule, self.default_allow, self.issuers = rule, default_allow, issuers
        self.entry_token = token_test(rule.jwt, issuers)

    def permission(self, number: int) -> _Permission | None:
        """None if nothing can meet it."""
        fields = self.rule.permissions[number]
        allows = fields.get("Action") == Action.ALLOW
        try:
            criteria = questions(fields.get("HTTP") or {})
        except PatternError:
            return None if allows else self._made(number, (), ())
        own = token_test(fields.get("JWT"), self.issuers)
        asked = (own, self.entry_token if allows else None)
        return self._made(number, criteria, tuple(test for test in asked if test is not None))

    def _made(
        self, number: int, criteria: tuple[Question, ...], tokens: tuple[TokenTest, ...]
    ) -> _Permission:
        rule = self.rule
        allows = rule.permissions[number].get("Action") == Action.ALLOW
        return _Permission(
            questions=criteria,
            tokens=tokens,
            with_token=RequestDecision(allowed=allows, rule=rule, permission=number),
            without=RequestDecision(
                allowed=self.default_allow, rule=rule, permission=number, lacks_token=True
            ),
        )
