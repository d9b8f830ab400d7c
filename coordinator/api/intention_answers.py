"""What the intentions say: match, check, and the question that a program with TLS of its own asks.

Belongs here: Consul's three endpoints for it. Never here: the rules, which are the data path's.
Without a request to look at, permissions count as deny everywhere here.
"""

from typing import Any

from cluster.authorize import reason_of
from cluster.identity import Identity, IdentityError, ServiceId, parse
from cluster.intentions import Decision, evaluate, in_force
from cluster.names import DEFAULT, ServiceName
from coordinator.acl.rights import Right, intention_read, service_read, service_write
from coordinator.compose.policy import KIND
from coordinator.store.tables import ENTRIES

from .answers import ApiError
from .body import Fields, read_object
from .endpoint import Call, Do, Read, at
from .names import service_name, service_parameter
from .needs import in_answer
from .pairs import pairs_from, pairs_towards, rules_towards

_MATCHERS = {"source": pairs_from, "destination": pairs_towards}


def decide(call: Call, source: ServiceName, destination: ServiceName) -> Decision:
    """The data path's answer for a connection between the two."""
    towards = rules_towards(call.services.wanted.state, destination.name)
    rules = in_force(towards, call.services.clock())
    return evaluate(rules, source, destination, default_allow=call.services.default_allow)


def _match(call: Call) -> dict[str, list[dict[str, Any]]]:
    by = call.required("by")
    if by not in _MATCHERS:
        raise ApiError(400, "'by' parameter must be one of 'source' or 'destination'")
    call.required("name")
    names = call.request.query_params.getlist("name")
    return {name: _matching(call, by, service_name(name, "name")) for name in names}


def _matching(call: Call, by: str, name: ServiceName) -> list[dict[str, Any]]:
    """What has expired is not there, although nobody has taken it out of its entry yet."""
    found, now = _MATCHERS[by](call.state, name), call.services.clock()
    return [pair.shown for pair in found if not pair.rule.has_expired(now)]


def _check(call: Call) -> dict[str, bool]:
    source = service_parameter(call, "source")
    destination = service_parameter(call, "destination")
    if call.query("source-type", "consul") != "consul":
        raise ApiError(400, f"unsupported source-type {call.query('source-type')[:40]!r}")
    return {"Allowed": decide(call, source, destination).allowed}


async def _authorize(call: Call) -> dict[str, Any]:
    """Consul's answer, quirk included: the trust domain of the URI is not looked at."""
    body = Fields(await read_object(call.request))
    if not body.text("Target"):
        raise ApiError(400, "Target service must be specified")
    target = service_name(body.text("Target"), "Target")
    call.require(service_write(target.name))
    identity = _caller(body.text("ClientCertURI"))
    source = ServiceName(name=identity.service, namespace=identity.namespace)
    decision = decide(call, source, target)
    return {"Authorized": decision.allowed, "Reason": reason_of(decision)}


def _caller(uri: str) -> ServiceId:
    try:
        identity: Identity = parse(uri)
    except IdentityError as error:
        raise ApiError(400, f"ClientCertURI not a valid Connect identifier: {error}") from None
    if not isinstance(identity, ServiceId):
        raise ApiError(400, f"ClientCertURI not a valid Service identifier: {uri[:200]!r}")
    if identity.partition != DEFAULT:
        raise ApiError(400, f"ClientCertURI is of partition {identity.partition!r}, not of ours")
    return identity


def _matched(call: Call) -> tuple[Right, ...]:
    return tuple(intention_read(name) for name in call.request.query_params.getlist("name"))


def _checked(call: Call) -> Right:
    return service_read(service_parameter(call, "destination").name)


_AUTHORIZE = Do(answer=_authorize, needs=in_answer, audited=False)

ROUTES = (
    at(
        "/v1/connect/intentions/match",
        GET=Read(answer=_match, needs=_matched, tables=(ENTRIES,), prefix=lambda _: KIND),
    ),
    at("/v1/connect/intentions/check", GET=Read(answer=_check, needs=_checked)),
    # py-consul asks with PUT, which Consul's documentation said once
    at("/v1/agent/connect/authorize", POST=_AUTHORIZE, PUT=_AUTHORIZE),
)
