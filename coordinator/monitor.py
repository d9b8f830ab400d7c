"""What happens, told to whoever listens: commits, offers, answers of nodes, their coming and going,
revocations.

Belongs here: the events, and bringing them to listeners. Never here: making any of it happen, or HTTP.

Nobody is waited for: a listener that is too slow misses the oldest events, and is told how many. Events
name things and never hold what an entry or a key says.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from cluster.messages import NodeStatus
from coordinator.rollout import (
    Acked,
    Action,
    Converged,
    Event,
    Log,
    NodeHello,
    Published,
    SendOffer,
    StatusReceived,
)
from coordinator.store.settle import Effect
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES, VERSIONS

WAITING = 1_000
_NAMED = (ENTRIES, NODES, SERVICES, CHECKS)
_NAMES = 20

Told = dict[str, Any]


class Listener:
    """The events since somebody began to listen, as far as there is room."""

    def __init__(self, room: int) -> None:
        self._waiting: deque[Told] = deque()
        self._room = room
        self._missed = 0
        self._filled = trio.Event()

    def put(self, told: Told) -> None:
        if len(self._waiting) >= self._room:
            self._waiting.popleft()
            self._missed += 1
        self._waiting.append(told)
        self._filled.set()

    async def take(self) -> Told:
        """The oldest, when there is one; before it how many were missed, if any were."""
        while not self._waiting:
            self._filled = trio.Event()
            await self._filled.wait()
        if self._missed:
            missed, self._missed = self._missed, 0
            return {"event": "missed", "count": missed, "at": self._waiting[0]["at"]}
        return self._waiting.popleft()


class Monitor:
    """`clock` tells seconds since 1970."""

    def __init__(self, clock: Callable[[], float], *, room: int = WAITING) -> None:
        self._clock = clock
        self._room = room
        self._listeners: set[Listener] = set()
        self._revocations: dict[tuple[str, int], tuple[int, int]] = {}

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener for as long as the block lasts."""
        listener = Listener(self._room)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def event(self, event: str, **facts: Any) -> Told:
        """An event of this moment, told to nobody yet."""
        known = {name: value for name, value in facts.items() if value is not None}
        return {"at": round(self._clock(), 3), "event": event} | known

    def tell(self, event: str, **facts: Any) -> None:
        """Something has happened, now. Facts that are None are left out."""
        told = self.event(event, **facts)
        for listener in self._listeners:
            listener.put(told)

    def committed(self, effect: Effect) -> None:
        """A commit was made; see `Wanted.follow`."""
        touched = {name: sorted(keys) for name, keys in effect.touched().items()}
        touched.pop(VERSIONS, None)
        version = next(
            (r.value for r in effect.written if r.table == VERSIONS and "at" in r.value), {}
        )
        self.tell(
            "commit",
            revision=effect.revision,
            author=version.get("author"),
            note=version.get("note"),
            tables={name: len(keys) for name, keys in touched.items()},
            names=[f"{name}/{key}" for name in _NAMED for key in touched.get(name, ())][:_NAMES],
        )

    def rolled_out(self, event: Event, actions: tuple[Action, ...]) -> None:
        """The rollout took an event, and wants these things done."""
        match event:
            case Published(id=id_):
                self.tell("published", generation=id_.generation, digest=id_.digest)
            case NodeHello(node=node, have=have):
                self.tell("connected", node=node, generation=have.generation if have else None)
            case Acked(node=node, id=id_):
                self.tell("ack", node=node, generation=id_.generation)
            case StatusReceived(status=status):
                self._revoked(status)
        for action in actions:
            self._act(action)

    def _act(self, action: Action) -> None:
        match action:
            case SendOffer(node=node, id=id_):
                self.tell("offer", node=node, generation=id_.generation)
            case Converged(generation=generation, seconds=seconds):
                self.tell("converged", generation=generation, seconds=round(seconds, 4))
            case Log(event=event, node=node, detail=detail):
                self.tell(_WORDS.get(event, event), node=node, detail=detail or None)

    def _revoked(self, status: NodeStatus) -> None:
        """A worker counts since its start; a new process, by its number, begins anew.

        While nothing is heard of it the node says 0.
        """
        for worker in status.workers:
            place = (status.node, worker.index)
            pid, before = self._revocations.get(place, (worker.pid, 0))
            before = before if pid == worker.pid else 0
            if worker.revocations > before:
                count = worker.revocations - before
                self.tell("revoked", node=status.node, worker=worker.index, connections=count)
            self._revocations[place] = (worker.pid, max(before, worker.revocations))


_WORDS = {"nacked": "nack", "gone": "disconnected"}
