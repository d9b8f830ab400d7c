"""What the endpoints work with, handed in by the application.

Belongs here: the bundle, and the interfaces of those parts that tests replace. Never here: making any of it.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import trio
from starlette.types import Scope

from cluster.certs import TrustBundle
from cluster.process.clock import wall_clock
from coordinator import catalog_index
from coordinator.acl.directory import Directory
from coordinator.acl.speaker import EVERYBODY, Speaker
from coordinator.audit.log import AuditLog
from coordinator.ca.agent_leaves import AgentLeaf
from coordinator.ca.csr import Asked
from coordinator.ca.sign import SignedLeaf
from coordinator.catalog_index import CatalogIndex
from coordinator.entries.cross import Index
from coordinator.fleet import Survey
from coordinator.health.heartbeats import Heartbeats
from coordinator.monitor import Monitor
from coordinator.store.history import Published, StoredSnapshot
from coordinator.store.wanted import Wanted

from .entry_index import following
from .pair_index import PairIndex


class Signer(Protocol):
    """The CA; see `coordinator.ca.authority.Authority`."""

    @property
    def trust_domain(self) -> str: ...

    def roots(self) -> dict[str, Any]: ...

    def trust_bundle(self) -> TrustBundle: ...

    def config_document(self) -> dict[str, Any]: ...

    def read(self, csr_pem: bytes) -> Asked: ...

    async def issue(self, asked: Asked, *, newcomer: bool = True) -> SignedLeaf: ...

    async def configure(self, config: Mapping[str, Any], *, force: bool = False) -> bool: ...

    async def rotate(self, *, force: bool = False) -> None: ...

    async def distrust(self, root_id: str) -> tuple[str, ...]: ...


class Leaves(Protocol):
    """Leaves with their keys; see `coordinator.ca.agent_leaves.AgentLeaves`."""

    async def get(self, uri: str) -> AgentLeaf: ...

    async def after(self, uri: str, index: int, *, timeout_seconds: float) -> AgentLeaf: ...


class FleetView(Protocol):
    """The nodes; see `coordinator.fleet.Fleet`."""

    def status(self) -> dict[str, Any]: ...

    def refusals(self) -> Mapping[int, Mapping[str, tuple[str, ...]]]: ...

    async def query(
        self, what: str, arguments: Mapping[str, str], *, node: str | None = None
    ) -> Sequence[dict[str, Any]]: ...

    async def survey(self, what: str, arguments: Mapping[str, str]) -> Survey: ...

    async def close(self, connections: Sequence[str]) -> None: ...

    async def drain(self, node: str, grace_seconds: float) -> None: ...


class PublishedList(Protocol):
    """The history; see `coordinator.store.history.History`."""

    async def list(self) -> tuple[Published, ...]: ...

    async def get(self, generation: int) -> StoredSnapshot | None: ...


class MetricsView(Protocol):
    """What is counted; see `coordinator.metrics.Metrics`."""

    def page(self) -> bytes: ...

    def document(self) -> dict[str, Any]: ...


class Access(Protocol):
    """Who speaks; see `coordinator.api.access.Access`."""

    enabled: bool
    reset_file: Path | None

    @property
    def default(self) -> str:
        """The default policy, `allow` or `deny`."""
        ...

    def directory(self) -> Directory:
        """Tokens, policies and roles as they are now."""
        ...

    def speaker(self, scope: Scope) -> Speaker:
        """Who makes the request. Raises ApiError (403) for a token that there is not."""
        ...


class OpenAccess:
    """Access control lists are off: whoever got through to us may do everything."""

    enabled = False
    reset_file: Path | None = None
    default = "allow"

    def directory(self) -> Directory:
        raise NotImplementedError("access control lists are off")

    def speaker(self, scope: Scope) -> Speaker:
        return EVERYBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything an endpoint may use. `address` is where nodes find us; `clock` tells seconds since 1970."""

    wanted: Wanted
    authority: Signer
    leaves: Leaves
    fleet: FleetView
    history: PublishedList
    metrics: MetricsView
    datacenter: str
    node_name: str
    default_allow: bool
    version: str
    clock: Callable[[], float]
    address: str = ""
    #: The public half of the bus's key, which nodes are configured with.
    bus_key: str = ""
    #: None: calls are not written down.
    audit: AuditLog | None = None
    access: Access = field(default_factory=OpenAccess)
    #: What happens; silent unless somebody feeds it.
    monitor: Monitor = field(default_factory=lambda: Monitor(wall_clock))
    chance: random.Random = field(default_factory=random.Random)
    #: Held from a look at the wanted state to the commit of what was decided by it.
    writes: trio.Lock = field(default_factory=trio.Lock)
    #: What TTL checks were told, on trio's clock.
    heartbeats: Heartbeats = field(default_factory=Heartbeats)
    #: The configuration entries of the wanted state, by who refers to whom.
    entries: Index = field(init=False)
    #: The catalog of the wanted state, by who asks for what.
    catalog: CatalogIndex = field(init=False)
    #: The intentions of the wanted state, in order.
    pairs: PairIndex = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", following(self.wanted))
        object.__setattr__(self, "catalog", catalog_index.following(self.wanted))
        object.__setattr__(self, "pairs", PairIndex(self.wanted))
