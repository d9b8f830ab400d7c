"""May this caller reach this destination? The data path's answer, and the proof of it.

Belongs here: intentions towards one destination compiled for lookup, and the Permit that only `authorize`
makes. Never here: TLS, or how a refusal looks on the wire.

`DestinationPolicy.decide` gives what `cluster.intentions.evaluate` gives, in a few dict hits; a test holds
the two together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cluster.identity import Identity, IdentityError, ServiceId, parse
from cluster.intentions import (
    Decision,
    Intention,
    in_force,
    in_order,
    matching_destination,
    next_expiry,
)
from cluster.names import DEFAULT, ServiceName
from cluster.sources import BySource


@dataclass(frozen=True, slots=True)
class Peer:
    """A cluster with a trust domain of its own whose services may call ours."""

    name: str
    exported_partition: str = DEFAULT


NO_PEERS: Mapping[str, Peer] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Permit:
    """Proof that `source` may reach `destination`; the way out of the mesh asks for it."""

    source: ServiceName
    destination: ServiceName
    decision: Decision


@dataclass(frozen=True, slots=True)
class Denied:
    """No permit, and why: a rule, the default policy, or an identity that is nobody here."""

    source: ServiceName | None
    destination: ServiceName
    decision: Decision | None
    reason: str


class DestinationPolicy:
    """The intentions towards one destination, as a few dictionaries."""

    __slots__ = ("_by_source", "_default", "_rules", "destination", "next_expiry")

    def __init__(
        self, destination: ServiceName, rules: Iterable[Intention], *, default_allow: bool
    ) -> None:
        """`rules` are those whose destination covers `destination`, in any order."""
        self.destination = destination
        self._rules = in_order(rules)
        self.next_expiry = next_expiry(self._rules)
        self._default = Decision(allowed=default_allow)
        self._by_source = BySource(
            (rule.source, Decision(allowed=rule.allows, rule=rule)) for rule in self._rules
        )

    def at(self, now: float) -> "DestinationPolicy":
        """The same without what has expired by `now`, in seconds since 1970."""
        if self.next_expiry > now:
            return self
        rules, default_allow = in_force(self._rules, now), self._default.allowed
        return DestinationPolicy(self.destination, rules, default_allow=default_allow)

    def decide(self, source: ServiceName) -> Decision:
        """The first rule in evaluation order that covers `source`, else the default policy."""
        return self._by_source.find(source, self._default)


def policy_for(
    destination: ServiceName, intentions: Iterable[Intention], *, default_allow: bool
) -> DestinationPolicy:
    """Compile the intentions of a whole mesh for one destination."""
    rules = matching_destination(intentions, destination)
    return DestinationPolicy(destination, rules, default_allow=default_allow)


def caller_of(
    identity: Identity, trust_domain: str, peers: Mapping[str, Peer] = NO_PEERS
) -> ServiceName | None:
    """The service that an identity names, if it is of our own trust domain or of a peer's.

    `peers` are by lower-case trust domain. A peer speaks only for the partition it exports from, and its
    services are named without it, as intentions do. The datacenter is not looked at: all of one trust
    domain are equal before intentions.
    """
    if not isinstance(identity, ServiceId):
        return None
    domain = identity.trust_domain.lower()
    if domain == trust_domain:
        return ServiceName(
            name=identity.service, namespace=identity.namespace, partition=identity.partition
        )
    peer = peers.get(domain)
    if peer is None or identity.partition != peer.exported_partition:
        return None
    return ServiceName(name=identity.service, namespace=identity.namespace, peer=peer.name)


def authorize(
    policy: DestinationPolicy,
    caller_uri: str,
    trust_domain: str,
    peers: Mapping[str, Peer] = NO_PEERS,
) -> Permit | Denied:
    """Decide for the SPIFFE URI of a verified client certificate.

    Whoever verified it must have used the roots of the trust domain that the URI names, no others.
    """
    try:
        source = caller_of(parse(caller_uri), trust_domain, peers)
    except IdentityError as error:
        return Denied(None, policy.destination, None, str(error))
    if source is None:
        reason = f"{caller_uri} is no service of trust domain {trust_domain}"
        return Denied(None, policy.destination, None, reason)
    decision = policy.decide(source)
    if decision.allowed:
        return Permit(source, policy.destination, decision)
    return Denied(source, policy.destination, decision, reason_of(decision))


def reason_of(decision: Decision) -> str:
    """The decision in words, for people."""
    verdict = "allowed" if decision.allowed else "denied"
    if decision.rule is None:
        return f"{verdict} by the default policy: no intention matches"
    rule = decision.rule
    pair = f"{rule.source} => {rule.destination}"
    if rule.permissions:
        return f"{verdict}: the intention {pair} has permissions per request, which need HTTP"
    return f"{verdict} by the intention {pair} (precedence {rule.precedence})"
