"""The coordinator's side of the bus: the rollout's decisions to nodes, and what nodes say to its events.

Belongs here: links to nodes and the way of each message. Never here: deciding who gets what
(`coordinator.rollout`), making snapshots (`coordinator.publisher`), signing or registering: both are
callables that are handed in.

A node is its key's name on the bus. A new connection of it replaces the old one. Each connection has one
task that writes, fed by a bounded outbox, so a slow node holds up nobody.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
import trio

from cluster.bus import Incoming, Peer, PeerGone, ServerBus
from cluster.errors import LockgateError, Problem, WireError
from cluster.messages import (
    Ack,
    Answer,
    Enrol,
    Enrolled,
    Hello,
    Message,
    Nack,
    NodeStatus,
    Refusal,
    Register,
    Registered,
    Sign,
    Signed,
    Verdicts,
    unpack,
)
from coordinator.enrolment import enrolling
from coordinator.link import Link, PackedOffers, write
from coordinator.metrics import Metrics
from coordinator.questions import Questions
from coordinator.rollout import (
    Acked,
    Action,
    Converged,
    Event,
    Limits,
    Log,
    Nacked,
    NodeGone,
    NodeHello,
    NodeState,
    Published,
    Rollout,
    SendOffer,
    StatusReceived,
    Tick,
    node_state,
    offer,
    step,
)

#: `await sign(csr_pem, node, renewal)` gives a chain in PEM, or raises LockgateError.
SignCall = Callable[[bytes, str, bool], Awaitable[bytes]]
#: `await register(node, definitions)` gives the problems that kept them out of the catalog.
RegisterCall = Callable[[str, tuple[dict[str, object], ...]], Awaitable[tuple[Problem, ...]]]
#: `await enrol(node, public_key)` says why that key is not let in, or nothing.
EnrolCall = Callable[[str, str], Awaitable[str]]


class Checks(Protocol):
    """Who is told when a node has said Hello, and what it found when it probed."""

    def greeted(self, node: str) -> None: ...
    def heard(self, node: str, verdicts: Verdicts) -> None: ...


#: What a node may send at most: pages of answers and batches of definitions are far smaller.
MAX_INCOMING_BYTES = 8 * 1024 * 1024
MAX_SIGNING_PER_NODE = 256
REFUSAL_EVERY_SECONDS = 1.0
KEPT_REFUSALS = 50

log = structlog.get_logger(__name__)


async def _nobody(node: str, public_key: str) -> str:
    """Where there are no enrolment tokens."""
    await trio.lowlevel.checkpoint()
    return f"there is no enrolment token for node {node}"


class NotConnected(LockgateError):
    """There is no connection to a node, or it does not keep up with what it is sent."""


class Distributor:
    """Owns the rollout's state. `run` serves; `publish`, `send` and `questions` are for others."""

    def __init__(
        self,
        *,
        sign: SignCall,
        register: RegisterCall,
        metrics: Metrics,
        checks: Checks | None = None,
        enrol: EnrolCall | None = None,
        limits: Limits | None = None,
        tick_seconds: float = 1.0,
        watch: Callable[[Event, tuple[Action, ...]], None] | None = None,
    ) -> None:
        """`watch` hears each event of the rollout with what follows from it."""
        self._watch = watch
        self.rollout = Rollout(limits=limits or Limits())
        #: Which nodes refused which generation, and why; the newest are kept.
        self.refusals: dict[int, dict[str, tuple[str, ...]]] = {}
        self.questions = Questions()
        self._sign_call = sign
        self._register_call = register
        self._enrol_call = enrol or _nobody
        self._metrics = metrics
        self._checks = checks
        self._tick_seconds = tick_seconds
        self._links: dict[str, Link] = {}
        self._packed = PackedOffers()

    async def run(self, bus: ServerBus) -> None:
        """Serve the nodes until cancelled, or until the bus is closed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            async for incoming in bus.incoming:
                self._take(incoming, bus, nursery)
            nursery.cancel_scope.cancel()

    def publish(self, event: Published) -> None:
        """Offer a snapshot, which the history has, to whom it may concern."""
        self._metrics.snapshot_generation.set(event.id.generation)
        self._step(event)

    @property
    def connected(self) -> tuple[str, ...]:
        """The names of the nodes that can be asked, in order."""
        nodes = self.rollout.nodes
        return tuple(sorted(n for n in self._links if n in nodes and nodes[n].connected))

    def send(self, node: str, message: Message) -> None:
        """Send to one node, in order. Raises NotConnected."""
        if node not in self.connected:
            raise NotConnected(f"node {node!r} is not connected")
        if not self._links[node].outbox.put(message):
            raise NotConnected(f"node {node!r} does not take what it is sent")

    # Events in, actions out.

    def _step(self, event: Event) -> None:
        self.rollout, actions = step(self.rollout, event, trio.current_time())
        if self._watch is not None:
            self._watch(event, actions)
        for action in actions:
            self._act(action)
        self._count_nodes()

    def _act(self, action: Action) -> None:
        match action:
            case SendOffer(node=node):
                self._offer(node)
            case Converged(generation=generation, seconds=seconds):
                self._metrics.convergence_seconds.observe(seconds)
                log.info("converged", generation=generation, seconds=round(seconds, 4))
            case Log(event=event, node=node, detail=detail):
                log.warning(event, node=node, detail=detail)

    def _offer(self, name: str) -> None:
        current, link = self.rollout.current, self._links.get(name)
        if current is not None and link is not None:
            link.outbox.put(offer(current, self.rollout.nodes[name]))

    def _count_nodes(self) -> None:
        counts = dict.fromkeys(NodeState, 0)
        for node in self.rollout.nodes.values():
            counts[node_state(self.rollout, node)] += 1
        for state, count in counts.items():
            self._metrics.nodes[state].set(count)

    async def _tick(self) -> None:
        while True:
            await trio.sleep(self._tick_seconds)
            self._step(Tick())

    # Messages in.

    def _take(self, incoming: Incoming, bus: ServerBus, nursery: trio.Nursery) -> None:
        if not incoming.peer.identity:
            log.error("a peer without a name: the bus needs CURVE", peer=str(incoming.peer))
            return
        try:
            message = unpack(incoming.body, max_bytes=MAX_INCOMING_BYTES)
        except WireError as error:
            if link := self._link(incoming.peer, None, bus, nursery):
                self._refuse(link, str(error))
            return
        if link := self._link(incoming.peer, message, bus, nursery):
            self._hear(link, message, nursery)

    def _link(
        self, peer: Peer, message: Message | None, bus: ServerBus, nursery: trio.Nursery
    ) -> Link | None:
        """The link of this connection; None if it is over and this is only what was left of it."""
        known = self._links.get(peer.identity)
        if known is not None and known.peer == peer:
            if not known.lost:
                return known
            if not isinstance(message, Hello | NodeStatus):
                return None
        if known is not None:
            known.scope.cancel()
        link = Link(peer.identity, peer)
        self._links[link.node] = link
        nursery.start_soon(self._write, link, bus)
        return link

    def _hear(self, link: Link, message: Message, nursery: trio.Nursery) -> None:
        """Nothing counts before the node has said who it is; a heartbeat says that too."""
        if enrolling(link.node):
            if isinstance(message, Enrol):
                nursery.start_soon(self._enrol, link, message)
            else:
                self._refuse(link, "an enrolment token is good for nothing else")
        elif isinstance(message, Hello):
            self._greet(link, message)
        elif link.greeted or self._introduces(link, message):
            self._listen(link, message, nursery)
        else:
            self._refuse(link, "say Hello first")

    def _introduces(self, link: Link, message: Message) -> bool:
        link.greeted = isinstance(message, NodeStatus) and message.node == link.node
        return link.greeted

    def _listen(self, link: Link, message: Message, nursery: trio.Nursery) -> None:
        match message:
            case Ack(id=id_):
                self._step(Acked(node=link.node, id=id_))
            case Nack(id=id_, problems=problems, unread=unread):
                self._metrics.snapshot_nacks.inc()
                if not unread:
                    self._note_refusal(link.node, id_.generation, problems)
                self._step(Nacked(node=link.node, id=id_, problems=problems, unread=unread))
            case NodeStatus():
                self._step(StatusReceived(node=link.node, status=message))
            case Answer():
                self.questions.answered(link.node, message)
            case Sign():
                nursery.start_soon(self._sign, link, message)
            case Register():
                nursery.start_soon(self._register, link, message)
            case Verdicts() if self._checks is not None:
                self._checks.heard(link.node, message)
            case Refusal(reason=reason):
                log.error("a node refused a message", node=link.node, reason=reason)
            case _:
                self._refuse(link, f"a coordinator does not take {type(message).__name__}")

    def _note_refusal(self, node: str, generation: int, problems: tuple[Problem, ...]) -> None:
        told = tuple(str(problem) for problem in problems) or ("no reason given",)
        self.refusals.setdefault(generation, {})[node] = told
        for oldest in sorted(self.refusals)[:-KEPT_REFUSALS]:
            del self.refusals[oldest]

    def _greet(self, link: Link, hello: Hello) -> None:
        if hello.sender != link.node:
            self._refuse(link, f"this key is node {link.node!r}'s, not {hello.sender!r}'s")
            return
        link.greeted = True
        log.info("hello", node=link.node, software=hello.software, have=str(hello.have))
        self._step(NodeHello(node=link.node, have=hello.have, held=hello.held))
        if self._checks is not None:
            self._checks.greeted(link.node)

    def _refuse(self, link: Link, reason: str) -> None:
        """Say so, but not too often: two versions could refuse each other's refusals for ever."""
        now = trio.current_time()
        if now - link.refused_at < REFUSAL_EVERY_SECONDS:
            return
        link.refused_at = now
        log.error("refused a message", node=link.node, reason=reason)
        link.outbox.put(Refusal(reason=reason))

    async def _sign(self, link: Link, sign: Sign) -> None:
        if link.signing >= MAX_SIGNING_PER_NODE:
            error = f"more than {MAX_SIGNING_PER_NODE} requests of this node are waiting"
            link.outbox.put(Signed(request=sign.request, error=error))
            return
        link.signing += 1
        try:
            chain = await self._sign_call(sign.csr_pem, link.node, sign.renewal)
            answer = Signed(request=sign.request, chain_pem=chain)
        except LockgateError as error:
            log.warning("not signed", node=link.node, reason=str(error))
            answer = Signed(request=sign.request, error=str(error))
        finally:
            link.signing -= 1
        link.outbox.put(answer)

    async def _enrol(self, link: Link, enrol: Enrol) -> None:
        try:
            error = await self._enrol_call(enrolling(link.node), enrol.public_key)
        except LockgateError as failed:
            error = str(failed)
        link.outbox.put(Enrolled(error=error))

    async def _register(self, link: Link, register: Register) -> None:
        try:
            async with link.registering:
                problems = await self._register_call(link.node, register.definitions)
        except LockgateError as error:
            problems = (Problem(message=str(error)),)
        link.outbox.put(Registered(problems=problems))

    # Messages out.

    async def _write(self, link: Link, bus: ServerBus) -> None:
        with link.scope:
            try:
                await write(link, bus, self._packed)
            except PeerGone:
                self._lost(link)

    def _lost(self, link: Link) -> None:
        link.lost = True
        if self._links.get(link.node) is link and not enrolling(link.node):
            self._step(NodeGone(node=link.node))
