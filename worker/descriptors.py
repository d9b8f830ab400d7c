"""Listening sockets between a node and its workers: who accepts from what, by SCM_RIGHTS.

Belongs here: the words of this exchange, sending and receiving them, and the worker's side of it. Never
here: which worker should accept from what (`worker.node.cover`) or binding (`worker.node.sockets`).

The node listens on a unix SOCK_SEQPACKET socket, so one packet is one message. A worker connects, says who
it is (`Present`) and sends every listening socket that it holds; so a node that was killed gets its sockets
back from the workers that outlived it. From then on the node says, whenever it changes, the whole set of
slots that this worker shall accept from, with descriptors for those that the worker lacks. A set travels in
parts, as one message carries at most 253 descriptors (SCM_MAX_FD, unix(7)).

Sockets here are non-blocking ones of the standard library, not trio's: what is sent is put together anew at
each attempt.
"""

import array
import socket
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import msgspec
import structlog
import trio

from cluster.codec import decode, encode
from cluster.errors import WireError
from cluster.messages import WIRE_VERSION

VERSION = 1
SLOTS_PER_PART = 128
_MAX_BYTES = 64 * 1024
_KIND = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_MAX_DESCRIPTORS = 253
_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Slot(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One listening socket of a SO_REUSEPORT group: its place, and the index of the worker it is for."""

    address: str
    port: int
    index: int


class Present(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Worker to node, first after each connect: which worker this is. Its slots follow.

    `wire` is its `WIRE_VERSION`, of which workers of version 1 said nothing.
    """

    index: int
    pid: int
    incarnation: str
    wire: int = 1


class Part(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A part of a set of slots. A descriptor comes with each of `carried`, none with `known`."""

    carried: tuple[Slot, ...] = ()
    known: tuple[Slot, ...] = ()
    last: bool = True


#: A set of slots; None instead of a socket means the one that the receiver holds already.
Slots = Mapping[Slot, socket.socket | None]


async def follow(
    path: str,
    *,
    index: int,
    pid: int,
    incarnation: str,
    held: Callable[[], Mapping[Slot, socket.socket]],
    apply: Callable[[Slots], None],
    connected: Callable[[], None] = lambda: None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """A worker's side, for ever: present what is held, then apply each set that the node assigns.

    `apply` gets the whole set each time. A slot with a socket is to be taken over, also in place of one
    that is held for the same slot; a slot with None stays as it is; a slot that is held and not in the set
    is to be given up. When the node goes, the worker keeps what it has and presents itself to the next node.
    `connected` is called after each presentation: the node may be a new one, which wants a Hello. Started
    once presented for the first time.
    """
    present = Present(index=index, pid=pid, incarnation=incarnation, wire=WIRE_VERSION)
    wait_seconds = _FIRST_WAIT_SECONDS
    started = False
    while True:
        try:
            with socket.socket(socket.AF_UNIX, _KIND) as connection:
                connection.connect(path)  # at once or not at all (unix(7))
                await send_message(connection, present)
                await send_slots(connection, held())
                connected()
                if not started:
                    task_status.started()
                    started = True
                while (slots := await receive_slots(connection)) is not None:
                    wait_seconds = _FIRST_WAIT_SECONDS
                    apply(slots)
        except (OSError, WireError) as error:
            _log.debug("the node's socket exchange broke off", path=path, reason=str(error))
        await trio.sleep(wait_seconds)
        wait_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)


async def receive_present(connection: socket.socket) -> Present | None:
    """What a worker says first; None if it hung up. Raises WireError."""
    received = await _receive(connection)
    if received is None:
        return None
    message, sockets = received
    if isinstance(message, Present) and not sockets:
        return message
    close_all(sockets)
    raise WireError("expected Present")


async def send_slots(connection: socket.socket, slots: Slots) -> None:
    """Send a whole set, in parts. Raises OSError."""
    pending = iter(sorted(slots.items(), key=lambda item: item[0]))
    items = tuple(islice(pending, SLOTS_PER_PART))
    while True:
        following = tuple(islice(pending, SLOTS_PER_PART))
        await _send_part(connection, dict(items), last=not following)
        if not following:
            return
        items = following


async def _send_part(connection: socket.socket, slots: Slots, *, last: bool) -> None:
    """Descriptors are read at each attempt, as sockets may be closed while this waits for room.

    So none has to be duplicated, and a node that has run out of them can still give its sockets away.
    """
    while True:
        open_ = {at: held for at, held in slots.items() if held is None or held.fileno() >= 0}
        carried = {at: held.fileno() for at, held in open_.items() if held is not None}
        known = tuple(at for at, held in open_.items() if held is None)
        part = Part(carried=tuple(carried), known=known, last=last)
        if _try_send(connection, part, tuple(carried.values())):
            return
        await trio.lowlevel.wait_writable(connection)


async def receive_slots(
    connection: socket.socket,
) -> dict[Slot, socket.socket | None] | None:
    """A whole set; None if the peer hung up. Raises WireError and OSError; then nothing is left open."""
    slots: dict[Slot, socket.socket | None] = {}
    complete = False
    try:
        while not complete:
            received = await _receive(connection)
            if received is None:
                return None
            message, sockets = received
            if not isinstance(message, Part) or len(message.carried) != len(sockets):
                close_all(sockets)
                raise WireError("expected Part, with a descriptor for each slot carried")
            slots.update(zip(message.carried, sockets, strict=True))
            slots.update(dict.fromkeys(message.known))
            complete = message.last
        return slots
    finally:
        if not complete:
            close_all(tuple(held for held in slots.values() if held is not None))


async def send_message(connection: socket.socket, message: Present | Part) -> None:
    """Send one packet without descriptors. Raises OSError."""
    while not _try_send(connection, message, ()):
        await trio.lowlevel.wait_writable(connection)


def _try_send(
    connection: socket.socket, message: Present | Part, descriptors: tuple[int, ...]
) -> bool:
    """Send one packet, whole; False if there is no room for it now. Raises OSError."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())
    try:
        connection.sendmsg([encode((VERSION, message))], [rights] if descriptors else [])
    except BlockingIOError:
        return False
    return True


async def _receive(
    connection: socket.socket,
) -> tuple[Present | Part, tuple[socket.socket, ...]] | None:
    """One packet with its sockets; None at the end. Raises WireError and OSError."""
    room = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
    while True:
        await trio.lowlevel.wait_readable(connection)
        try:
            body, ancillary, flags, _ = connection.recvmsg(
                _MAX_BYTES, room, socket.MSG_CMSG_CLOEXEC
            )
            break
        except BlockingIOError:  # woken for nothing
            continue
    sockets = tuple(_sockets(ancillary))
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise WireError("a message was cut: too long, or no descriptors left in this process")
        if not body:
            return None
        version, message = decode(tuple[int, Present | Part], body)
        if version != VERSION:
            raise WireError(f"the peer exchanges sockets by version {version}, not {VERSION}")
    except WireError:
        close_all(sockets)
        raise
    return message, sockets


def _sockets(ancillary: list[tuple[int, int, bytes]]) -> Iterator[socket.socket]:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors = array.array("i")
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
            for descriptor in descriptors:
                yield socket.socket(fileno=descriptor)


def close_all(sockets: tuple[socket.socket, ...]) -> None:
    for one in sockets:
        one.close()
