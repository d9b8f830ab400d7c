"""The listening sockets of this node: N of each port, one for each worker's index.

Belongs here: making, adopting and closing them. Never here: who accepts from them (`worker.node.cover`) or
how they get to a worker (`worker.node.handout`).

All N sockets of a port are in one SO_REUSEPORT group with equal options. A slot's socket outlives its worker,
so connections that wait in it are not lost when a worker is replaced.
"""

import os
import socket
from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

from cluster.errors import Problem
from cluster.routes import Listener
from worker.descriptors import Slot
from worker.net.sockets import ListenError, defer_accept

#: Makes one listening socket of a SO_REUSEPORT group. Raises ListenError.
Listen = Callable[[str, int], socket.socket]

_log = structlog.get_logger(__name__)


def slots_of(listeners: Iterable[Listener], node: str, workers: int) -> dict[Slot, Listener]:
    """The slots that the listeners of one node need."""
    return {
        Slot(address=listener.address, port=listener.port, index=index): listener
        for listener in listeners
        if listener.node == node
        for index in range(workers)
    }


def inode_of(held: socket.socket) -> int:
    """What is equal for two descriptors of one socket, in whichever process."""
    return os.fstat(held.fileno()).st_ino


class SocketTable:
    """The sockets by slot."""

    def __init__(self, listen: Listen, *, defer_seconds: int = 0) -> None:
        """A connection that has not said anything for `defer_seconds` is accepted all the same."""
        self._listen = listen
        self._defer_seconds = defer_seconds
        self._sockets: dict[Slot, socket.socket] = {}
        self._wanted: frozenset[Slot] | None = None

    @property
    def slots(self) -> Collection[Slot]:
        return self._sockets.keys()

    def socket_of(self, slot: Slot) -> socket.socket:
        return self._sockets[slot]

    def adopt(self, slot: Slot, held: socket.socket) -> None:
        """Take over a socket that a worker has brought, unless this slot has one or is wanted no more."""
        unwanted = self._wanted is not None and slot not in self._wanted
        if unwanted or slot in self._sockets or not _is_listening(held, slot.port):
            held.close()
        else:
            self._sockets[slot] = held

    def bind(self, wanted: Mapping[Slot, Listener], *, sole: bool) -> tuple[Problem, ...]:
        """Make what is lacking; the problems name address, port and gateway of what cannot be had.

        A listener has all its sockets or none; one that has none keeps nobody from the others. With `sole`,
        a port that somebody else listens on is a problem. Without, it is joined: a worker of ours that has
        not come back yet may hold it.
        """
        lacking: dict[Listener, list[Slot]] = {}
        for slot, listener in wanted.items():
            if slot not in self._sockets:
                lacking.setdefault(listener, []).append(slot)
        ports = {slot.port for slot in self._sockets}
        problems = []
        for listener, slots in lacking.items():
            try:
                self._bind_all(slots, must_be_free=sole and listener.port not in ports)
            except (ListenError, OSError) as error:
                problems.append(_problem(listener, error))
        self._set_deferral(wanted)
        return tuple(problems)

    def _set_deferral(self, wanted: Mapping[Slot, Listener]) -> None:
        """A port may change its protocol and keep its sockets, and some came with a worker."""
        for slot, listener in wanted.items():
            if held := self._sockets.get(slot):
                waits = not listener.server_may_speak_first
                defer_accept(held, self._defer_seconds if waits else 0)

    def _bind_all(self, slots: Iterable[Slot], *, must_be_free: bool) -> None:
        made: dict[Slot, socket.socket] = {}
        try:
            for slot in slots:
                if must_be_free and not made:
                    _require_free(slot.address, slot.port)
                made[slot] = self._listen(slot.address, slot.port)
        except (ListenError, OSError):
            for held in made.values():
                held.close()
            raise
        self._sockets.update(made)

    def keep_only(self, wanted: Collection[Slot]) -> None:
        """Close the node's descriptors of all other slots; workers close theirs when told."""
        self._wanted = frozenset(wanted)
        for slot in self._sockets.keys() - self._wanted:
            self._sockets.pop(slot).close()

    def close(self) -> None:
        self.keep_only(())


def _is_listening(held: socket.socket, port: int) -> bool:
    try:
        listens = held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        right = bool(listens) and held.getsockname()[1] == port
    except (OSError, IndexError):
        right = False
    if not right:
        _log.error("a worker brought a socket that does not listen on its port", port=port)
    return right


def _require_free(address: str, port: int) -> None:
    """Raise ListenError if anybody listens there.

    Another program of the same user that sets SO_REUSEPORT would silently get half of our connections (and
    we half of its); binding without that option tells.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT is nobody
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ListenError(address, port, error) from None


def _problem(listener: Listener, error: Exception) -> Problem:
    message = f"{listener.kind} {listener.gateway!r}: {error}"
    return Problem(path="listeners", message=message)
