"""Servers of HTTP/2 whose reading of the protocol is not ours: h2's, on the server's side.

A server answers by a function from what it was asked to what it answers, as those of `tests.fakes.http` do;
what it was asked is kept. It keeps to windows, and gives them back as it reads.
"""

import contextlib
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trio

from tests.fakes.rig import start_upstream


@dataclass
class Asked:
    """A request, whole."""

    stream: int
    headers: dict
    body: bytes = b""
    trailers: tuple = ()
    connection: int = 0

    @property
    def method(self):
        return self.headers[":method"]

    @property
    def target(self):
        return self.headers[":path"]


@dataclass
class Answer:
    """What is answered. With `reset` the stream is reset with this code, behind the body if there is one;
    with `leaves` a GOAWAY goes before the body that takes no further request; what `hangs` never comes.
    """

    status: int = 200
    headers: tuple = ()
    body: bytes = b""
    trailers: tuple = ()
    interim: tuple = ()
    reset: int | None = None
    leaves: bool = False
    hangs: bool = False


@dataclass
class Http2Server:
    """An upstream; `answer` makes an `Answer` of an `Asked`, or bytes that are sent as they are, or None to
    hang up. With `early` it does so without waiting for the body; one that `stays` hangs up behind no bytes.
    """

    answer: object
    settings: dict = field(default_factory=dict)
    seen: list = field(default_factory=list)
    early: bool = False
    stays: bool = False
    upstream: object = None
    links: list = field(default_factory=list)

    @property
    def endpoint(self):
        return self.upstream.endpoint

    @property
    def connections(self):
        return self.upstream.accepted

    async def start(self, nursery, ssl_context=None):
        if ssl_context is not None:
            ssl_context.set_alpn_protocols(["h2"])
        self.upstream = await start_upstream(nursery, self._serve, ssl_context)
        return self

    async def _serve(self, stream):
        link = Link(self, stream, self.upstream.accepted)
        self.links.append(link)
        with contextlib.suppress(ConnectionError, trio.ClosedResourceError):
            await link.run()


class Link:
    """One connection to the server."""

    def __init__(self, server, stream, number):
        self.server, self.stream, self.number = server, stream, number
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        self.conn = h2.connection.H2Connection(config)
        self.asked = {}
        self.left = {}
        self.is_over = False

    async def run(self):
        self.conn.initiate_connection()
        if self.server.settings:
            self.conn.update_settings(self.server.settings)
        await self.flush()
        while not self.is_over:
            try:
                data = await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                return
            if not data:
                return
            for event in self.conn.receive_data(data):
                with contextlib.suppress(
                    h2.exceptions.StreamClosedError
                ):  # reset in the same breath
                    self._happened(event)
            self._push()
            await self.flush()

    async def flush(self):
        if data := self.conn.data_to_send():
            with contextlib.suppress(trio.BrokenResourceError):
                await self.stream.send_all(data)

    def _happened(self, event):
        match event:
            case h2.events.RequestReceived():
                asked = Asked(event.stream_id, dict(event.headers), connection=self.number)
                self.asked[event.stream_id] = asked
                if self.server.early:
                    self._answer(event.stream_id, self.server.answer(asked))
            case h2.events.DataReceived():
                self.asked[event.stream_id].body += event.data
                self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                self.asked[event.stream_id].trailers = tuple(map(tuple, event.headers))
            case h2.events.StreamReset():
                self.asked.pop(event.stream_id, None)
                self.left.pop(event.stream_id, None)
            case h2.events.StreamEnded():
                asked = self.asked.pop(event.stream_id)
                self.server.seen.append(asked)
                if not self.server.early:
                    self._answer(asked.stream, self.server.answer(asked))

    def _answer(self, stream, answer):
        if not isinstance(answer, Answer):
            self.is_over = not (answer and self.server.stays)
            if answer:
                self.conn.clear_outbound_data_buffer()
                self.conn._data_to_send += answer
            return
        if answer.hangs:
            return
        for status in answer.interim:
            self.conn.send_headers(stream, [(":status", str(status))])
        if answer.reset is not None and not answer.body:
            self.conn.reset_stream(stream, answer.reset)
            return
        is_bare = not answer.body and not answer.trailers
        head = [(":status", str(answer.status)), *answer.headers]
        self.conn.send_headers(stream, head, end_stream=is_bare)
        if answer.leaves:
            self.conn._data_to_send += goaway(stream)
        if not is_bare:
            self.left[stream] = (answer.body, answer)

    def _push(self):
        """As much of the bodies as windows allow."""
        for stream, (body, answer) in tuple(self.left.items()):
            if stream not in self.conn.streams or self.conn.streams[stream].closed:
                del self.left[stream]
                continue
            while body and (room := self.conn.local_flow_control_window(stream)) > 0:
                size = min(room, self.conn.max_outbound_frame_size)
                self.conn.send_data(stream, body[:size])
                body = body[size:]
            self.left[stream] = (body, answer)
            if not body:
                del self.left[stream]
                self._finish(stream, answer)

    def _finish(self, stream, answer):
        if answer.reset is not None:
            self.conn.reset_stream(stream, answer.reset)
        elif answer.trailers:
            self.conn.send_headers(stream, answer.trailers, end_stream=True)
        else:
            self.conn.end_stream(stream)


def goaway(last_stream, code=0):
    """The frame that says so."""
    payload = last_stream.to_bytes(4, "big") + code.to_bytes(4, "big")
    return len(payload).to_bytes(3, "big") + b"\x07\x00" + bytes(4) + payload
