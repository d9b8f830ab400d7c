"""HTTP's decisions: what a request is, and whether a caller may make it.

Belongs here: everything about HTTP that is decided without a socket, compiled from a snapshot once and asked
for each request. Never here: the wire, connections, logging.

    target = read_target(text, method, rules)               # BadRequest is 400; target.redirect is 307
    request = Request(method=…, path=target.path, query=target.query, host=…, headers=…)
    tokens = verifier.verify(policy.providers, request, now)
    caller = request_caller(identity, xfcc, trust_domain, peers)
    decision = authorize_request(policy, caller, request, tokens.claims)
    onward = tokens.headers(request.headers)

`RulesByDestination.request_policy(service)` makes the policy, `TokenVerifier(snapshot.policy.providers)` the
verifier, both once for a snapshot.
"""

from .authorize import RequestPolicy, authorize_request
from .caller import FORWARDED_CERT, request_caller
from .decision import RequestDecision
from .request import Headers, Request, wire_text
from .target import (
    DEFAULT_NORMALISATION,
    BadRequest,
    EscapedSlashes,
    Normalisation,
    Target,
    Underscores,
    allowed_headers,
    normalisation_of,
    read_target,
)
from .verify import TokenVerifier, Verified

__all__ = [
    "DEFAULT_NORMALISATION",
    "FORWARDED_CERT",
    "BadRequest",
    "EscapedSlashes",
    "Headers",
    "Normalisation",
    "Request",
    "RequestDecision",
    "RequestPolicy",
    "Target",
    "TokenVerifier",
    "Underscores",
    "Verified",
    "allowed_headers",
    "authorize_request",
    "normalisation_of",
    "read_target",
    "request_caller",
    "wire_text",
]
