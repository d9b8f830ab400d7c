"""The snapshot: everything a worker needs to know, as a portable value with an id.

Belongs here: what it is made of. Never here: how it travels (`cluster.sections`), whether it is whole
(`cluster.wholeness`), how it is made (`coordinator.compose`) or walked through (`worker.view`).
"""

import msgspec

from cluster.certs import TrustBundle
from cluster.http.providers import JwtProvider
from cluster.http.target import DEFAULT_NORMALISATION, Normalisation
from cluster.ingress.routes import IngressGateway
from cluster.intentions import Intention
from cluster.names import WILDCARD, ServiceName
from cluster.routes import Endpoint, Listener, MeshRoute, TerminatingGateway


class SnapshotId(msgspec.Struct, frozen=True, kw_only=True):
    """Which history, which place in it, which content.

    `epoch` is a random tag of the store; within one epoch a larger `generation` is newer.
    """

    epoch: str
    generation: int
    digest: str

    def __str__(self) -> str:
        return f"{self.generation} ({self.digest[:12]}, epoch {self.epoch})"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """All intentions, what holds where none matches, whose tokens they may want, and how requests are read.

    Few intentions are in evaluation order; of many, those towards one destination are.
    """

    default_allow: bool = False
    intentions: tuple[Intention, ...] = ()
    providers: tuple[JwtProvider, ...] = ()
    normalisation: Normalisation = DEFAULT_NORMALISATION


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are: the datacenter, and the roots of our own trust domain."""

    datacenter: str
    bundle: TrustBundle


class EndpointSet(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of endpoints, which routes refer to."""

    name: str
    endpoints: tuple[Endpoint, ...]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateways of one datacenter serve. Each field is a section."""

    trust: Trust
    listeners: tuple[Listener, ...] = ()
    terminating: tuple[TerminatingGateway, ...] = ()
    mesh: tuple[MeshRoute, ...] = ()
    ingress: tuple[IngressGateway, ...] = ()
    endpoints: tuple[EndpointSet, ...] = ()
    policy: Policy = Policy()


def linked_services(snapshot: Snapshot, gateways: frozenset[str]) -> frozenset[ServiceName]:
    """The services whose leaf a node with these terminating gateways must hold."""
    return frozenset(
        route.service
        for gateway in snapshot.terminating
        if gateway.name in gateways
        for route in gateway.routes
        if route.service.name != WILDCARD
    )
