"""An upstream that a test speaks for, step by step, over one connection; in HTTP/1.1 by h11, in HTTP/2 by h2.

Far ends for tests of `worker.http.asking.Ask`: what was asked is read, and what is answered is said, when the
test says so.
"""

import socket
from collections import deque
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h11
import trio

from cluster.routes import Endpoint
from tests.fakes.http import next_event
from worker.http.asks import Http1Ask
from worker.http.heads import Hop, Outgoing
from worker.http.pool import Upstream
from worker.http.requests import RequestHead
from worker.http2.upstream.connection import Connection
from worker.net.leg import PlainLeg

ENDPOINT = Endpoint(address="127.0.0.1", port=80)
KEY = ("127.0.0.1", 80, None)


def a_request(method=b"GET", length=None, **kwargs):
    """What a caller asks for."""
    given = {
        "path": "/things",
        "query": "a=b",
        "host": b"api.example",
        "minor": 1,
        "fields": ((b"Accept", b"text/plain"),),
        "forwarded": {},
        "keep_alive": True,
        "expects_continue": False,
        "upgrade": b"",
        **kwargs,
    }
    return RequestHead(method=method, length=length, **given)


def head_of(request):
    hop = Hop(address=b"192.0.2.7", scheme=b"https")
    return Outgoing(request=request, hop=hop, host=b"api.internal", request_id=b"an-id")


@dataclass
class Seen:
    """What the far end was asked."""

    method: str
    target: str
    headers: dict
    body: bytes = b""
    trailers: list = field(default_factory=list)


class Http1Site:
    """Asks over HTTP/1.1, and the far end of the connection."""

    def __init__(self):
        near, far = socket.socketpair()
        near.setblocking(False)
        self.near = near
        self.upstream = Upstream(PlainLeg(near), ENDPOINT, KEY)
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(far))
        self.conn = h11.Connection(h11.SERVER)
        self.released = []
        self.moved = 0
        self.upstream.moved = self._count

    def _count(self, moved):
        self.moved += moved

    async def start(self, nursery):
        return self

    def close(self):
        self.near.close()
        self.stream.socket.close()

    async def ask(self, request):
        """A request of which the head was sent."""
        asked = Http1Ask(request, self.upstream, self._release)
        await asked.open(head_of(request))
        return asked

    def _release(self, upstream, *, reusable):
        self.released.append(reusable)
        if not reusable:
            upstream.close()

    @property
    def is_reusable(self):
        """Whether the connection, having been given back, may serve another."""
        return self.released == [True]

    async def seen(self):
        """The request's head."""
        event = await next_event(self.stream, self.conn)
        headers = {n.decode(): v.decode() for n, v in event.headers}
        return Seen(event.method.decode(), event.target.decode(), headers)

    async def seen_whole(self):
        """The request to its end."""
        found = await self.seen()
        while not isinstance(event := await next_event(self.stream, self.conn), h11.EndOfMessage):
            found.body += bytes(event.data)
        found.trailers = [(n.decode(), v.decode()) for n, v in event.headers]
        return found

    async def answer(self, status=200, *headers, length=None, ends=False):
        """A head; a body follows unless it `ends`."""
        fields = list(headers)
        if status >= 200:
            if length is None and ends:
                length = 0
            framing = ("transfer-encoding", "chunked")
            fields.append(framing if length is None else ("content-length", str(length)))
        kind = h11.InformationalResponse if status < 200 else h11.Response
        await self._say(kind(status_code=status, headers=fields))
        if ends:
            await self.finish()

    async def content(self, data):
        await self._say(h11.Data(data=data))

    async def finish(self, *trailers):
        await self._say(h11.EndOfMessage(headers=list(trailers)))

    async def _say(self, event):
        await self.stream.send_all(self.conn.send(event))

    async def talk_nonsense(self):
        await self.stream.send_all(b"NONSENSE \x00\r\n\r\n")

    async def vanish(self):
        await self.stream.aclose()


class Http2Site:
    """Asks over HTTP/2, and the far end of the connection, by `h2` as a server.

    What the test says is about the request that was read last.
    """

    def __init__(self):
        near, far = socket.socketpair()
        near.setblocking(False)
        self.near = near
        self.connection = Connection(PlainLeg(near), ENDPOINT, trio.current_time, scheme=b"http")
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(far))
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.conn = h2.connection.H2Connection(config)
        self.moved = 0
        self.is_over = trio.Event()
        self._events = deque()
        self._id = 0

    async def start(self, nursery, greets=True):
        """With `greets` the far end says its settings."""
        nursery.start_soon(self._run)
        if greets:
            self.conn.initiate_connection()
            await self._say()
        return self

    async def _run(self):
        await self.connection.run()
        self.is_over.set()

    def close(self):
        self.connection.stop()
        self.stream.socket.close()

    async def ask(self, request):
        place = self.connection.reserve()
        place.moved = self._count
        await place.open(head_of(request))
        return place

    def _count(self, moved):
        self.moved += moved

    @property
    def is_reusable(self):
        """As it is for as long as the connection is there and nothing was reset."""
        return self.connection.has_room and not self._resets()

    def _resets(self):
        while True:
            try:
                data = self.stream.socket._sock.recv(65536)
            except BlockingIOError:
                break
            if not data:
                return True
            self._events += self.conn.receive_data(data)
        return any(isinstance(one, h2.events.StreamReset) for one in self._events)

    async def event(self, *kinds):
        """The next event of one of these kinds; what else came before is dropped."""
        while True:
            while self._events:
                event = self._events.popleft()
                if isinstance(event, kinds):
                    return event
            data = await self.stream.receive_some(65536)
            if not data:
                raise trio.EndOfChannel
            self._events += self.conn.receive_data(data)
            await self._say()

    async def _say(self):
        await self.stream.send_all(self.conn.data_to_send())

    async def seen(self):
        event = await self.event(h2.events.RequestReceived)
        self._id = event.stream_id
        headers = dict(event.headers)
        return Seen(headers[":method"], headers[":path"], headers)

    async def seen_whole(self):
        found = await self.seen()
        kinds = (h2.events.DataReceived, h2.events.TrailersReceived, h2.events.StreamEnded)
        while not isinstance(event := await self.event(*kinds), h2.events.StreamEnded):
            if isinstance(event, h2.events.DataReceived):
                found.body += event.data
                self.conn.acknowledge_received_data(event.flow_controlled_length, self._id)
                await self._say()
            else:
                found.trailers = [tuple(header) for header in event.headers]
        return found

    async def answer(self, status=200, *headers, length=None, ends=False):
        fields = [(":status", str(status)), *headers]
        if length is not None:
            fields.append(("content-length", str(length)))
        self.conn.send_headers(self._id, fields, end_stream=ends)
        await self._say()

    async def content(self, data):
        self.conn.send_data(self._id, data)
        await self._say()

    async def finish(self, *trailers):
        if trailers:
            self.conn.send_headers(self._id, trailers, end_stream=True)
        else:
            self.conn.end_stream(self._id)
        await self._say()

    async def talk_nonsense(self):
        await self.stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def vanish(self):
        await self.stream.aclose()
