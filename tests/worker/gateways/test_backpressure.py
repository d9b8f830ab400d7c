"""What nobody takes is not held: at every listener protocol, both ways, a sender without end comes to a stop.

So a connection costs what the windows and the kernel's buffers hold, whatever is sent on it.
"""

import tracemalloc

import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from tests.fakes.http2_client import Http2Client
from tests.fakes.rig import PATIENCE_SECONDS
from tests.worker.gateways.doors import OFFERED, TCP_DOORS, opened
from tests.worker.http.corpus import get, post

PIECE = bytes(64 * 1024)
#: More than the kernel takes for the sockets on the way, and more than we may hold.
OFFER_BYTES, HELD_BYTES = 64 * 2**20, 8 * 2**20
#: Nothing has moved for so long: it has come to a stop.
STILL_SECONDS = 0.2


class Program:
    """It takes nothing of a body, and gives one without end to who asks for /down."""

    def __init__(self, protocol):
        serve = {"http": self._http1, "tcp": self._bytes}
        self.serve = serve.get(protocol, self._http2)
        self.given_bytes = 0

    async def _bytes(self, stream):
        if await stream.receive_some(1) == b"d":
            await self._give(stream)
        await trio.sleep_forever()

    async def _http1(self, stream):
        if b" /down " in await stream.receive_some(1000):
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % OFFER_BYTES)
            await self._give(stream)
        await trio.sleep_forever()

    async def _give(self, stream):
        while self.given_bytes < OFFER_BYTES:
            await stream.send_all(PIECE)
            self.given_bytes += len(PIECE)

    async def _http2(self, stream):
        """Windows are heeded, and none is given."""
        conn = H2Connection(H2Configuration(client_side=False))
        conn.initiate_connection()
        down = []
        while True:
            for number in down:
                while room := min(conn.local_flow_control_window(number), 16384):
                    conn.send_data(number, PIECE[:room])
                    self.given_bytes += room
            await stream.send_all(conn.data_to_send())
            for event in conn.receive_data(await stream.receive_some(65536)):
                if isinstance(event, RequestReceived) and (b":path", b"/down") in event.headers:
                    conn.send_headers(event.stream_id, [(":status", "200")])
                    down.append(event.stream_id)


class Sender:
    """Who offers bytes without end."""

    def __init__(self):
        self.sent_bytes = 0

    async def http1(self, stream):
        await self.send(stream, post(b"Content-Length: %d" % OFFER_BYTES))

    async def send(self, stream, start):
        await stream.send_all(start)
        while self.sent_bytes < OFFER_BYTES:
            await stream.send_all(PIECE)
            self.sent_bytes += len(PIECE)

    async def http2(self, client):
        number = await client.begin("POST", whole=False)
        while True:
            await client.send(number, PIECE[:16384])
            self.sent_bytes += 16384


DOORS = (
    "ingress-http",
    "ingress-grpc-tls",
    "terminating-http",
    "terminating-http2",
    "sidecar-http",
)


@pytest.fixture(params=[*DOORS, *TCP_DOORS])
async def served(request, pki, tmp_path):
    program = Program(request.param.split("-")[1])
    async with opened(request.param, pki, tmp_path, serve=program.serve) as door:
        yield door, program


async def test_what_nobody_takes_comes_to_a_stop_and_is_not_held(served):
    door, program = served
    senders = []

    def moved():
        return program.given_bytes, *(one.sent_bytes for one in senders)

    async with trio.open_nursery() as nursery:

        def start(send, *args):
            nursery.start_soon(send, *args)

        tracemalloc.start()
        try:
            senders += [Sender(), Sender()]
            if door.is_http:
                start(senders[0].http1, await door.open())
                start((await door.open()).send_all, get().replace(b" / ", b" /down "))
                start(senders[1].http2, await Http2Client(await door.open(*OFFERED), "a").start())
                new = await Http2Client(await door.open(*OFFERED), "a", takes=False).start()
                await new.begin(target="/down")
            else:
                start(senders[0].send, await door.open(), b"up")
                start((await door.open()).send_all, b"down")
            before = None
            with trio.fail_after(3 * PATIENCE_SECONDS):
                while before != moved() or not program.given_bytes:
                    before = moved()
                    await trio.sleep(STILL_SECONDS)
            assert max(moved()) < OFFER_BYTES
            assert program.given_bytes
            assert tracemalloc.get_traced_memory()[1] < HELD_BYTES
        finally:
            tracemalloc.stop()
        nursery.cancel_scope.cancel()
