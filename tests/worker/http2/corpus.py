"""What a caller may send to cost us more than it costs itself, each with the code of its connection's end.

Each is octets behind a preface and settings, in frames that are made by others' code (`hyperframe`, `hpack`).
"""

import struct

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.fakes.http2_client import PREFACE

NO_ERROR, PROTOCOL, INTERNAL, FLOW_CONTROL = 0x0, 0x1, 0x2, 0x3
STREAM_CLOSED, FRAME_SIZE, COMPRESSION, CALM = 0x5, 0x6, 0x9, 0xB

START = PREFACE + SettingsFrame(0).serialize()
HEAD = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]


def block(fields=HEAD):
    return Encoder().encode(fields, huffman=False)


def headers(stream, data=None, flags=("END_HEADERS", "END_STREAM")):
    data = block() if data is None else data
    return HeadersFrame(stream, data=data, flags=flags).serialize()


def raw(kind, flags, stream, payload=b"", length=None):
    """Nine octets as nobody's library would write them, and a payload."""
    size = len(payload) if length is None else length
    return struct.pack(">HBBBL", size >> 8, size & 255, kind, flags, stream) + payload


def rapid_resets():
    for number in range(1, 1201, 2):
        yield headers(number) + RstStreamFrame(number, error_code=8).serialize()


def resets_that_the_server_makes():
    """A window that overflows makes the server reset the stream."""
    for number in range(1, 1201, 2):
        update = WindowUpdateFrame(number, window_increment=2**31 - 1).serialize()
        yield headers(number, flags=("END_HEADERS",)) + update


def malformed_requests():
    for number in range(1, 1201, 2):
        yield headers(number, block([*HEAD, ("connection", "close")]))


def streams_over_the_limit():
    for number in range(1, 2001, 2):
        yield headers(number, flags=("END_HEADERS",))


def continuations():
    yield headers(1, b"", flags=())
    for _ in range(100):
        yield ContinuationFrame(1, data=b"\x00\x01a\x01b").serialize()


def long_block():
    yield headers(1, b"", flags=())
    for _ in range(10):
        yield ContinuationFrame(1, data=b"\x00\x7f\x81\x7f" + bytes(10_000)).serialize()


def a_bomb():
    """One long field in the table, and then its index, an octet each time (CVE-2016-6581)."""
    first = block([*HEAD, ("x-a", "a" * 3800)])
    yield headers(1, first + b"\xbe" * 8000)


def empty_names():
    yield headers(1, block([*HEAD]) + b"\x00\x00\x00" * 5000)


def empty_data():
    yield headers(1, flags=("END_HEADERS",))
    for _ in range(200):
        yield DataFrame(1).serialize()


def padding_only():
    yield headers(1, block([*HEAD]), flags=("END_HEADERS",))
    for _ in range(9000):
        yield raw(0, 0x8, 1, b"\x00")


def settings():
    for _ in range(200):
        yield SettingsFrame(0, settings={4: 65535}).serialize()


def settings_acks():
    for _ in range(200):
        yield SettingsFrame(0, flags=["ACK"]).serialize()


def pings():
    for _ in range(500):
        yield PingFrame(0, opaque_data=b"12345678").serialize()


def priorities():
    for number in range(1, 1001, 2):
        yield PriorityFrame(number, depends_on=0, stream_weight=15).serialize()


def unknown_frames():
    for _ in range(500):
        yield raw(0x77, 0, 0, b"x" * 100)


def goaways():
    for _ in range(500):
        yield raw(7, 0, 0, bytes(8))


def window_updates():
    for _ in range(2000):
        yield WindowUpdateFrame(0, window_increment=1).serialize()


def too_large_a_window():
    yield WindowUpdateFrame(0, window_increment=2**31 - 1).serialize()


def once(*frames):
    return lambda: iter(frames)


#: Name, what makes the octets, the code.
FLOODS = [
    ("rapid reset", rapid_resets, CALM),
    ("resets that the server makes", resets_that_the_server_makes, CALM),
    ("malformed requests", malformed_requests, CALM),
    ("streams over the limit", streams_over_the_limit, CALM),
    ("continuations", continuations, CALM),
    ("a long block", long_block, CALM),
    ("a bomb", a_bomb, CALM),
    ("empty names", empty_names, CALM),
    ("empty data", empty_data, CALM),
    ("settings", settings, CALM),
    ("acknowledged settings", settings_acks, CALM),
    ("pings", pings, CALM),
    ("priorities", priorities, CALM),
    ("unknown frames", unknown_frames, CALM),
    ("goaways", goaways, NO_ERROR),
    ("window updates", window_updates, CALM),
]

