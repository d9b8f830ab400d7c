"""May this caller make this request? Intentions per request, for services that speak HTTP.

Belongs here: intentions towards one destination compiled for requests, and asking them. Never here: how a
refusal looks on the wire (403 `RBAC: access denied`, gRPC status 7), or whose caller it is (`caller`).

An intention without permissions (L4) says of every request what it says of a connection. The source decides
which intention is asked; none below it is. A policy makes its answers when it is compiled, so that asking
costs a dict hit and the permissions of one rule.
"""

from collections.abc import Iterable

from cluster.intentions import Intention, in_order, next_expiry
from cluster.names import ServiceName
from cluster.sources import BySource

from .decision import UNKNOWN_CALLER, RequestDecision
from .permissions import Permissions
from .request import Request
from .tokens import NO_CLAIMS, NO_ISSUERS, Claims, Issuers, providers_named


class RequestPolicy:
    """The intentions towards one destination, as its HTTP side asks them."""

    __slots__ = ("_by_source", "_default", "destination", "next_expiry", "providers")

    def __init__(
        self,
        destination: ServiceName,
        rules: Iterable[Intention],
        *,
        default_allow: bool,
        issuers: Issuers = NO_ISSUERS,
    ) -> None:
        """`rules` are those in force whose destination covers `destination`, in any order.

        `issuers` are those of all jwt-providers. `providers` names those whose tokens have a say here.
        """
        rules = in_order(rules)
        self.destination = destination
        self.next_expiry = next_expiry(rules)
        self.providers = frozenset(name for rule in rules for name in _providers(rule))
        self._default: RequestDecision | Permissions = RequestDecision(allowed=default_allow)
        self._by_source = BySource(
            (rule.source, _compiled(rule, default_allow, issuers)) for rule in rules
        )

    def decide(self, caller: ServiceName, request: Request, claims: Claims) -> RequestDecision:
        """The answer for a caller who is known by name."""
        found = self._by_source.find(caller, self._default)
        return found if isinstance(found, RequestDecision) else found.decide(request, claims)

    def of_all(self, caller: ServiceName) -> RequestDecision | None:
        """The answer, where it is the same one for every request of this caller."""
        found = self._by_source.find(caller, self._default)
        return found if isinstance(found, RequestDecision) else None


def authorize_request(
    policy: RequestPolicy,
    caller: ServiceName | None,
    request: Request,
    verified_claims: Claims = NO_CLAIMS,
) -> RequestDecision:
    """Decide for one request. Ask for each: rules may have changed since the one before.

    `caller` is from `cluster.http.caller` (None is denied) or, at an ingress, the gateway's own name.
    `verified_claims` are the payloads of verified tokens by provider; only `policy.providers` are looked at.
    """
    if caller is None:
        return UNKNOWN_CALLER
    return policy.decide(caller, request, verified_claims)


def _compiled(
    rule: Intention, default_allow: bool, issuers: Issuers
) -> RequestDecision | Permissions:
    if rule.permissions:
        return Permissions(rule, default_allow=default_allow, issuers=issuers)
    return RequestDecision(allowed=rule.allows, rule=rule)


def _providers(rule: Intention) -> frozenset[str]:
    asked = (rule.jwt, *(permission.get("JWT") for permission in rule.permissions))
    return frozenset(name for jwt in asked for name in providers_named(jwt))
