"""One connection of a node: what waits to be sent to it, and the task that sends.

Belongs here: the way out to one node. Never here: what a node says, or who gets what.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
import trio

from cluster.bus import MessageTooLarge, Peer, ServerBus
from cluster.messages import Message, Offer, pack
from cluster.snapshot import SnapshotId
from coordinator.outbox import Outbox

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Link:
    """One connection of a node."""

    node: str
    peer: Peer
    outbox: Outbox = field(default_factory=Outbox)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    registering: trio.Lock = field(default_factory=trio.Lock)  # in the order they came
    greeted: bool = False
    lost: bool = False
    signing: int = 0
    refused_at: float = float("-inf")


async def write(link: Link, bus: ServerBus, packed: "PackedOffers") -> None:
    """Send what is in the outbox, for ever. Raises PeerGone when the connection is over."""
    while True:
        message = await link.outbox.take()
        with _log_too_large(link.node, message):
            await bus.send(link.peer, packed.pack(message))


class PackedOffers:
    """Remembers the bytes of the newest offers: most nodes lack the same sections of the same snapshot.

    The same by its whole id: content that comes again has another generation, and a node answers with what
    it was offered.
    """

    def __init__(self) -> None:
        self._id: SnapshotId | None = None
        self._bodies: dict[frozenset[str], bytes] = {}

    def pack(self, message: Message) -> bytes:
        if not isinstance(message, Offer):
            return pack(message)
        if message.id != self._id:
            self._id, self._bodies = message.id, {}
        sections = frozenset(message.sections)
        if sections not in self._bodies:
            self._bodies[sections] = pack(message)
        return self._bodies[sections]


@contextmanager
def _log_too_large(node: str, message: Message) -> Iterator[None]:
    """What the bus does not carry is not sent, and said; the connection lives on."""
    try:
        yield
    except MessageTooLarge as error:
        kind = type(message).__name__
        log.error("too large to send", node=node, message=kind, reason=str(error))
