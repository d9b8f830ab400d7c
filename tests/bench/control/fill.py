"""A large wanted state, put into a state directory before the coordinator is started.

Belongs here: which services, instances and intentions there are. Never here: measuring.

It is written with the product's own checks and changes, but in a few commits: 50,000 calls of the API
would take longer than all that is measured.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import trio

from coordinator.catalog_changes import registration_changes
from coordinator.entries.entry import check_entry
from coordinator.entries.registrations import check_registration
from coordinator.store.records import Change, Put
from coordinator.store.sqlite import open_store
from coordinator.store.state import LiveState
from coordinator.store.tables import ENTRIES
from tests.bench.processes import BenchError

INSTANCES_OF_A_SERVICE = 5
INTENTIONS_OF_A_SERVICE = 4
SERVICES_OF_A_NODE = 50
_AT_ONCE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much there is."""

    services: int

    @property
    def instances(self) -> int:
        return self.services * INSTANCES_OF_A_SERVICE

    @property
    def intentions(self) -> int:
        return self.services * INTENTIONS_OF_A_SERVICE

    def __str__(self) -> str:
        return f"{self.services:,} services"


def service(number: int) -> str:
    return f"svc-{number:05d}"


def fill(state_dir: Path, scale: Scale) -> None:
    """Raises BenchError if the product refuses a part of it, and StoreError."""
    state_dir.mkdir(parents=True, mode=0o700)
    trio.run(_fill, state_dir, scale)


async def _fill(state_dir: Path, scale: Scale) -> None:
    store = await open_store(state_dir)
    try:
        changes = _changes(scale, LiveState(await store.load()))
        while part := list(islice(changes, _AT_ONCE)):
            await store.commit(part)
    finally:
        await store.aclose()


def _changes(scale: Scale, nothing: LiveState) -> Iterator[Change]:
    for number in range(scale.instances):
        yield from registration_changes(nothing, _checked(check_registration(_instance(number))))
    chance = random.Random(1)
    for number in range(scale.services):
        sources = [service(n) for n in chance.sample(range(scale.services), 4)]
        entry = _checked(check_entry(intentions(service(number), sources)))
        yield Put(table=ENTRIES, key=f"{entry.kind}/{entry.name}", value=entry.body)


def _checked(judged: tuple[Any, ...]) -> Any:
    found, problems = judged[0], judged[1]
    if found is None:
        raise BenchError("; ".join(str(problem) for problem in problems))
    return found


def _instance(number: int) -> dict[str, Any]:
    """The n-th instance: those of one service lie on different nodes."""
    of, copy = divmod(number, INSTANCES_OF_A_SERVICE)
    node = f"host-{copy}-{of // SERVICES_OF_A_NODE:04d}"
    name = service(of)
    return {
        "Node": node,
        "Address": f"10.{copy}.{of // 250 % 250}.{of % 250 + 1}",
        "Service": {
            "ID": name,
            "Service": name,
            "Port": 8080,
            "Connect": {"Native": True},
            "Tags": ["v1"],
        },
        "Checks": [alive(name, "passing")],
    }


def alive(name: str, status: str) -> dict[str, Any]:
    """The check of an instance, with an id of its own: a node has fifty such."""
    return {"CheckID": f"{name}-alive", "Name": "alive", "Status": status, "ServiceID": name}


def intentions(name: str, sources: Sequence[str], *, denied: str = "") -> dict[str, Any]:
    """The entry of one destination."""
    return {
        "Kind": "service-intentions",
        "Name": name,
        "Sources": [
            {"Name": source, "Action": "deny" if source == denied else "allow"}
            for source in sources
        ],
    }
