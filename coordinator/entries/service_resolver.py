"""The kind `service-resolver`: subsets of a service, where else its callers go, and how they spread.

Belongs here: its fields and rules but those of `LoadBalancer` (consul-gateways.md 6.6). Never here: what
the discovery chain makes of it, or a rule that needs another entry.
"""

import re
from collections.abc import Iterator

from cluster.filters import FilterError, compile_filter
from cluster.filters.catalog import HEALTH

from .kind import Body, Kind, entry_shape, meta_rules, name_rules
from .load_balancer import LOAD_BALANCER, load_balancer_rules
from .report import Finding
from .scalars import Duration, EnterpriseOnly, Flag, Text
from .schema import Field, ListOf, Object, TableOf

_SUBSET_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_REFUSED = ("Partition", "SamenessGroup")  # told already where they stand, as Enterprise's

SUBSET = Object(Field(name="Filter", shape=Text()), Field(name="OnlyPassing", shape=Flag()))

REDIRECT = Object(
    Field(name="Service", shape=Text()),
    Field(name="ServiceSubset", shape=Text()),
    Field(name="Namespace", shape=EnterpriseOnly()),
    Field(name="Partition", shape=EnterpriseOnly()),
    Field(name="Datacenter", shape=Text()),
    Field(name="Peer", shape=Text()),
    Field(name="SamenessGroup", shape=EnterpriseOnly()),
)

TARGET = Object(
    Field(name="Service", shape=Text()),
    Field(name="ServiceSubset", shape=Text()),
    Field(name="Partition", shape=EnterpriseOnly()),
    Field(name="Namespace", shape=EnterpriseOnly()),
    Field(name="Datacenter", shape=Text()),
    Field(name="Peer", shape=Text()),
)

FAILOVER = Object(
    Field(name="Service", shape=Text()),
    Field(name="ServiceSubset", shape=Text()),
    Field(name="Namespace", shape=EnterpriseOnly()),
    Field(name="Datacenters", shape=ListOf(Text())),
    Field(name="Targets", shape=ListOf(TARGET)),
    Field(
        name="Policy",
        shape=Object(
            Field(name="Mode", shape=EnterpriseOnly()),
            Field(name="Regions", shape=ListOf(Text())),
        ),
    ),
    Field(name="SamenessGroup", shape=EnterpriseOnly()),
)

SHAPE = entry_shape(
    Field(name="DefaultSubset", shape=Text()),
    Field(name="Subsets", shape=TableOf(SUBSET)),
    Field(name="Redirect", shape=REDIRECT),
    Field(name="Failover", shape=TableOf(FAILOVER)),
    Field(name="ConnectTimeout", shape=Duration()),
    Field(name="RequestTimeout", shape=Duration()),
    Field(name="PrioritizeByLocality", shape=EnterpriseOnly()),
    Field(name="LoadBalancer", shape=LOAD_BALANCER, keep=True),
)


def _rules(body: Body) -> Iterator[Finding]:
    yield from name_rules(body)
    for name, subset in body.get("Subsets", {}).items():
        yield from _subset_rules(name, subset.get("Filter", ""))
    yield from _own_subset(body, body.get("DefaultSubset", ""), "DefaultSubset")
    if "Redirect" in body:
        yield from _redirect_rules(body, body["Redirect"])
    for key, failover in body.get("Failover", {}).items():
        yield from _failover_rules(body, key, failover)
    yield from load_balancer_rules(body.get("LoadBalancer", {}))
    yield from meta_rules(body.get("Meta", {}))


def _subset_rules(name: str, expression: str) -> Iterator[Finding]:
    path = f"Subsets.{name}"
    if not name:
        yield Finding("Subsets", "a subset is defined with an empty name")
    elif not _SUBSET_NAME.fullmatch(name):
        message = (
            f"subset {name[:64]!r} is invalid: 1 to 63 lower-case letters, digits and hyphens,"
            " beginning and ending with a letter or a digit"
        )
        yield Finding(path, message)
    try:
        compile_filter(expression, HEALTH) if expression else None
    except FilterError as error:
        message = f"the filter of subset {name[:64]!r} is not a valid expression: {error}"
        yield Finding(f"{path}.Filter", message)


def _own_subset(body: Body, subset: str, path: str) -> Iterator[Finding]:
    """A subset of the service itself is defined in the same entry."""
    if subset and subset not in body.get("Subsets", {}):
        message = f"{subset[:64]!r} is not a valid subset of {body.get('Name', '')[:64]!r}"
        yield Finding(path, message)


def _is_own(body: Body, target: Body) -> bool:
    return target.get("Service", "") in ("", body.get("Name", ""))


def _redirect_rules(body: Body, redirect: Body) -> Iterator[Finding]:
    if not any(redirect.values()):
        yield Finding("Redirect", "Redirect is empty")
    if body.get("Failover"):
        yield Finding("Redirect", "Redirect and Failover are mutually exclusive")
    yield from _exclusive(redirect, "Redirect", "Peer")
    yield from _exclusive(redirect, "Redirect", "SamenessGroup")
    if not redirect.get("Service"):
        for name in ("ServiceSubset", "Namespace", "Partition", "Peer"):
            if redirect.get(name):
                yield Finding(f"Redirect.{name}", f"{name} is defined without Service")
    elif _is_own(body, redirect):
        subset = redirect.get("ServiceSubset", "")
        yield from _own_subset(body, subset, "Redirect.ServiceSubset")


def _exclusive(
    target: Body,
    path: str,
    name: str,
    others: tuple[str, ...] = ("ServiceSubset", "Partition", "Datacenter"),
) -> Iterator[Finding]:
    """`name` stands without these others."""
    for other in others:
        if target.get(name) and target.get(other):
            place = other if name in _REFUSED else name
            yield Finding(f"{path}.{place}", f"{name} cannot be set with {other}")


def _failover_rules(body: Body, key: str, failover: Body) -> Iterator[Finding]:
    path = f"Failover.{key}"
    if key != "*" and key not in body.get("Subsets", {}):
        yield Finding(path, f"bad Failover[{key[:64]!r}]: not a valid subset, nor '*'")
    ways = ("Service", "ServiceSubset", "Namespace", "Datacenters", "Targets", "SamenessGroup")
    if not any(failover.get(name) for name in ways):
        yield Finding(path, f"bad Failover[{key[:64]!r}]: one of {', '.join(ways)} is required")
    yield from _exclusive(failover, path, "Targets", ("Datacenters", "Service", "ServiceSubset"))
    if _is_own(body, failover):
        subset = failover.get("ServiceSubset", "")
        yield from _own_subset(body, subset, f"{path}.ServiceSubset")
    for index, datacenter in enumerate(failover.get("Datacenters", [])):
        if not datacenter:
            yield Finding(f"{path}.Datacenters[{index}]", "found an empty datacenter")
    for index, target in enumerate(failover.get("Targets", [])):
        yield from _target_rules(body, target, f"{path}.Targets[{index}]")


def _target_rules(body: Body, target: Body, path: str) -> Iterator[Finding]:
    yield from _exclusive(target, path, "Peer")
    yield from _exclusive(target, path, "Partition", ("Datacenter",))
    if _is_own(body, target) and not target.get("Peer"):
        subset = target.get("ServiceSubset", "")
        yield from _own_subset(body, subset, f"{path}.ServiceSubset")


SERVICE_RESOLVER = Kind(name="service-resolver", shape=SHAPE, rules=_rules)
