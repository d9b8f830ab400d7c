"""What the coordinator's API is served with in tests: a real store in memory, a real CA, a scripted fleet."""

import random
from dataclasses import dataclass, field
from typing import Any

from coordinator.api.access import Access
from coordinator.api.services import Services
from coordinator.ca.agent_leaves import AgentLeaves
from coordinator.ca.authority import Authority
from coordinator.distributor import NotConnected
from coordinator.fleet import Survey
from coordinator.metrics import Metrics
from coordinator.store.history import Published
from coordinator.store.memory import MemoryStore
from coordinator.store.wanted import Wanted

NOW = 1_800_000_000.0
WORKER = {"index": 0, "pid": 12, "generation": 7, "connections": 1, "restarts": 0}
NODE = {
    "name": "n1",
    "state": "current",
    "generation": 7,
    "engine": "pure",
    "refused_content": False,
    "workers": [WORKER],
}


@dataclass
class ScriptedFleet:
    """A fleet that says what it is told to say."""

    live: list[dict[str, Any]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    drained: list[tuple[str, float]] = field(default_factory=list)
    ended: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[int, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    unanswered: list[str] = field(default_factory=list)

    def status(self):
        convergence = {"p50": 0.012, "p99": 0.05, "last": 0.011}
        return {
            "generation": 7,
            "digest": "d1",
            "nodes": self.nodes,
            "convergence_seconds": convergence,
        }

    def refusals(self):
        return self.refused

    async def query(self, what, arguments, *, node=None):
        if what == "connection":
            return [
                one for one in self.ended if one["id"] == arguments["id"] and one["node"] == node
            ]
        return {"connections": self.live, "closed": self.ended}[what]

    async def survey(self, what, arguments):
        items = tuple(
            one for one in await self.query(what, arguments) if arguments.items() <= one.items()
        )
        return Survey(items=items, missing=tuple(self.unanswered))

    async def close(self, connections):
        self.closed += connections

    async def drain(self, node, grace_seconds):
        if node != "n1":
            raise NotConnected(f"node {node!r} is not connected")
        self.drained.append((node, grace_seconds))


class ScriptedHistory:
    """One snapshot was published."""

    def __init__(self):
        self.published = [
            Published(epoch="e", generation=7, digest="d1", at=NOW, size_bytes=10, revision=7)
        ]

    async def list(self):
        return tuple(self.published)

    async def get(self, generation):
        return None


def make_access(wanted, *, default_allow=False, clock=lambda: NOW, **options):
    """Access control lists that are on, with nobody in them."""
    return Access(
        wanted,
        enabled=True,
        default_allow=default_allow,
        datacenter="dc1",
        clock=clock,
        **options,
    )


async def make_services(*, default_allow=False, clock=lambda: NOW):
    """Everything an endpoint needs, with nothing registered and nothing written."""
    wanted = await Wanted.open(MemoryStore(), clock)
    authority = await Authority.open(
        wanted, datacenter="dc1", config={}, now=clock, chance=random.Random(1)
    )
    return Services(
        wanted=wanted,
        authority=authority,
        leaves=AgentLeaves(wanted, authority, now=clock, chance=random.Random(3)),
        fleet=ScriptedFleet(),
        history=ScriptedHistory(),
        metrics=Metrics(version="0.1.0"),
        datacenter="dc1",
        node_name="c1",
        default_allow=default_allow,
        version="0.1.0",
        clock=clock,
        address="10.0.0.5:7400",
        chance=random.Random(2),
    )
