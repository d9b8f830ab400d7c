"""A client of HTTP/2 whose reading of the protocol is not ours: the library's client side, and raw frames.

What it says may be wrong: nothing is checked on its way out.
"""

from dataclasses import dataclass, field

import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from hyperframe.frame import Frame, GoAwayFrame

from tests.fakes.rig import PATIENCE_SECONDS

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass
class Answer:
    """What came on one stream so far."""

    headers: dict = field(default_factory=dict)
    interim: list = field(default_factory=list)
    body: bytes = b""
    trailers: dict = field(default_factory=dict)
    reset: int | None = None
    is_whole: bool = False

    @property
    def status(self):
        return int(self.headers[":status"])

    @property
    def is_over(self):
        return self.is_whole or self.reset is not None


async def frames_until_end(stream):
    """All that comes, and nothing is said to it."""
    data = b""
    with trio.fail_after(PATIENCE_SECONDS):
        try:
            while more := await stream.receive_some(65536):
                data += more
        except trio.BrokenResourceError:
            pass  # what had come by then counts
    return list(split(data)[0])


def split(data):
    """Its whole frames, each with its octets, and what is left."""
    found = []
    while len(data) >= 9:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        if len(data) < 9 + length:
            break
        octets, data = data[: 9 + length], data[9 + length :]
        frame.parse_body(memoryview(octets[9:]))
        found.append((frame, octets))
    return found, data


def _named(headers):
    return {name.decode(): value.decode("latin-1") for name, value in headers}


class Http2Client:
    """A caller's connection; `takes` says whether what comes is given back to the window at once."""

    def __init__(self, stream, host="billing.internal", takes=True):
        self.stream, self.host, self.takes = stream, host, takes
        config = H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.conn = H2Connection(config)
        self.answers = {}
        self.goaways = []
        self._unread = b""
        self.is_ended = self.is_reset = False

    async def start(self):
        self.conn.initiate_connection()
        await self.flush()
        return self

    async def flush(self):
        await self.stream.send_all(self.conn.data_to_send())

    async def begin(self, method="GET", target="/", *, whole=True, fields=(), **pseudo):
        """A request's head; the number of its stream."""
        number = self.conn.get_next_available_stream_id()
        given = {":method": method, ":scheme": "http", ":authority": self.host, ":path": target}
        given |= {f":{name}": value for name, value in pseudo.items()}
        heads = [(n.encode(), v.encode()) for n, v in given.items() if v is not None]
        self.conn.send_headers(number, [*heads, *fields], end_stream=whole)
        self.answers[number] = Answer()
        await self.flush()
        return number

    async def send(self, number, data, *, whole=False):
        """A piece of a body, as the window lets it."""
        at = 0
        while at < len(data) or (whole and not data):
            room = min(self.conn.local_flow_control_window(number), 16384, len(data) - at)
            if room or not data:
                at += room
                last = whole and at == len(data)
                self.conn.send_data(number, data[at - room : at], end_stream=last)
                await self.flush()
                if last:
                    return
            elif not await self.step():
                raise ConnectionError("ended in a body")

    async def end(self, number, trailers=()):
        self.conn.send_headers(number, list(trailers), end_stream=True)
        await self.flush()

    async def step(self):
        """Read once; False at the end."""
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                data = await self.stream.receive_some(65536)
        except trio.BrokenResourceError:
            self.is_reset = True
            data = b""
        if not data:
            self.is_ended = True
            return False
        for frame, octets in self._frames(data):
            if isinstance(frame, GoAwayFrame):
                self.goaways.append(frame)  # after one the library would understand nothing more
            else:
                for event in self.conn.receive_data(octets):
                    self._on(event)
        if out := self.conn.data_to_send():
            try:
                await self.stream.send_all(out)
            except trio.BrokenResourceError:
                self.is_reset = True
        return True

    def _frames(self, data):
        found, self._unread = split(self._unread + data)
        return found

    def _on(self, event):
        answer = self.answers.get(getattr(event, "stream_id", None))
        match event:
            case ResponseReceived():
                answer.headers = _named(event.headers)
            case InformationalResponseReceived():
                answer.interim.append(_named(event.headers))
            case TrailersReceived():
                answer.trailers = _named(event.headers)
            case DataReceived():
                answer.body += event.data
                if self.takes:
                    self.conn.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
            case StreamEnded():
                answer.is_whole = True
            case StreamReset():
                answer.reset = int(event.error_code)
            case SettingsAcknowledged():
                pass

    async def until(self, number):
        """Its answer, once it is over."""
        while not self.answers[number].is_over:
            if not await self.step():
                break
        return self.answers[number]

    async def ask(self, *args, **kwargs):
        """A request without a body, and its answer."""
        return await self.until(await self.begin(*args, **kwargs))

    async def ended(self):
        """The code of GOAWAY that the connection ended with, None without one."""
        while not self.is_ended and await self.step():
            pass
        return self.goaways[-1].error_code if self.goaways else None
