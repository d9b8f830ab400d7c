"""The node's side of the link to its workers: keys and snapshots down, status and metrics up.

Belongs here: who hears what over the ipc bus. Never here: deciding what is due (`worker.node.delivery`), or
what the fleet means to others.

Each worker has a task that looks at what it lacks, sends it, and waits for a change; so a slow worker holds
up nobody. It gets keys before its first snapshot.
"""

from collections.abc import Callable
from contextlib import suppress

import structlog
import trio

from cluster.bus import Incoming, Peer, PeerGone, ServerBus
from cluster.errors import Problem, WireError
from cluster.messages import (
    Ack,
    Answer,
    Drain,
    Hello,
    Keys,
    Message,
    Metrics,
    Nack,
    Query,
    Refusal,
    WorkerStatus,
    pack,
    unpack,
)

from .delivery import Held, Receiver, acknowledged, due, offered, refused
from .fleet import Fleet, Link
from .keys.ring import KeyRing

#: Leaves come in bursts, and each change sends all of them: wait for the burst to pass.
_GATHER_KEYS_SECONDS = 0.05
_SIGNING_SECONDS = 30.0
_REFUSAL_EVERY_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Fanout:
    """Serves one bus; `target` is the snapshot that the workers are to have."""

    def __init__(
        self,
        bus: ServerBus,
        fleet: Fleet,
        ring: KeyRing,
        target: Callable[[], Held | None],
        answered: Callable[[int, Answer], None],
        *,
        grace_seconds: float,
    ) -> None:
        self._bus = bus
        self._fleet = fleet
        self._ring = ring
        self._target = target
        self._answered = answered
        self._grace_seconds = grace_seconds
        self._links: dict[Peer, Link] = {}
        self._refused_at: dict[Peer, float] = {}

    async def run(self) -> None:
        """Take what workers say, for ever."""
        async with trio.open_nursery() as nursery:
            async for incoming in self._bus.incoming:
                self._take(incoming, nursery)

    def _take(self, incoming: Incoming, nursery: trio.Nursery) -> None:
        try:
            message = unpack(incoming.body)
        except WireError as error:
            self._refuse(incoming.peer, str(error), nursery)
            return
        if isinstance(message, Hello):
            self._greet(incoming.peer, message, nursery)
            return
        link = self._links.get(incoming.peer)
        if link is None:
            self._refuse(incoming.peer, "say Hello first", nursery)
            return
        link.last_heard = self._fleet.clock()
        self._hear(link, message)

    def _greet(self, peer: Peer, hello: Hello, nursery: trio.Nursery) -> None:
        if not hello.sender.isdecimal():
            self._refuse(peer, f"{hello.sender!r} is not a worker's index", nursery)
            return
        link = Link(
            index=int(hello.sender),
            incarnation=hello.incarnation,
            peer=peer,
            receiver=Receiver(have=hello.have, held=hello.held),
            last_heard=self._fleet.clock(),
            greeted_at=self._fleet.clock(),
            brought_snapshot=hello.have is not None,
        )
        if not self._fleet.greet(link):
            self._refuse(peer, f"another process is worker {link.index}", nursery)
            return
        self._links = {link.peer: link for link in self._fleet.links}
        nursery.start_soon(self._supply, link)

    def _hear(self, link: Link, message: Message) -> None:
        match message:
            case Ack(id=id_):
                link.receiver = acknowledged(id_, self._target())
                self._fleet.changes.touch()
            case Nack(id=id_, problems=problems):
                nothing_said = (Problem(message=f"worker {link.index} did not say why"),)
                link.receiver = refused(link.receiver, id_, problems or nothing_said)
                self._fleet.changes.touch()
            case WorkerStatus():
                changed = message != link.status
                link.status = message
                if changed:
                    self._fleet.changes.touch()
            case Metrics():
                link.counted.take(message)
            case Answer():
                self._answered(link.index, message)
            case Refusal(reason=reason):
                _log.error("a worker refuses a message", index=link.index, reason=reason)
            case _:
                _log.error(
                    "a worker may not say this", index=link.index, what=type(message).__name__
                )

    async def _supply(self, link: Link) -> None:
        """Send one worker what it lacks, for as long as this link is the one of its index."""
        # of an earlier node, which had more workers, or still starting when all were told to leave
        if link.index >= self._fleet.size or self._fleet.leaving:
            await self.say(link, Drain(grace_seconds=self._grace_seconds))
            return
        while self._fleet.member(link.index).link is link:
            version = self._fleet.changes.version
            if self._wants_keys(link):
                await self._send_keys(link)
            elif link.may_have_offers and (offer := due(link.receiver, self._target())) is not None:
                link.receiver = offered(link.receiver, offer)
                await self.say(link, offer)
            else:
                await self._fleet.changes.after(version)

    def _wants_keys(self, link: Link) -> bool:
        """Whether to send keys now.

        A worker that outlived its node has keys already, perhaps more than the disk kept: it waits for all of
        them, or until a coordinator has had its time to sign what is missing.
        """
        if link.brought_snapshot and not link.has_keys and not self._ring.is_complete:
            since_hello = self._fleet.clock() - link.greeted_at
            if not self._ring.has_received or since_hello < _SIGNING_SECONDS:
                return False
        return link.keys_version != self._ring.version

    async def _send_keys(self, link: Link) -> None:
        if link.has_keys:
            await trio.sleep(_GATHER_KEYS_SECONDS)
        link.keys_version = self._ring.version
        await self.say(link, Keys(leaves=self._ring.leaves))

    async def say(self, link: Link, message: Message) -> None:
        """Send to one worker; if it is gone, its link is."""
        try:
            await self._bus.send(link.peer, pack(message))
        except PeerGone:
            self._fleet.hang_up(link)

    async def say_to_all(self, message: Message) -> None:
        async with trio.open_nursery() as nursery:
            for link in tuple(self._fleet.links):
                nursery.start_soon(self.say, link, message)

    async def ask(self, index: int, query: Query) -> bool:
        """Put a query to one worker; False if it is not there."""
        link = self._fleet.member(index).link
        if link is not None:
            await self.say(link, query)
        return link is not None

    def _refuse(self, peer: Peer, reason: str, nursery: trio.Nursery) -> None:
        """Tell a worker that it cannot be understood, once a second at most."""
        now = self._fleet.clock()
        if now - self._refused_at.get(peer, -_REFUSAL_EVERY_SECONDS) < _REFUSAL_EVERY_SECONDS:
            return
        self._refused_at = {**_recent(self._refused_at, now), peer: now}
        _log.warning("a worker's message is refused", reason=reason)
        nursery.start_soon(self._send_refusal, peer, Refusal(reason=reason))

    async def _send_refusal(self, peer: Peer, refusal: Refusal) -> None:
        with suppress(PeerGone):
            await self._bus.send(peer, pack(refusal))


def _recent(times: dict[Peer, float], now: float) -> dict[Peer, float]:
    return {peer: at for peer, at in times.items() if now - at < _REFUSAL_EVERY_SECONDS}
