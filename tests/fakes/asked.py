"""An upstream that a test speaks for, step by step, over one connection; in HTTP/1.1 by h11.

Far ends for tests of `worker.http.asking.Ask`: what was asked is read, and what is answered is said, when the
test says so.
"""

import socket
from dataclasses import dataclass, field

import h11
import trio

from cluster.routes import Endpoint
from tests.fakes.http import next_event
from worker.http.asks import Http1Ask
from worker.http.heads import Hop, Outgoing
from worker.http.pool import Upstream
from worker.http.requests import RequestHead
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
