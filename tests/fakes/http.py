"""HTTP/1.1 clients and servers whose reading of the protocol is not ours: h11's.

A server answers by a function from what it was asked to what it answers; what it was asked is kept.
"""

import contextlib
from dataclasses import dataclass, field

import h11
import trio

from tests.fakes.rig import PATIENCE_SECONDS, start_upstream


@dataclass
class Message:
    """A request or a response, whole. `raw` is what a server answers as it is."""

    start: object
    body: bytes = b""
    trailers: tuple = ()
    connection: int = 0

    @property
    def headers(self):
        return {name.decode(): value.decode("latin-1") for name, value in self.start.headers}

    @property
    def status(self):
        return self.start.status_code

    @property
    def target(self):
        return self.start.target.decode()


async def next_event(stream, conn):
    while True:
        event = conn.next_event()
        if event is not h11.NEED_DATA:
            return event
        try:
            conn.receive_data(await stream.receive_some(65536))
        except trio.BrokenResourceError:
            raise ConnectionResetError from None


async def receive(stream, conn, message=None):
    """The next message with its body; None at the end of the connection. Raises h11's errors."""
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            event = await next_event(stream, conn)
            if isinstance(event, h11.ConnectionClosed):
                return None
            if isinstance(event, (h11.Request, h11.Response)):
                message = Message(event)
            elif isinstance(event, h11.InformationalResponse):
                return Message(event)
            elif isinstance(event, h11.Data):
                message.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                message.trailers = tuple(event.headers)
                return message
            elif event is h11.PAUSED:
                conn.start_next_cycle()


class Client:
    """A caller's connection."""

    def __init__(self, stream):
        self.stream = stream
        self.conn = h11.Connection(h11.CLIENT)

    async def ask(self, method="GET", target="/", body=b"", chunked=False, trailers=(), **headers):
        """One request and its answer."""
        await self.send(method, target, body, chunked, trailers, **headers)
        return await self.answer()

    async def send(self, method="GET", target="/", body=b"", chunked=False, trailers=(), **headers):
        fields = {
            "Host": "billing.internal",
            **{n.replace("_", "-"): v for n, v in headers.items()},
        }
        if chunked:
            fields["Transfer-Encoding"] = "chunked"
        elif body:
            fields["Content-Length"] = str(len(body))
        request = h11.Request(method=method, target=target, headers=list(fields.items()))
        data = self.conn.send(request)
        for at in range(0, len(body), 50_000):
            data += self.conn.send(h11.Data(data=body[at : at + 50_000]))
        data += self.conn.send(h11.EndOfMessage(headers=list(trailers)))
        await self.stream.send_all(data)

    async def answer(self):
        """The next answer, interim ones included."""
        found = await receive(self.stream, self.conn)
        if (
            found is not None
            and self.conn.our_state is h11.DONE
            and self.conn.their_state is h11.DONE
        ):
            self.conn.start_next_cycle()
        return found

    async def ended(self):
        """How the connection ends when nothing more is asked: what came, `in order` or `broken`."""
        got = b""
        with trio.fail_after(PATIENCE_SECONDS):
            try:
                while chunk := await self.stream.receive_some():
                    got += chunk
            except trio.BrokenResourceError:
                return got, "broken"
        return got, "in order"


@dataclass
class Server:
    """An upstream; `answer` makes (status, headers, body) of a message, or bytes to be sent as they are."""

    answer: object
    seen: list = field(default_factory=list)
    upstream: object = None

    @property
    def endpoint(self):
        return self.upstream.endpoint

    @property
    def connections(self):
        return self.upstream.accepted

    async def start(self, nursery, ssl_context=None):
        self.upstream = await start_upstream(nursery, self._serve, ssl_context)
        return self

    async def _serve(self, stream):
        number = self.upstream.accepted
        conn = h11.Connection(h11.SERVER)
        with contextlib.suppress(ConnectionError, h11.RemoteProtocolError):
            while (message := await self._receive(stream, conn)) is not None:
                message.connection = number
                self.seen.append(message)
                answer = self.answer(message)
                if isinstance(answer, bytes):
                    await stream.send_all(answer)
                    return
                if answer is None:
                    return
                await self._reply(stream, conn, *answer)
                if conn.our_state is h11.MUST_CLOSE:
                    return
                conn.start_next_cycle()

    async def _receive(self, stream, conn):
        event = await next_event(stream, conn)
        if not isinstance(event, h11.Request):
            return None
        message = Message(event)
        while not isinstance(event := await next_event(stream, conn), h11.EndOfMessage):
            message.body += bytes(event.data)
        message.trailers = tuple(event.headers)
        return message

    async def _reply(self, stream, conn, status, headers, body):
        data = conn.send(h11.Response(status_code=status, headers=headers))
        if body:
            data += conn.send(h11.Data(data=body))
        await stream.send_all(data + conn.send(h11.EndOfMessage()))


def says(body=b"hello", status=200, **headers):
    """Always the same answer."""
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if not any(name.lower() == "transfer-encoding" for name, _ in fields):
        fields.append(("Content-Length", str(len(body))))
    return lambda message: (status, fields, b"" if message.start.method == b"HEAD" else body)
