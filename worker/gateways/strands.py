"""The requests of one connection, in whichever HTTP its caller speaks: one after the other, or many at once.

In HTTP/2 each request is what a connection is in HTTP/1.1: it has an entry of its own, is permitted by
itself and ended by itself, and its gateway kind need not know that there are others.

Belongs here: which HTTP is spoken, and what stands for one request of several. Never here: HTTP itself
(`worker.http`, `worker.http2`), or what a request may do (`requests`, `ingress_requests`).
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from cluster.reasons import End
from worker.entry import Strand
from worker.gateways.inbound import Inbound
from worker.http.backend import Backend
from worker.http.conversation import Conversation
from worker.http.faults import SpeaksHttp2
from worker.http.limits import HttpLimits
from worker.http.wire import Wire
from worker.http2.conversation import Http2Conversation
from worker.tls.leg import TlsLeg


class Judge(Backend, Protocol):
    """Whom the requests of a connection go to, or one of them."""

    inbound: Inbound


#: Makes one, for a connection as for one request of several.
MakeJudge = Callable[[Inbound], Judge]


async def converse(wire: Wire, judge: Judge, make: MakeJudge, limits: HttpLimits) -> End:
    """Serve the requests of a caller. `judge` is of the connection as a whole."""
    world = judge.inbound.world
    timers = world.timers
    if not _agreed_on_http2(wire):
        try:
            return await Conversation(wire, judge, timers, limits, world.express).run()
        except SpeaksHttp2:
            pass
    strands = Strands(judge, make)
    return await Http2Conversation(wire, strands, timers, limits, world.express).run()


def _agreed_on_http2(wire: Wire) -> bool:
    return isinstance(wire.leg, TlsLeg) and wire.leg.alpn == b"h2"


class Strands:
    """See `worker.http2.conversation.Streams`. What one request has looked up serves the next one."""

    def __init__(self, judge: Judge, make: MakeJudge) -> None:
        self._whole = judge
        self._make = make
        self._idle: list[Judge] = []

    def begin(self, cancel: Callable[[], None]) -> tuple[Backend, Callable[[], None]]:
        found = self._idle.pop() if self._idle else self._make(self._whole.inbound.strand())
        _strand(found).begin(cancel)
        return found, partial(self._end, found)

    def _end(self, judge: Judge) -> None:
        _strand(judge).over()
        self._idle.append(judge)

    def is_leaving(self) -> bool:
        return self._whole.is_leaving()

    def waits(self, wake: Callable[[], object] | None) -> None:
        self._whole.waits(wake)


def _strand(judge: Judge) -> Strand:
    entry = judge.inbound.entry
    assert isinstance(entry, Strand)
    return entry
