"""A connection of HTTP/2 with nothing behind it: every request is answered by the gateway itself.

With and without what is done outside Python, where that was built.
"""

import socket

import pytest
import trio

from tests.fakes.http2_client import Http2Client
from worker.http.answers import Answer
from worker.http.limits import HttpLimits
from worker.http.patience import Timers
from worker.http.wire import Wire
from worker.http2 import native
from worker.http2.conversation import Http2Conversation
from worker.net.leg import PlainLeg

FOUND = Answer(status=200, text="found")


class Waits:
    """The way of a request that has a body: its upstream is never reached."""

    timeout_seconds = 60.0
    may_repeat = False

    async def connect(self, *, afresh):
        await trio.sleep_forever()


class Nobody:
    """Streams and backends in one; `answers` is what the next requests get."""

    def __init__(self):
        self.asked, self.counted, self.under_way = [], [], 0
        self.leaving = False
        self.leave = None
        self.answer = FOUND

    def begin(self, cancel):
        self.under_way += 1
        return self, self._over

    def _over(self):
        self.under_way -= 1

    def judge(self, request):
        self.asked.append(request)
        return Waits() if request.has_body else self.answer

    def answered(self, status, seconds):
        self.counted.append(status)

    def is_leaving(self):
        return self.leaving

    def waits(self, wake):
        self.leave = wake


class Site:
    """`client` speaks to a conversation, which ends with `end`."""

    def __init__(self, nursery, limits=None):
        near, far = socket.socketpair()
        self.backend = Nobody()
        self.timers = Timers(trio.current_time)
        self.wire = Wire(PlainLeg(near))
        self.conversation = Http2Conversation(
            self.wire, self.backend, self.timers, limits or HttpLimits()
        )
        self.client = Http2Client(trio.SocketStream(trio.socket.from_stdlib_socket(far)), "a")
        self.end, self.over = None, trio.Event()
        nursery.start_soon(self.timers.attend)
        nursery.start_soon(self._run)

    async def _run(self):
        try:
            self.end = await self.conversation.run()
        except Exception as error:
            self.end = error
        self.wire.close()
        self.over.set()


ENGINES = (True, False) if native.is_built else (False,)


@pytest.fixture(params=ENGINES, ids=lambda is_native: "native" if is_native else "library")
def engine(request, monkeypatch):
    monkeypatch.setattr(native, "is_built", request.param)


@pytest.fixture
async def site(nursery, engine):
    made = Site(nursery)
    yield made
    nursery.cancel_scope.cancel()
    made.client.stream.socket.close()
    made.wire.close()
