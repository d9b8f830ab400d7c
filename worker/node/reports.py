"""How the node is, for a coordinator, for Prometheus, and for whoever asks whether it is ready.

Belongs here: reading the other parts and putting it into values. Never here: sending or serving these.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cluster.messages import Family, NodeStatus

from .aggregate import ENGINE_INFO, combine, engine_of
from .applier import Applier
from .cover import Standing
from .fleet import Fleet
from .keys.ring import KeyRing
from .link import CoordinatorLink
from .metrics import Reading, own_families, render


@dataclass(slots=True, kw_only=True, eq=False)
class Reports:
    """Looks at the parts of a node. `confirmed_at` is when a coordinator vouched for what the disk held."""

    node: str
    pid: int
    version: str
    metrics_address: str
    fleet: Fleet
    ring: KeyRing
    applier: Applier
    link: CoordinatorLink
    wall_clock: Callable[[], float]
    confirmed_at: float = 0.0
    write_failures: int = 0

    def status(self) -> NodeStatus:
        current = self.applier.current
        return NodeStatus(
            node=self.node,
            engine=self._engine(),
            have=current.id if current else None,
            workers=self.fleet.statuses(),
            metrics_address=self.metrics_address,
            draining=self.fleet.leaving,
            pid=self.pid,
            problems=(*self.applier.unbound, *((held,) if (held := self.link.pace.held) else ())),
        )

    def metrics(self) -> bytes:
        of_workers = self._of_workers()
        return render(own_families(self._reading(of_workers)), of_workers)

    def unready(self) -> str:
        """Why the node is not ready; empty if it is."""
        if self.fleet.leaving:
            return "draining"
        if self.applier.current is None:
            return "no snapshot is served yet"
        standings = self.fleet.standings()
        for index in range(self.fleet.size):
            if standings.get(index) is not Standing.SERVING:
                return f"worker {index} does not serve"
        if unbound := self.applier.unbound:
            return str(unbound[0])
        if missing := sorted(self.ring.missing):
            return f"no certificate for {', '.join(missing)}"
        return ""

    def _engine(self) -> str:
        found = (link.counted.family(ENGINE_INFO) for link in self.fleet.links)
        return engine_of(family for family in found if family is not None)

    def _of_workers(self) -> tuple[Family, ...]:
        return combine((self.fleet.departed, *(link.counted.families for link in self.fleet.links)))

    def _reading(self, of_workers: tuple[Family, ...]) -> Reading:
        current = self.applier.current
        standings = self.fleet.standings()
        indices = range(self.fleet.size)
        return Reading(
            version=self.version,
            engine=engine_of(of_workers),
            workers_up={index: standings.get(index) is Standing.SERVING for index in indices},
            restarts={index: self.fleet.member(index).restarts for index in indices},
            generation=current.id.generation if current else 0,
            snapshot_age_seconds=self._age_seconds() if current else None,
            nacks=self.applier.refusals + self.link.pace.refusals,
            leaves=self.ring.leaves,
            missing_leaves=len(self.ring.missing),
            unbound_listeners=len(self.applier.unbound),
            write_failures=self.write_failures + self.ring.write_failures,
            coordinator_up=self.link.is_up,
        )

    def _age_seconds(self) -> float:
        """A snapshot from disk is as old as the last word about it."""
        return max(0.0, self.wall_clock() - max(self.link.confirmed_at, self.confirmed_at))
