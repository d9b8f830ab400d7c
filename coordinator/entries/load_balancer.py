"""`LoadBalancer` of a service-resolver: how callers choose among the instances of a service.

Belongs here: its fields and rules (consul-gateways.md 6.6). Never here: the choice (`cluster.pick`).
"""

from collections.abc import Iterator

from .kind import Body, one_of
from .report import Finding
from .scalars import Duration, Flag, Text, Whole
from .schema import Field, ListOf, Object

POLICIES = ("random", "round_robin", "least_request", "ring_hash", "maglev")
HASHING = ("ring_hash", "maglev")
FIELDS = ("header", "cookie", "query_parameter")

LOAD_BALANCER = Object(
    Field(name="Policy", shape=Text()),
    Field(
        name="RingHashConfig",
        shape=Object(
            Field(name="MinimumRingSize", shape=Whole(0)),
            Field(name="MaximumRingSize", shape=Whole(0)),
        ),
    ),
    Field(
        name="LeastRequestConfig",
        shape=Object(Field(name="ChoiceCount", shape=Whole(0, 2**32 - 1))),
    ),
    Field(
        name="HashPolicies",
        shape=ListOf(
            Object(
                Field(name="Field", shape=Text()),
                Field(name="FieldValue", shape=Text()),
                Field(
                    name="CookieConfig",
                    shape=Object(
                        Field(name="Session", shape=Flag()),
                        Field(name="TTL", shape=Duration()),
                        Field(name="Path", shape=Text()),
                    ),
                ),
                Field(name="SourceIP", shape=Flag()),
                Field(name="Terminal", shape=Flag()),
            )
        ),
    ),
)


def load_balancer_rules(balancer: Body) -> Iterator[Finding]:
    """A known policy, and settings of that policy only."""
    path, policy = "LoadBalancer", balancer.get("Policy", "")
    yield from one_of(balancer, "Policy", POLICIES, path)
    for name, wanted in (("RingHashConfig", "ring_hash"), ("LeastRequestConfig", "least_request")):
        if name in balancer and policy != wanted:
            message = f"{name} is incompatible with load balancing policy {policy[:64]!r}"
            yield Finding(f"{path}.{name}", message)
    policies = balancer.get("HashPolicies", [])
    if policies and policy not in HASHING:
        message = f"HashPolicies were given for the non-hash-based policy {policy[:64]!r}"
        yield Finding(f"{path}.HashPolicies", message)
    for index, hashing in enumerate(policies):
        yield from _hash_rules(hashing, f"{path}.HashPolicies[{index}]")


def _hash_rules(hashing: Body, path: str) -> Iterator[Finding]:
    field, value = hashing.get("Field", ""), hashing.get("FieldValue", "")
    yield from one_of(hashing, "Field", FIELDS, path)
    if hashing.get("SourceIP"):
        if field:
            message = f"a single hash policy cannot hash both a source address and a {field[:64]}"
            yield Finding(f"{path}.SourceIP", message)
        if value:
            yield Finding(f"{path}.FieldValue", "FieldValue cannot be given when hashing SourceIP")
    elif field and not value:
        yield Finding(f"{path}.FieldValue", f"Field {field[:64]!r} was given without a FieldValue")
    elif value and not field:
        yield Finding(f"{path}.Field", "FieldValue requires a Field to apply to")
    yield from _cookie_rules(hashing, field, f"{path}.CookieConfig")


def _cookie_rules(hashing: Body, field: str, path: str) -> Iterator[Finding]:
    if "CookieConfig" not in hashing:
        return
    if field != "cookie":
        yield Finding(path, f"cookie_config was provided for {field[:64]!r}, not for a cookie")
    if hashing["CookieConfig"].get("Session") and hashing["CookieConfig"].get("TTL", "0s") != "0s":
        yield Finding(path, "a session cookie cannot have an associated TTL")
