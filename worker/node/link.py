"""The link to a coordinator: find one that answers, stay with it, and go to the next when it falls silent.

Belongs here: the conversation. Never here: applying snapshots (`worker.node.applier`), or anything that
serving depends on: without a coordinator all goes on, and the status says so.

The bus tells when the connection breaks, or a peer no longer answers its heartbeats. On each connection the
node says Hello and registers what its file defines, which is always answered: a coordinator that is connected
and does not answer is as good as none.
"""

import itertools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog
import trio

from cluster.bus import ClientBus, CurveClient, connect
from cluster.errors import Problem, SnapshotRejected, WireError
from cluster.messages import (
    Ack,
    Close,
    Drain,
    Hello,
    Message,
    Nack,
    NodeStatus,
    Offer,
    Probes,
    Query,
    Refusal,
    Register,
    Registered,
    Signed,
    Verdicts,
    pack,
    unpack,
)
from cluster.probes import Probe

from .applier import Applier, Outcome
from .delivery import Held
from .pace import Pace, is_limited
from .session import Judgement, judge, stale, verified
from .signing import Signing

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a coordinator counts as silent: not connected, or connected and not answering."""

    lost_seconds: float = 3.0
    answer_seconds: float = 10.0
    look_seconds: float = 0.25
    status_seconds: float = 1.0
    pause_seconds: float = 0.5
    #: At least so long between two Hellos on one connection, however often we are refused.
    hello_seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """What others do for the link. `status` is asked each second and when something has changed."""

    status: Callable[[], NodeStatus]
    answer: Callable[[Query], Awaitable[Message]]
    forward: Callable[[Close], Awaitable[None]]
    drain: Callable[[float], None]
    probe: Callable[[tuple[Probe, ...]], None]
    changed: Callable[[int], Awaitable[None]]
    version: Callable[[], int]


class CoordinatorLink:
    """One link at a time.

    `is_up` says whether a coordinator answers now, `endpoint` which; `confirmed_at` is when one was last
    heard (unix seconds, 0 never). `signing` takes certificate requests, `pace` counts offers.
    """

    def __init__(
        self,
        *,
        node: str,
        incarnation: str,
        software: str,
        endpoints: tuple[str, ...],
        curve: CurveClient | None,
        definitions: tuple[dict[str, Any], ...],
        applier: Applier,
        base: Callable[[], Held | None],
        handlers: Handlers,
        wall_clock: Callable[[], float],
        timing: Timing | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.confirmed_at = 0.0
        self.endpoint = ""
        self.is_up = False
        self._node = node
        self._incarnation = incarnation
        self._software = software
        self._endpoints = endpoints
        self._curve = curve
        self._definitions = definitions
        self._applier = applier
        self._base = base
        self._handlers = handlers
        self._wall_clock = wall_clock
        self._timing = timing or Timing()
        self.pace = pace or Pace()
        self._bus: ClientBus | None = None
        self._said_hello_at = 0.0
        self._complained = False
        self.signing = Signing(self._say)

    async def run(self) -> None:
        """Talk to one coordinator after the other, for ever."""
        if not self._endpoints:
            await trio.sleep_forever()
        for endpoint in itertools.cycle(self._endpoints):
            await self._talk(endpoint)
            await trio.sleep(self._timing.pause_seconds)

    async def _talk(self, endpoint: str) -> None:
        """One conversation; returns when the coordinator has been silent for too long."""
        async with connect(endpoint, curve=self._curve) as bus, trio.open_nursery() as nursery:
            self._bus, self.endpoint, self._complained = bus, endpoint, False
            nursery.start_soon(self._introduce_always, bus)
            nursery.start_soon(self._listen, bus, nursery)
            nursery.start_soon(self._report_status, bus)
            await self._until_silent(bus)
            nursery.cancel_scope.cancel()
        _log.warning("coordinator silent", endpoint=endpoint, **self._why(bus))
        self._bus, self.endpoint = None, ""
        self._down()

    def _why(self, bus: ClientBus) -> dict[str, str]:
        """Why nobody answers, and where our key is refused, what would mend that."""
        why = {"because": bus.link.trouble or "it is connected, and does not answer"}
        if bus.link.is_refused and self._curve is not None:
            why["mend"] = f"lockgate nodes allow {self._node} '{self._curve.public_key}'"
        return why

    async def _until_silent(self, bus: ClientBus) -> None:
        timing = self._timing
        connected_at = trio.current_time()
        while True:
            await trio.sleep(timing.look_seconds)
            now = trio.current_time()
            if not bus.link.is_connected:
                self._down()
                if now - connected_at >= timing.lost_seconds:
                    return
                continue
            connected_at = now
            if self.is_up:
                self.confirmed_at = self._wall_clock()
            elif now - self._said_hello_at >= timing.answer_seconds:
                return

    async def _introduce_always(self, bus: ClientBus) -> None:
        """On each connection: the coordinator may have been restarted."""
        seen = 0
        while True:
            seen = await bus.wait_connected(seen)
            self._down()
            await self._introduce(bus)

    async def _introduce(self, bus: ClientBus) -> None:
        """Say who we are and what we have, and register what our configuration file defines."""
        self._said_hello_at = trio.current_time()
        self._handlers.probe(())
        base = self._base()
        current = self._applier.current
        hello = Hello(
            sender=self._node,
            incarnation=self._incarnation,
            software=self._software,
            have=current.id if current else None,
            held=base.encoded.manifest if base else {},
        )
        await bus.send(pack(hello))
        await bus.send(pack(Register(definitions=self._definitions)))

    async def _report_status(self, bus: ClientBus) -> None:
        """On change, at once but no more often than ten times a second; and as a heartbeat."""
        timing = self._timing
        while True:
            version = self._handlers.version()
            if self.is_up:
                await bus.send(pack(self._handlers.status()))
            await trio.sleep(timing.status_seconds / 10)
            with trio.move_on_after(timing.status_seconds * 0.9):
                await self._handlers.changed(version)

    async def _listen(self, bus: ClientBus, nursery: trio.Nursery) -> None:
        async for body in bus:
            try:
                message = unpack(body)
            except WireError as error:
                await self._complain(bus, str(error))
                continue
            self._up()
            await self._take(bus, message, nursery)

    def _up(self) -> None:
        """A coordinator has said something."""
        if not self.is_up:
            self.is_up = True
            self.confirmed_at = self._wall_clock()
            self.signing.start()
            _log.info("coordinator connected", endpoint=self.endpoint)

    def _down(self) -> None:
        """Nobody answers: what was asked will not be answered."""
        if self.is_up:
            self.is_up = False
            self.signing.stop()

    async def _complain(self, bus: ClientBus, reason: str) -> None:
        """Once in a conversation: the next message would be no better."""
        if not self._complained:
            self._complained = True
            _log.error("the coordinator sent something unknown", reason=reason)
            await bus.send(pack(Refusal(reason=reason)))

    async def _take(self, bus: ClientBus, message: Message, nursery: trio.Nursery) -> None:
        match message:
            case Offer():
                await self._take_offer(message)
            case Signed():
                self.signing.answered(message)
            case Registered(problems=problems):
                _tell(problems)
            case Query():
                nursery.start_soon(self._answer, bus, message)
            case Close():
                nursery.start_soon(self._handlers.forward, message)
            case Drain(grace_seconds=grace_seconds):
                self._handlers.drain(grace_seconds)
            case Probes(probes=probes):
                self._handlers.probe(probes)
            case Refusal(reason=reason):
                await self._take_refusal(bus, reason)
            case _:
                what = type(message).__name__
                await self._complain(bus, f"a node does not take {what}")

    async def _take_refusal(self, bus: ClientBus, reason: str) -> None:
        if trio.current_time() - self._said_hello_at >= self._timing.hello_seconds:
            _log.warning("the coordinator refused a message; saying Hello again", reason=reason)
            await self._introduce(bus)

    async def _take_offer(self, offer: Offer) -> None:
        current, target = self._applier.current, self._applier.target
        current_id = current.id if current else None
        judgement = judge(offer.id, current_id, target.id if target else None)
        if judgement is Judgement.ACKNOWLEDGE:
            self.pace.settled()
            await self._say(Ack(id=offer.id))
        elif judgement is Judgement.STALE:
            await self._refuse_unread(offer, stale(offer.id, current_id))
        elif judgement is Judgement.APPLY and (problem := self._too_fast(offer)):
            await self._refuse_unread(offer, problem)
        elif judgement is Judgement.APPLY:
            try:
                held = await trio.to_thread.run_sync(verified, offer, self._base())
                self._applier.submit(held)
            except SnapshotRejected as rejected:
                _log.error("snapshot rejected", id=str(offer.id), reason=str(rejected))
                await self._say(Nack(id=offer.id, problems=rejected.problems))

    async def _refuse_unread(self, offer: Offer, problem: Problem) -> None:
        await self._say(Nack(id=offer.id, problems=(problem,), unread=True))

    def _too_fast(self, offer: Offer) -> Problem | None:
        """Why an offer that differs from what is served is not even looked at, if so."""
        current, target = self._applier.current, self._applier.target
        served = target or current
        if not is_limited(offer, served.encoded.manifest if served else None):
            self.pace.settled()
            return None
        was_held = self.pace.held is not None
        problem = self.pace.check(trio.current_time(), current.id if current else None)
        if problem is not None and not was_held:
            _log.error("snapshots come too fast", reason=str(problem))
        return problem

    async def report(self, outcome: Outcome) -> None:
        """Tell the coordinator what became of an offer; if there is none, the next Hello will."""
        if outcome.problems:
            await self._say(Nack(id=outcome.id, problems=outcome.problems))
        else:
            await self._say(Ack(id=outcome.id))

    async def found(self, verdicts: Verdicts) -> None:
        """Tell the coordinator how the probed are; without one nobody could do anything about it."""
        await self._say(verdicts)

    async def _answer(self, bus: ClientBus, query: Query) -> None:
        await bus.send(pack(await self._handlers.answer(query)))

    async def _say(self, message: Message) -> None:
        if self._bus is not None and self.is_up:
            try:
                await self._bus.send(pack(message))
            except trio.ClosedResourceError:
                _log.debug("the link closed under a message")


def _tell(problems: Iterable[object]) -> None:
    for problem in problems:
        _log.error("a definition of this node's file is refused", problem=str(problem))
