"""Listening sockets: which of them this worker accepts from.

Belongs here: following the node's slots and the view's gateways. Never here: making sockets, which is the
node's, or accepting (`worker.acceptor`).

Where the engine can accept by itself, and the gateway has a directory for it, each socket is a gate of the
engine's for as long as it is accepted from.

A slot is (address, port, index): one socket of a port's SO_REUSEPORT group. A worker has its own slot of each
port, and for a while those of a sibling that is being replaced.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog
import trio

from worker.acceptor import Acceptor
from worker.arrival import Arrival
from worker.descriptors import Slot
from worker.relay.porter import Gate, Host, Leading
from worker.view.view import GatewayView, MeshView, View

log = structlog.get_logger()


class Door(Host, Protocol):
    """Where the connections of one gateway come in."""

    def admit(self, arrival: Arrival) -> bool:
        """Start serving; False says that there are too many, and it is to be shed."""
        ...

    def shed(self) -> None:
        """Count a connection that was refused."""
        ...


class OpenGate(Protocol):
    """How a socket is left to the engine; see `worker.relay.porter.Porter.open`."""

    def __call__(
        self, listening: socket.socket, leading: Leading, stranger: Callable[[int], object]
    ) -> Gate | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loop:
    """A socket that is accepted from; `by_engine` says that it was to be a gate."""

    acceptor: Acceptor
    scope: trio.CancelScope
    by_engine: bool


class Listeners:
    """The sockets of this worker, and an accept loop for each that the view has a gateway for."""

    def __init__(
        self,
        nursery: trio.Nursery,
        door: Callable[[GatewayView], Door],
        after_batch: Callable[[], None] = lambda: None,
        open_gate: OpenGate | None = None,
    ) -> None:
        """`door` is asked once for each gateway of each view; `after_batch` is the acceptors'."""
        self._open_gate = open_gate
        self._leading: dict[tuple[str, int], Leading] = {}
        self._after_batch = after_batch
        self._nursery = nursery
        self._door = door
        self._doors: dict[tuple[str, int], Door] = {}
        self._sockets: dict[Slot, socket.socket] = {}
        self._loops: dict[Slot, _Loop] = {}
        self._closed = False

    def held(self) -> Mapping[Slot, socket.socket]:
        """What to hand to a node that starts anew."""
        return dict(self._sockets)

    def assign(self, slots: Mapping[Slot, socket.socket | None]) -> None:
        """Accept from exactly these; a socket comes with each slot that is not held yet.

        A socket for a slot that is held takes its place. What waits in the queue of one that is closed
        here is not lost: the node has a descriptor of it too.
        """
        for slot in self._sockets.keys() - slots.keys():
            self._give_up(slot)
        for slot, sock in slots.items():
            if sock is not None:
                self._take(slot, sock)
            elif slot not in self._sockets:
                log.warning("the node thinks that this socket is here", slot=str(slot))
        self._reconcile()

    def _take(self, slot: Slot, sock: socket.socket) -> None:
        if self._closed:
            sock.close()
            return
        self._give_up(slot)
        sock.setblocking(False)
        self._sockets[slot] = sock

    def _give_up(self, slot: Slot) -> None:
        self._stop(slot)
        if sock := self._sockets.pop(slot, None):
            sock.close()

    def serve(self, view: View) -> None:
        """Follow a new view: listeners may have come, gone or changed their gateway."""
        self._doors = {place: self._door(gateway) for place, gateway in view.gateways.items()}
        self._leading = self._leading_of(view) if self._open_gate else {}
        self._reconcile()

    def _leading_of(self, view: View) -> dict[tuple[str, int], Leading]:
        return {
            place: Leading(
                directory=gateway.directory,
                generation=view.generation,
                host=self._doors[place],
            )
            for place, gateway in view.gateways.items()
            if isinstance(gateway, MeshView) and gateway.directory is not None
        }

    def stop_accepting(self) -> None:
        """For draining: take what the kernel has queued for us, then close for good."""
        self._closed = True
        for slot in tuple(self._sockets):
            if loop := self._loops.get(slot):
                _close_gate(loop)
                loop.acceptor.accept_waiting()
            self._give_up(slot)

    def _reconcile(self) -> None:
        for slot, sock in self._sockets.items():
            place, loop = _place(slot), self._loops.get(slot)
            wanted = place in self._doors and not self._closed
            leading = self._leading.get(place)
            if not wanted or (loop and loop.by_engine != (leading is not None)):
                self._stop(slot)
                loop = None
            if wanted and loop is None:
                self._start(slot, sock, leading)
            elif loop and leading and loop.acceptor.gate:
                loop.acceptor.gate.serve(leading)

    def _start(self, slot: Slot, sock: socket.socket, leading: Leading | None) -> None:
        place = _place(slot)

        def admit(arrival: Arrival) -> bool:
            door = self._doors.get(place)
            return door is not None and door.admit(arrival)

        def shed() -> None:
            if door := self._doors.get(place):
                door.shed()

        acceptor = Acceptor(sock, admit, shed, after_batch=self._after_batch)
        scope = trio.CancelScope()
        if leading is not None and self._open_gate is not None:
            acceptor.gate = self._open_gate(sock, leading, acceptor.admit_stranger)
        self._loops[slot] = _Loop(acceptor=acceptor, scope=scope, by_engine=leading is not None)
        self._nursery.start_soon(_run, acceptor, scope)

    def _stop(self, slot: Slot) -> None:
        if loop := self._loops.pop(slot, None):
            _close_gate(loop)
            loop.scope.cancel()


def _close_gate(loop: _Loop) -> None:
    """Who was accepted there already, and is ours, is admitted now."""
    if loop.acceptor.gate is not None:
        loop.acceptor.gate.close()


def _place(slot: Slot) -> tuple[str, int]:
    return slot.address, slot.port


async def _run(acceptor: Acceptor, scope: trio.CancelScope) -> None:
    with scope:
        await acceptor.run()
