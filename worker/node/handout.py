"""The node's side of the socket exchange: adopt what workers bring, and hand out what they lack.

Belongs here: the unix socket and one task per worker. Never here: the exchange's words
(`worker.descriptors`) or the decision who accepts from what (`worker.node.cover`).
"""

import errno
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import structlog
import trio

from cluster.errors import WireError
from cluster.messages import WIRE_VERSION
from worker.descriptors import Present, Slot, Slots, receive_present, receive_slots, send_slots

from .changes import Changes
from .cover import assign
from .fleet import Fleet
from .sockets import SocketTable, inode_of

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)
_KIND = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_PRESENT_SECONDS = 5.0
_PAUSE_SECONDS = 0.5
_OVERLOADED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = structlog.get_logger(__name__)


class Handout:
    """Serves the exchange for ever, following the fleet and the table.

    `take_up` is told who comes, by index and pid, before it is judged whether that is the worker of
    its index; `give_up` of one that is sent away, as it speaks another version of the wire.
    """

    def __init__(
        self,
        fleet: Fleet,
        table: SocketTable,
        changes: Changes,
        take_up: Callable[[int, int], None],
        give_up: Callable[[int, int], None],
    ) -> None:
        self._fleet = fleet
        self._table = table
        self._changes = changes
        self._take_up = take_up
        self._give_up = give_up

    async def run(
        self, path: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Listen at `path`, in place of a dead node's socket there. Raises OSError."""
        with suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, _KIND) as listener:
            listener.bind(path)
            listener.listen(128)
            task_status.started()
            async with trio.open_nursery() as nursery:
                async for connection in _connections(listener):
                    nursery.start_soon(self._serve, connection)

    async def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                with trio.fail_after(_PRESENT_SECONDS):
                    present = await receive_present(connection)
                    slots = await receive_slots(connection) if present else None
                if present is not None and slots is not None:
                    await self._meet(connection, present, slots)
            except (OSError, WireError, trio.TooSlowError) as error:
                _log.warning("a worker's socket exchange broke off", reason=str(error))

    async def _meet(
        self,
        connection: socket.socket,
        present: Present,
        slots: dict[Slot, socket.socket | None],
    ) -> None:
        pid = _peer_pid(connection)
        known = self._adopt(slots)
        self._take_up(present.index, pid)
        if present.wire != WIRE_VERSION:
            await self._send_away(connection, present, pid)
            return
        if not self._fleet.present(present.index, pid, present.incarnation):
            _log.warning(
                "two processes serve one index; one has to go", index=present.index, pid=pid
            )
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            return
        _log.info("worker connected", index=present.index, pid=pid, sockets=len(known))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, connection, nursery.cancel_scope)
                await self._assign(connection, present.index, known)
                nursery.cancel_scope.cancel()
        finally:
            self._fleet.absent(present.index, present.incarnation)

    async def _send_away(self, connection: socket.socket, present: Present, pid: int) -> None:
        """It would get no snapshots, and go on by an old policy. It drains; its sockets are ours already."""
        _log.warning(
            "a worker of another version has to go",
            index=present.index,
            pid=pid,
            speaks=present.wire,
            spoken_here=WIRE_VERSION,
        )
        self._give_up(present.index, pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        with (
            trio.CancelScope() as scope
        ):  # told once: the second time it would drop its connections
            await _until_gone(connection, scope)

    def _adopt(self, slots: dict[Slot, socket.socket | None]) -> dict[Slot, int]:
        """Take what is lacking; returns which sockets the worker holds."""
        known = {slot: inode_of(held) for slot, held in slots.items() if held is not None}
        for slot, held in slots.items():
            if held is not None:
                self._table.adopt(slot, held)
        return known

    async def _assign(self, connection: socket.socket, index: int, known: dict[Slot, int]) -> None:
        """Tell one worker its slots, whenever they change; `known` is what it holds."""
        while True:
            version = self._changes.version
            told = assign(self._table.slots, self._fleet.standings()).get(index)
            if told is not None:
                sockets = {slot: self._table.socket_of(slot) for slot in told}
                wanted = {slot: inode_of(held) for slot, held in sockets.items()}
                if wanted != known:
                    lacking = {
                        slot: None if known.get(slot) == wanted[slot] else held
                        for slot, held in sockets.items()
                    }
                    if not await _send(connection, lacking):
                        return
                    known = wanted
            await self._changes.after(version)


async def _send(connection: socket.socket, slots: Slots) -> bool:
    """Whether the worker is still there. A want of descriptors in it shows as its hanging up."""
    try:
        await send_slots(connection, slots)
    except OSError as error:
        _log.warning("a worker could not be told its sockets", reason=str(error))
        return False
    return True


async def _until_gone(connection: socket.socket, scope: trio.CancelScope) -> None:
    """Cancel `scope` when the worker hangs up; it has no more to say, so anything else ends it too."""
    await trio.lowlevel.wait_readable(connection)
    scope.cancel()


async def _connections(listener: socket.socket) -> AsyncIterator[socket.socket]:
    """Workers as they come; without descriptors they wait, and the log says so once."""
    overloaded = False
    while True:
        await trio.lowlevel.wait_readable(listener)
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno not in _OVERLOADED:
                raise
            if not overloaded:
                _log.error("cannot accept a worker", reason=error.strerror)
            overloaded = True
            await trio.sleep(_PAUSE_SECONDS)
            continue
        overloaded = False
        connection.setblocking(False)
        yield connection


def _peer_pid(connection: socket.socket) -> int:
    """Who is at the other end: the kernel's word, not the peer's."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid: int = _CREDENTIALS.unpack(data)[0]
    return pid
