"""Resolvers: from a place that an entry names to the target that is dialled, and its stand-ins.

Belongs here: redirects, default subsets, failover, and what is known of a target. Never here: splitting.

Redirects and default subsets are followed until neither says anything more; what else a redirecting entry
holds is ignored. A place of a peer is where it is: the entries about our own service of that name are asked
for timeouts and load balancing only, never for where to go.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from msgspec import structs

from cluster.durations import parse_duration

from .assembly import Assembly
from .entries import GLOBAL, PROXY_DEFAULTS, RESOLVER, SERVICE_DEFAULTS, Body
from .errors import ChainError
from .place import Place, rewritten
from .values import DEFAULT_CONNECT_TIMEOUT_SECONDS, Resolver, Subset, Target, key

_SETTINGS = (
    "ConnectTimeout",
    "DefaultSubset",
    "Failover",
    "LoadBalancer",
    "PrioritizeByLocality",
    "Redirect",
    "RequestTimeout",
    "Subsets",
)
_ZERO = ("", "0s", 0)
_EXCLUDED_BY_EXTERNAL_SNI = {
    "Redirect": "redirects",
    "Subsets": "subsets",
    "Failover": "failover",
}


def resolve(assembly: Assembly, place: Place) -> Resolver:
    """The resolver of a place, added to the chain. Raises ChainError."""
    target, entry = _target(assembly, place)
    node = Resolver(
        name=target.id,
        target=target.id,
        is_default=not any(entry.get(name) not in (None, *_ZERO, {}, []) for name in _SETTINGS),
        connect_timeout_seconds=target.connect_timeout_seconds,
        request_timeout_seconds=_seconds(entry.get("RequestTimeout")),
        load_balancer=entry.get("LoadBalancer") or {},
    )
    known = assembly.nodes.get(key(node))
    if isinstance(known, Resolver):
        return known
    node = _with_failover(assembly, node, target, entry)
    assembly.add(node)
    return node


def _with_failover(assembly: Assembly, node: Resolver, target: Target, entry: Body) -> Resolver:
    sections = entry.get("Failover") or {}
    section = sections.get(target.subset) or sections.get("*")
    if not section:
        return node
    place = Place(
        service=target.service.name,
        subset=target.subset,
        datacenter=target.datacenter,
        peer=target.service.peer,
    )
    named = [rewritten(place, to, assembly.datacenter) for to in _stand_ins(section)]
    found = [_target(assembly, one)[0].id for one in named if one.id != target.id]
    policy = section.get("Policy") if found else None
    return structs.replace(node, failover=tuple(found), failover_policy=dict(policy or {}))


def _stand_ins(section: Body) -> Iterator[Body]:
    """The failover section as places to go, in order."""
    if section.get("Datacenters"):
        yield from ({**section, "Datacenter": name} for name in section["Datacenters"])
    elif section.get("Targets"):
        yield from section["Targets"]
    else:
        yield section


def _target(assembly: Assembly, place: Place) -> tuple[Target, Body]:
    """The target that a place leads to, added to the chain, and the resolver entry of its service."""
    place, entry = _settled(assembly, place)
    subsets = entry.get("Subsets") or {}
    if place.subset and place.subset not in subsets:
        raise ChainError(f"service {place.service} does not have a subset named {place.subset!r}")
    known = assembly.targets.get(place.id)
    if known is None:
        known = _made(assembly, place, entry, subsets.get(place.subset) or {})
        assembly.targets[place.id] = known
    return known, entry


def _settled(assembly: Assembly, place: Place) -> tuple[Place, Body]:
    """Where redirects and default subsets end. Raises ChainError for a circle, or two protocols."""
    passed: dict[str, None] = {}
    while True:
        if not place.peer:
            assembly.speak(place.service)
        entry = assembly.entry(RESOLVER, place.service)
        if place.id in passed:
            way = " -> ".join((*passed, place.id))
            raise ChainError(f"detected circular resolver redirect: [{way}]")
        passed[place.id] = None
        onward = None if place.peer else _onward(assembly, place, entry)
        if onward is None:
            return place, entry
        place = onward


def _onward(assembly: Assembly, place: Place, entry: Body) -> Place | None:
    _judge_external(assembly, place, entry)
    if entry.get("Redirect"):
        redirected = rewritten(place, entry["Redirect"], assembly.datacenter)
        if redirected.id != place.id:
            return redirected
    if not place.subset and entry.get("DefaultSubset"):
        return replace(place, subset=entry["DefaultSubset"])
    return None


def _judge_external(assembly: Assembly, place: Place, entry: Body) -> None:
    """A service with an SNI of its own lies outside the mesh, where nothing can be chosen."""
    if not assembly.entry(SERVICE_DEFAULTS, place.service).get("ExternalSNI"):
        return
    for name, what in _EXCLUDED_BY_EXTERNAL_SNI.items():
        if entry.get(name):
            raise ChainError(
                f"service {place.service} has an external SNI set; "
                f"cannot define {what} for external services"
            )


def _made(assembly: Assembly, place: Place, entry: Body, subset: Body) -> Target:
    defaults = assembly.entry(SERVICE_DEFAULTS, place.service)
    external = "" if place.peer else defaults.get("ExternalSNI", "")
    name = place.sni(assembly.trust_domain)
    return Target(
        id=place.id,
        service=place.service_name,
        subset=place.subset,
        datacenter=place.datacenter,
        instances=Subset(
            filter=subset.get("Filter", ""), only_passing=bool(subset.get("OnlyPassing"))
        ),
        sni=external or name,
        name=name,
        external=bool(external),
        mesh_gateway="" if external else _mesh_gateway(assembly, defaults),
        dialed_directly=not external and _dialed_directly(assembly, defaults),
        connect_timeout_seconds=_connect_timeout(assembly, entry),
    )


def _mesh_gateway(assembly: Assembly, defaults: Body) -> str:
    """The mode of the service, else of all proxies, unless overridden."""
    every = assembly.entry(PROXY_DEFAULTS, GLOBAL)
    said = (body.get("MeshGateway") or {} for body in (defaults, every))
    mode = next((str(one["Mode"]) for one in said if one.get("Mode")), "")
    wanted = assembly.overrides.mesh_gateway
    if wanted and wanted != mode:
        assembly.effective.add("mesh_gateway")
    return wanted or mode


def _dialed_directly(assembly: Assembly, defaults: Body) -> bool:
    every = assembly.entry(PROXY_DEFAULTS, GLOBAL)
    said = (body.get("TransparentProxy") or {} for body in (defaults, every))
    return any(one.get("DialedDirectly", False) for one in said)


def _connect_timeout(assembly: Assembly, entry: Body) -> float:
    seconds = _seconds(entry.get("ConnectTimeout")) or DEFAULT_CONNECT_TIMEOUT_SECONDS
    wanted = assembly.overrides.connect_timeout_seconds
    if wanted > 0 and wanted != seconds:
        assembly.effective.add("connect_timeout_seconds")
        return wanted
    return seconds


@lru_cache(maxsize=256)  # few timeouts are meant, and many chains are compiled at once
def _seconds(duration: str | None) -> float:
    """An entry's duration; stored ones are text, an absent one is 0."""
    return parse_duration(duration) / 1e9 if duration else 0.0
