"""A connection to an upstream that speaks HTTP/2, and the two tasks that read from it and write to it.

Requests come and go on it, each in tasks of their own, and may be cancelled at any time: so none of them
waits for the socket with half a frame. They write into the library's buffer, as much as the socket takes is
sent at once, and the rest is the writer's. The window of the connection is opened again as soon as bytes
come, that of a stream only as they are read (`stream`): a caller that reads slowly stops nobody else.

A connection ends when its upstream leaves and the last request is over, when it is idle or silent for too
long, and when what comes is not HTTP/2 or is too much of nothing. Then its requests fail; those that an
upstream says it has not looked at in a way that tells they may be made elsewhere.

Belongs here: frames of one connection. Never here: which connection a request gets (`channels`), or what
a request's bytes mean (`stream`).
Source: RFC 9113; `h2` keeps the states.
"""

import contextlib
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trio
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings

from cluster.routes import Endpoint
from worker.http.faults import BadResponse
from worker.http.fields import Fields
from worker.http.heads import Outgoing
from worker.http.limits import DEFAULT_LIMITS, HttpLimits
from worker.http2.packing import pack_quickly
from worker.http2.upstream.heads import request_fields, trailer_fields
from worker.http2.upstream.leaving import Allowance, Frames, NotHttp2
from worker.http2.upstream.stream import Stream
from worker.net.leg import Leg, WouldBlockRead, WouldBlockWrite
from worker.relay.side import Side

#: Read for all connections; what was read is copied out before any other task runs.
_SCRATCH = memoryview(bytearray(64 * 1024))
#: What an answer may be ahead of its caller: as much is held, at most.
WINDOW_BYTES = 256 * 1024
#: The whole connection's window, which stops nobody: it is opened again at once.
_ALL_BYTES = 16 * 1024 * 1024
#: Requests wait while more than this is on its way out of the process.
_OUT_BYTES = 256 * 1024
#: An upstream that does not read what it makes us say (pings, settings) gets no further.
_MOST_OUT_BYTES = 4 * 1024 * 1024
#: So many requests send by themselves. With more of them fewer, larger packets are worth a short wait.
_FEW = 2
#: Reading never waits while there is more: so many reads before other tasks have their turn.
_READS_AT_ONCE = 4
#: What we remember of fields that were sent; an upstream may allow more, and it would be our memory.
_TABLE_BYTES = 4096
#: Requests at once that we make on one connection, if the upstream allows more.
MOST_STREAMS = 100
#: So long nothing may come while a request is under way, before the upstream is asked whether it is there.
QUIET_SECONDS = 15.0
#: So long the answer to that may take.
PING_SECONDS = 10.0
_EARNED_PER_REQUEST = 20.0
_EARNED_PER_PIECE = 4.0


