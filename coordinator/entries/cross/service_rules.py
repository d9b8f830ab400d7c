"""What must hold of one service: its chain compiles, and fits what was said of the service elsewhere.

Belongs here: rules that need a chain. Never here: rules that need none (`entry_rules`).
"""

from collections.abc import Iterator, Set

from cluster.chain import Chain, ChainError, Request, Resolver, compile_chain
from cluster.chain.entries import GRAPH_KINDS, RESOLVER, SERVICE_DEFAULTS, Body
from cluster.chain.protocol import HTTP_LIKE, TCP, service_protocol
from cluster.errors import Problem

from .index import EXPORTS, INGRESS, INTENTIONS, Index, ingress_services

# Where a chain is compiled makes no difference to whether it compiles.
_SOMEWHERE = "dc1"
_DOMAIN = "consul"


def service_problems(
    index: Index, service: str, written: Set[str] = frozenset()
) -> tuple[Problem, ...]:
    """Everything that is wrong about a service. `written` are the ingress gateways being written, which
    must fit exactly; others put up with a tcp listener for a service that has come to speak HTTP.
    """
    chain, touched, problem = _compiled(index, service)
    protocol = chain.protocol if chain else service_protocol(index.get, service)
    return (
        *((problem,) if problem else ()),
        *(_ingress(index, service, chain, written) if chain else ()),
        *_permissions(index, service, protocol),
        *(_exports(index, service, touched) if index.exports(service) else ()),
    )


def compiled(index: Index, service: str) -> Chain | None:
    """The chain of a service, or None if it does not compile."""
    return _compiled(index, service)[0]


def _compiled(index: Index, service: str) -> tuple[Chain | None, set[str], Problem | None]:
    """The chain, the services whose resolvers had a say, and why there is no chain."""
    touched: set[str] = set()

    def entry(kind: str, name: str) -> Body | None:
        if kind == RESOLVER:
            touched.add(name)
        return index.get(kind, name)

    request = Request(service=service, datacenter=_SOMEWHERE, trust_domain=_DOMAIN, entries=entry)
    try:
        return compile_chain(request), touched, None
    except ChainError as error:
        return None, touched, Problem(path=_head(index, service), message=str(error))


def _head(index: Index, service: str) -> str:
    """The entry that a problem of the service's chain is told of."""
    kinds = (kind for kind in (*GRAPH_KINDS, SERVICE_DEFAULTS) if index.get(kind, service))
    return f"{next(kinds, GRAPH_KINDS[0])}/{service}"


def _ingress(index: Index, service: str, chain: Chain, written: Set[str]) -> Iterator[Problem]:
    for kind, gateway in index.referrers(service):
        body = index.get(kind, gateway)
        if kind != INGRESS or body is None:
            continue
        for path, listener, name in ingress_services(body):
            protocol = listener.get("Protocol") or TCP
            if name != service or protocol == chain.protocol:
                continue
            if gateway in written or protocol != TCP or not isinstance(chain.start, Resolver):
                message = (
                    f"service {service} has protocol {chain.protocol}, which does not match "
                    f"the protocol {protocol} of the listener on port {listener.get('Port', 0)}"
                )
                yield Problem(path=f"{INGRESS}/{gateway}: {path}", message=message)


def _permissions(index: Index, service: str, protocol: str) -> Iterator[Problem]:
    if protocol in HTTP_LIKE:
        return
    body = index.get(INTENTIONS, service) or {}
    for number, source in enumerate(body.get("Sources") or ()):
        if source.get("Permissions"):
            message = (
                f"service {service} has protocol {protocol}, "
                "which is incompatible with L7 permissions"
            )
            path = f"{INTENTIONS}/{service}: Sources[{number}].Permissions"
            yield Problem(path=path, message=message)


def _exports(index: Index, service: str, touched: set[str]) -> Iterator[Problem]:
    """What is exported to a peer is served here: not from another datacenter, and not from a peer."""
    path = f"{EXPORTS}/{next(iter(index.of_kind(EXPORTS)))}"
    for name in sorted(touched):
        for what in _elsewhere(index.get(RESOLVER, name) or {}):
            message = f"peer exported service {service} contains {what}"
            yield Problem(path=path, message=message)


def _elsewhere(body: Body) -> Iterator[str]:
    redirect = body.get("Redirect") or {}
    if redirect.get("Datacenter"):
        yield "cross-datacenter resolver redirect"
    if redirect.get("Peer"):
        yield "cross-peer resolver redirect"
    for section in (body.get("Failover") or {}).values():
        targets = section.get("Targets") or ()
        if section.get("Datacenters") or any(target.get("Datacenter") for target in targets):
            yield "cross-datacenter failover"


def new_identity(service: str, before: Chain | None, after: Chain | None) -> Problem | None:
    """A tcp service that is exported to a peer goes on to answer with the identity that callers know."""
    if before is None or after is None or after.protocol in HTTP_LIKE:
        return None
    was, now = _identity(before), _identity(after)
    if was == now:
        return None
    message = (
        f"peer exported service {service} uses protocol={after.protocol} and cannot introduce new "
        f"discovery chain targets like {now}"
    )
    return Problem(path=f"{RESOLVER}/{service}", message=message)


def _identity(chain: Chain) -> str:
    """Whom callers meet first: a service in a datacenter, whatever the subset."""
    target = chain.targets[chain.start.target] if isinstance(chain.start, Resolver) else None
    return f"{target.service}.{target.datacenter}" if target else str(chain.service)
