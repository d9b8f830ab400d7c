"""Where an entry points to: a service, a subset of it, a datacenter or a peer.

Belongs here: rewriting one place by what an entry says, and its id. Never here: what is known of the
service there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.names import DEFAULT, ServiceName, service_sni


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A service of this cluster in a datacenter, or of a peer, which has no datacenters and no subsets."""

    service: str
    datacenter: str
    subset: str = ""
    peer: str = ""

    @property
    def id(self) -> str:
        tenancy = f"{self.service}.{DEFAULT}.{DEFAULT}"
        if self.peer:
            return f"{tenancy}.external.{self.peer}"
        head = f"{self.subset}." if self.subset else ""
        return f"{head}{tenancy}.{self.datacenter}"

    @property
    def service_name(self) -> ServiceName:
        return ServiceName(name=self.service, peer=self.peer)

    def sni(self, trust_domain: str) -> str:
        """The service's own SNI; empty for a peer's, whose trust domain is not known here."""
        if self.peer:
            return ""
        return service_sni(
            self.service, subset=self.subset, datacenter=self.datacenter, trust_domain=trust_domain
        )


def rewritten(place: Place, to: Mapping[str, Any], home: str) -> Place:
    """The place that a redirect or a failover of `place` names; `home` is the datacenter we are in.

    What it leaves out stays, but for the subset of another service, and for the peer.
    """
    service, peer = to.get("Service") or place.service, to.get("Peer", "")
    if peer:
        return Place(service=service, datacenter="", peer=peer)
    kept = place.subset if service == place.service else ""
    return Place(
        service=service,
        subset=to.get("ServiceSubset") or kept,
        datacenter=to.get("Datacenter") or place.datacenter or home,
    )
