"""Listening sockets: which of them this worker accepts from.

Belongs here: following the node's slots and the view's gateways. Never here: making sockets, which is the
node's, or accepting (`worker.acceptor`).

A slot is (address, port, index): one socket of a port's SO_REUSEPORT group. A worker has its own slot of each
port, and for a while those of a sibling that is being replaced.
"""

import socket
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog
import trio

from worker.acceptor import Acceptor
from worker.arrival import Arrival
from worker.descriptors import Slot
from worker.view.view import GatewayView, View

log = structlog.get_logger()


class Door(Protocol):
    """Where the connections of one gateway come in."""

    def admit(self, arrival: Arrival) -> bool:
        """Start serving; False says that there are too many, and it is to be shed."""
        ...

    def shed(self) -> None:
        """Count a connection that was refused."""
        ...


class Listeners:
    """The sockets of this worker, and an accept loop for each that the view has a gateway for."""

    def __init__(
        self,
        nursery: trio.Nursery,
        door: Callable[[GatewayView], Door],
        after_batch: Callable[[], None] = lambda: None,
    ) -> None:
        """`door` is asked once for each gateway of each view; `after_batch` is the acceptors'."""
        self._after_batch = after_batch
        self._nursery = nursery
        self._door = door
        self._doors: dict[tuple[str, int], Door] = {}
        self._sockets: dict[Slot, socket.socket] = {}
        self._loops: dict[Slot, tuple[Acceptor, trio.CancelScope]] = {}
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
        self._reconcile()

    def stop_accepting(self) -> None:
        """For draining: take what the kernel has queued for us, then close for good."""
        self._closed = True
        for slot in tuple(self._sockets):
            if slot in self._loops:
                acceptor, _ = self._loops[slot]
                acceptor.accept_waiting()
            self._give_up(slot)

    def _reconcile(self) -> None:
        for slot, sock in self._sockets.items():
            wanted = _place(slot) in self._doors and not self._closed
            if not wanted:
                self._stop(slot)
            elif slot not in self._loops:
                self._start(slot, sock)

    def _start(self, slot: Slot, sock: socket.socket) -> None:
        place = _place(slot)

        def admit(arrival: Arrival) -> bool:
            door = self._doors.get(place)
            return door is not None and door.admit(arrival)

        def shed() -> None:
            if door := self._doors.get(place):
                door.shed()

        acceptor, scope = (
            Acceptor(sock, admit, shed, after_batch=self._after_batch),
            trio.CancelScope(),
        )
        self._loops[slot] = acceptor, scope
        self._nursery.start_soon(_run, acceptor, scope)

    def _stop(self, slot: Slot) -> None:
        if loop := self._loops.pop(slot, None):
            _, scope = loop
            scope.cancel()


def _place(slot: Slot) -> tuple[str, int]:
    return slot.address, slot.port


async def _run(acceptor: Acceptor, scope: trio.CancelScope) -> None:
    with scope:
        await acceptor.run()
