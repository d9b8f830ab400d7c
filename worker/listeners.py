"""Listening sockets: which of them this worker accepts from.

Belongs here: following the node's slots and the view's gateways. Never here: making sockets, which is the
node's, or accepting (`worker.acceptor`).

A slot is (address, port, index): one socket of a port's SO_REUSEPORT group. A worker has its own slot of each
port, and for a while those of a sibling that is being replaced.
"""

import socket
from collections.abc import Callable, Mapping

import trio

from worker.acceptor import Acceptor
from worker.descriptors import Slot
from worker.view.view import GatewayView, View

#: Starts serving an accepted connection; False says that there are too many, and it is to be shed.
Admit = Callable[[socket.socket, GatewayView], bool]


class Listeners:
    """The sockets of this worker, and an accept loop for each that the view has a gateway for."""

    def __init__(self, nursery: trio.Nursery, admit: Admit, shed: Callable[[], None]) -> None:
        self._nursery = nursery
        self._admit = admit
        self._shed = shed
        self._sockets: dict[Slot, socket.socket] = {}
        self._loops: dict[Slot, tuple[Acceptor, trio.CancelScope]] = {}
        self._view = View()
        self._closed = False

    def held(self) -> Mapping[Slot, socket.socket]:
        """What to hand to a node that starts anew."""
        return dict(self._sockets)

    def assign(self, slots: Mapping[Slot, socket.socket | None]) -> None:
        """Accept from exactly these; a socket comes with each slot that is not held yet."""
        for slot in self._sockets.keys() - slots.keys():
            self._stop(slot)
            self._sockets.pop(slot).close()
        for slot, sock in slots.items():
            if sock is None:
                continue
            if slot in self._sockets:  # the node means the new one
                self._stop(slot)
                self._sockets[slot].close()
            sock.setblocking(False)
            self._sockets[slot] = sock
        self._reconcile()

    def serve(self, view: View) -> None:
        """Follow a new view: listeners may have come, gone or changed their gateway."""
        self._view = view
        self._reconcile()

    def stop_accepting(self) -> None:
        """For draining: take what the kernel has queued for us, then close for good."""
        self._closed = True
        for slot, sock in self._sockets.items():
            if slot in self._loops:
                acceptor, _ = self._loops[slot]
                acceptor.accept_batch()
            self._stop(slot)
            sock.close()
        self._sockets.clear()

    def _reconcile(self) -> None:
        for slot, sock in self._sockets.items():
            wanted = self._gateway(slot) is not None and not self._closed
            if not wanted:
                self._stop(slot)
            elif slot not in self._loops:
                self._start(slot, sock)

    def _start(self, slot: Slot, sock: socket.socket) -> None:
        def admit(client: socket.socket) -> bool:
            gateway = self._gateway(slot)
            return gateway is not None and self._admit(client, gateway)

        acceptor, scope = Acceptor(sock, admit, self._shed), trio.CancelScope()
        self._loops[slot] = acceptor, scope
        self._nursery.start_soon(_run, acceptor, scope)

    def _stop(self, slot: Slot) -> None:
        if loop := self._loops.pop(slot, None):
            _, scope = loop
            scope.cancel()

    def _gateway(self, slot: Slot) -> GatewayView | None:
        return self._view.gateways.get((slot.address, slot.port))


async def _run(acceptor: Acceptor, scope: trio.CancelScope) -> None:
    with scope:
        await acceptor.run()