#: What no client may send at all.
WRONG = [
    ("too large a window", too_large_a_window, FLOW_CONTROL),
    ("a long frame", once(raw(0, 0, 1, b"", length=16385)), FRAME_SIZE),
    ("the longest frame", once(raw(1, 4, 1, b"", length=2**24 - 1)), FRAME_SIZE),
    (
        "data on no stream",
        once(raw(0, 0, 0, b"a")),
        PROTOCOL,
    ),
    ("data on a stream that is not open", once(raw(0, 0, 1, b"a")), PROTOCOL),
    ("headers on no stream", once(raw(1, 5, 0, block())), PROTOCOL),
    ("a stream of the server's", once(headers(2)), PROTOCOL),
    ("a stream below one that was", once(headers(5), headers(3)), PROTOCOL),
    (
        "a promise",
        once(PushPromiseFrame(1, promised_stream_id=2, flags=["END_HEADERS"]).serialize()),
        PROTOCOL,
    ),
    ("a continuation of nothing", once(raw(9, 4, 1, b"")), PROTOCOL),
    (
        "another frame in a block",
        once(headers(1, b"", flags=()), PingFrame(0, opaque_data=bytes(8)).serialize()),
        PROTOCOL,
    ),
    ("an unknown frame in a block", once(headers(1, b"", flags=()), raw(0x77, 0, 1)), PROTOCOL),
    ("a priority in a block", once(headers(1, b"", flags=()), raw(2, 0, 1, bytes(5))), PROTOCOL),
    (
        "another stream's continuation",
        once(headers(1, b"", flags=()), raw(9, 4, 3, block())),
        PROTOCOL,
    ),
    ("an index of nothing", once(headers(1, b"\xff\xff\x7f")), COMPRESSION),
    ("an integer without end", once(headers(1, b"\xff" * 100)), COMPRESSION),
    ("a string longer than its block", once(headers(1, b"\x00\x7f\xff\xff\x7f")), COMPRESSION),
    ("a table larger than ours", once(headers(1, b"\x3f\xe1\xff\x03" + block())), COMPRESSION),
    ("settings on a stream", once(raw(4, 0, 1, b"")), PROTOCOL),
    ("settings of five octets", once(raw(4, 0, 0, b"12345")), FRAME_SIZE),
    ("settings acknowledged with a setting", once(raw(4, 1, 0, bytes(6))), PROTOCOL),
    ("a frame size below the least", once(SettingsFrame(0, settings={5: 1}).serialize()), PROTOCOL),
    ("a window above the largest", once(raw(4, 0, 0, b"\x00\x04\xff\xff\xff\xff")), FLOW_CONTROL),
    ("a ping of seven octets", once(raw(6, 0, 0, bytes(7))), FRAME_SIZE),
    ("a ping on a stream", once(raw(6, 0, 1, bytes(8))), PROTOCOL),
    ("a window update of nothing", once(raw(8, 0, 0, bytes(4))), PROTOCOL),
    ("a window update of three octets", once(raw(8, 0, 0, bytes(3))), FRAME_SIZE),
    (
        "a reset of three octets",
        once(headers(1, flags=("END_HEADERS",)), raw(3, 0, 1, bytes(3))),
        FRAME_SIZE,
    ),
    (
        "padding longer than the frame",
        once(headers(1, flags=("END_HEADERS",)), raw(0, 8, 1, b"\x09ab")),
        PROTOCOL,
    ),
    (
        "more than the length says",
        once(
            headers(1, block([*HEAD, ("content-length", "1")]), flags=("END_HEADERS",)),
            raw(0, 1, 1, b"ab"),
        ),
        PROTOCOL,
    ),
    (
        "less than the length says",
        once(
            headers(1, block([*HEAD, ("content-length", "3")]), flags=("END_HEADERS",)),
            raw(0, 1, 1, b"ab"),
        ),
        PROTOCOL,
    ),
    ("a length that is none", once(headers(1, block([*HEAD, ("content-length", "+1")]))), PROTOCOL),
]