class Connection:
    """One connection; see `run`."""

    def __init__(
        self,
        leg: Leg,
        endpoint: Endpoint,
        clock: Callable[[], float],
        *,
        scheme: bytes,
        made_with: object = None,
        limits: HttpLimits = DEFAULT_LIMITS,
    ) -> None:
        """`made_with` is the TLS context, `scheme` what requests are told to be of."""
        self.endpoint = endpoint
        self.made_with = made_with
        self.max_fields = limits.fields
        self.number = 0  # older ones have smaller ones
        self.idle_since = clock()
        self.is_leaving = False  # it takes no new requests
        self._clock = clock
        self._leg = leg
        self._scheme = scheme
        self._side = Side(leg)
        self._served = 0
        self._reserved = 0
        self._streams: dict[int, Stream] = {}
        self._out = bytearray()  # behind what is being written
        self._out_bytes = 0  # all that is not written yet
        self._work = trio.Event()
        self._over = trio.Event()
        self._frames = Frames()
        self._allowance = Allowance(clock())
        self._window_used = 0  # of the connection's, not opened again yet
        self._heard_at = clock()
        self._pinged_at: float | None = None
        self._conn = _new_connection(limits)
        self._flush()

    # For the pool.

    @property
    def has_room(self) -> bool:
        """Whether one more request may be made."""
        most = min(MOST_STREAMS, self._conn.remote_settings.max_concurrent_streams)
        return not self.is_leaving and self._reserved < most

    @property
    def is_idle(self) -> bool:
        return not self._reserved

    def reserve(self) -> Stream:
        """Room for one request."""
        self._reserved += 1
        self._served += 1
        return Stream(self, was_used=self._served > 1)

    def stop(self) -> None:
        """End it, requests under way included."""
        self.is_leaving = True
        self._over.set()

    def check(self) -> None:
        """Now and then: is the upstream still there, though it says nothing?"""
        now = self._clock()
        if self._pinged_at is not None:
            if now - self._pinged_at > PING_SECONDS:
                self.stop()
        elif self._streams and now - self._heard_at > QUIET_SECONDS:
            self._pinged_at = now
            self._conn.ping(b"lockgate")
            self._flush()

    async def run(self) -> None:
        """Until it is over; closes the leg."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                nursery.start_soon(self._read)
                await self._over.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._end()

    def _end(self) -> None:
        self.is_leaving = True
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._conn.close_connection()
        last = bytes(self._out) + self._conn.data_to_send()
        if last and self._out_bytes == len(self._out):  # nothing is half sent
            self._send_now(last)
        for stream in tuple(self._streams.values()):
            stream.lost()
        self._streams.clear()
        self._leg.close()

    # For its requests; see `stream.Carrier`.

    def begin(self, stream: Stream, head: Outgoing) -> int:
        if self._over.is_set() or self.is_leaving:
            stream.lost(unasked=True)
            return 0
        try:
            stream.id = self._conn.get_next_available_stream_id()
            fields = request_fields(head, self._scheme)
            self._conn.send_headers(stream.id, fields, end_stream=stream.is_sent)
        except (h2.exceptions.TooManyStreamsError, h2.exceptions.NoAvailableStreamIDError) as error:
            self.is_leaving = isinstance(error, h2.exceptions.NoAvailableStreamIDError)
            stream.id = 0
            stream.lost(unasked=True)
            return 0
        if not self._streams:
            self._heard_at = self._clock()
        self._streams[stream.id] = stream
        self._allowance.earn(_EARNED_PER_REQUEST)
        return self._flush()

    def put(self, stream: Stream, content: memoryview) -> int:
        if self._over.is_set() or self._out_bytes >= _OUT_BYTES:
            return 0
        conn = self._conn
        count = min(conn.local_flow_control_window(stream.id), len(content), _OUT_BYTES)
        if count <= 0:
            return 0
        most = conn.max_outbound_frame_size
        for at in range(0, count, most):
            conn.send_data(stream.id, bytes(content[at : min(at + most, count)]))
            self._allowance.earn(_EARNED_PER_PIECE)
        self._flush()
        return count

    def finish(self, stream: Stream, trailers: Fields) -> None:
        if self._over.is_set():
            return
        if trailers:
            self._conn.send_headers(stream.id, trailer_fields(trailers), end_stream=True)
        else:
            self._conn.end_stream(stream.id)
        self._flush()

    def taken(self, stream: Stream, count: int) -> None:
        if stream.is_ended or stream.id not in self._streams or self._over.is_set():
            return
        stream.window_used += count
        if stream.window_used * 2 >= WINDOW_BYTES:
            with contextlib.suppress(h2.exceptions.StreamClosedError):  # by a reset, behind this
                self._conn.increment_flow_control_window(stream.window_used, stream.id)
            stream.window_used = 0
            self._flush()

    def leave(self, stream: Stream) -> None:
        self._reserved -= 1
        if self._streams.pop(stream.id, None) is not None and not (
            stream.is_ended and stream.is_sent
        ):
            self._reset(stream, ErrorCodes.CANCEL)
        if not self._reserved:
            self.idle_since = self._clock()
            if self.is_leaving:
                self._over.set()

    def _reset(self, stream: Stream, code: ErrorCodes) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):  # it is over already
            self._conn.reset_stream(stream.id, code)
        self._flush()

    # Writing.

    def _flush(self) -> int:
        """Send what the library has as far as it goes at once; how much there was. Where many requests are
        under way the writer sends it, with what others say in the same moment.
        """
        data = self._conn.data_to_send()
        if not data:
            return 0
        is_later = self._out_bytes or len(self._streams) > _FEW
        sent = 0 if is_later else self._send_now(data)
        if sent < len(data):
            self._out += data[sent:]
            self._out_bytes += len(data) - sent
            self._work.set()
        return len(data)

    def _send_now(self, data: bytes) -> int:
        try:
            return self._leg.send(memoryview(data))
        except (WouldBlockRead, WouldBlockWrite):
            return 0
        except ConnectionError:
            self._over.set()
            return len(data)

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                while not self._out:
                    self._work = trio.Event()
                    await self._work.wait()
                data, self._out = bytes(self._out), bytearray()
                await self._side.send(memoryview(data), self._written)
                self._wake_senders()
        self._over.set()

    def _written(self, count: int) -> None:
        self._out_bytes -= count

    def _wake_senders(self) -> None:
        for stream in self._streams.values():
            stream.wake_sender()

    # Reading.

    async def _read(self) -> None:
        reads = 0
        with contextlib.suppress(ConnectionError):
            while count := await self._side.receive(_SCRATCH):
                if not self._received(bytes(_SCRATCH[:count])):
                    break
                reads += 1
                if reads % _READS_AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()
        self._over.set()

    def _received(self, data: bytes) -> bool:
        """Whether the connection can go on."""
        now = self._heard_at = self._clock()
        try:
            seen = self._frames.take(data)
            if seen.idle and not self._allowance.use(seen.idle, now):
                raise NotHttp2(ErrorCodes.ENHANCE_YOUR_CALM, "too much of nothing")
            events = self._conn.receive_data(seen.rest)
            if any(isinstance(event, h2.events.RequestReceived) for event in events):
                raise NotHttp2(ErrorCodes.PROTOCOL_ERROR, "the upstream opens streams")
        except NotHttp2 as error:
            self._conn.close_connection(error.code)
            return self._broken(str(error))
        except h2.exceptions.ProtocolError as error:
            return self._broken(str(error))
        for event in events:
            self._happened(event)
        if seen.last_stream is not None:
            self._left_by(seen.last_stream)
        self._flush()
        return self._out_bytes < _MOST_OUT_BYTES

    def _broken(self, why: str) -> bool:
        """What came is not HTTP/2; the library has written a GOAWAY that says so."""
        for stream in self._streams.values():
            stream.fail(BadResponse(why))
        self._flush()
        return False

    def _left_by(self, last_stream: int) -> None:
        """The upstream leaves: what it has not looked at may be asked elsewhere, the rest is answered."""
        self.is_leaving = True
        for stream in self._streams.values():
            if stream.id > last_stream:
                stream.lost(unasked=True)
        if not self._reserved:
            self._over.set()

    def _happened(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.WindowUpdated(stream_id=0) | h2.events.RemoteSettingsChanged():
                table = self._conn.encoder
                table.header_table_size = min(table.header_table_size, _TABLE_BYTES)
                self._wake_senders()
            case h2.events.PingAckReceived():
                self._pinged_at = None
            case h2.events.DataReceived():
                self._opened(event.flow_controlled_length)
                self._told(event)
            case h2.events.StreamReset():
                self._reset_by(event)
            case _:
                self._told(event)

    def _opened(self, count: int) -> None:
        self._window_used += count
        if self._window_used * 2 >= _ALL_BYTES:
            self._conn.increment_flow_control_window(self._window_used)
            self._window_used = 0

    def _told(self, event: h2.events.Event) -> None:
        """Something about one stream, if it is still there."""
        stream = self._streams.get(getattr(event, "stream_id", 0))
        if stream is None:
            return
        try:
            _tell(stream, event)
        except BadResponse as error:
            stream.fail(error)
            self._reset(stream, ErrorCodes.PROTOCOL_ERROR)

    def _reset_by(self, event: h2.events.StreamReset) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.lost(unasked=event.error_code == ErrorCodes.REFUSED_STREAM)


def _tell(stream: Stream, event: h2.events.Event) -> None:
    """What came for a stream. Raises `BadResponse`."""
    match event:
        case h2.events.DataReceived():
            stream.got_piece(event.data, event.flow_controlled_length)
        case h2.events.ResponseReceived() | h2.events.InformationalResponseReceived():
            ends = getattr(event, "stream_ended", None)
            stream.got_head(event.headers, is_end=ends is not None)
        case h2.events.StreamEnded():
            stream.got_end()
        case h2.events.WindowUpdated():
            stream.wake_sender()
        case h2.events.TrailersReceived():
            stream.got_trailers(event.headers)


def _new_connection(limits: HttpLimits) -> h2.connection.H2Connection:
    """With our settings in what is to be sent. Fields are checked by ourselves (`heads`)."""
    config = h2.config.H2Configuration(
        client_side=True,
        header_encoding=None,
        validate_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_inbound_headers=False,
        normalize_outbound_headers=False,
    )
    conn = h2.connection.H2Connection(config)
    conn.local_settings = Settings(
        client=True,
        initial_values={
            SettingCodes.ENABLE_PUSH: 0,
            SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
            SettingCodes.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.head_bytes,
        },
    )
    pack_quickly(conn, limits.head_bytes)
    conn.initiate_connection()
    conn.increment_flow_control_window(_ALL_BYTES)
    return conn
