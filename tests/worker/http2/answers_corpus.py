"""What an upstream of HTTP/2 may send to the first request of a connection, to cost us or to be misread.

Each has octets behind the upstream's settings. What no peer at all may send is in `corpus.WRONG`.
"""

from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.worker.http2.corpus import block, raw

STATUS = [(":status", "200")]


def head(*fields, flags=("END_HEADERS",), status="200"):
    data = block([(":status", status), *fields])
    return HeadersFrame(1, data=data, flags=flags).serialize()


def data(content, *flags):
    return DataFrame(1, content, flags=flags).serialize()


WHOLE = ("END_HEADERS", "END_STREAM")

#: Too much of nothing: no answer will come of it.
FLOODS = [
    ("pings", PingFrame(0, opaque_data=bytes(8)).serialize() * 2000),
    ("settings", SettingsFrame(0).serialize() * 2000),
    ("acknowledged settings", SettingsFrame(0, flags=["ACK"]).serialize() * 2000),
    ("window updates", WindowUpdateFrame(0, window_increment=1).serialize() * 2000),
    ("windows of the stream", WindowUpdateFrame(1, window_increment=1).serialize() * 2000),
    ("priorities", PriorityFrame(1, stream_weight=1).serialize() * 2000),
    ("unknown frames", raw(99, 0, 0, b"x") * 2000),
    ("unknown frames of the stream", raw(99, 0, 1, b"x") * 2000),
    ("goaways", GoAwayFrame(0, last_stream_id=2**31 - 1).serialize() * 2000),
    ("resets", RstStreamFrame(1).serialize() * 2000),
    ("continuations", head(flags=()) + ContinuationFrame(1, data=b"").serialize() * 2000),
    ("a long block", head(flags=()) + ContinuationFrame(1, data=bytes(16384)).serialize() * 70),
    (
        "a bomb",
        HeadersFrame(
            1, data=block([*STATUS, ("x-a", "a" * 3800)]) + b"\xbe" * 8000, flags=WHOLE
        ).serialize(),
    ),
    ("fields that unpack to too much", head(*[(f"x-{n}", "y" * 4000) for n in range(20)])),
]

#: No answer, but nothing else is wrong with the connection.
HEADS = [
    ("no status", HeadersFrame(1, data=block([("x", "y")]), flags=WHOLE).serialize()),
    ("a status of two digits", head(status="99", flags=WHOLE)),
    ("a status in words", head(status="OK", flags=WHOLE)),
    ("an upgrade", head(status="101", flags=WHOLE)),
    ("an interim answer at the end", head(status="103", flags=WHOLE)),
    ("a capital in a name", head(("X-A", "b"), flags=WHOLE)),
    ("a space in a name", head(("x a", "b"), flags=WHOLE)),
    ("a line break in a value", head(("x-a", "b\r\nc: d"), flags=WHOLE)),
    ("a null in a value", head(("x-a", "\0"), flags=WHOLE)),
    ("a field of one hop", head(("connection", "close"), flags=WHOLE)),
    ("a coding", head(("transfer-encoding", "chunked"), flags=WHOLE)),
    ("two lengths", head(("content-length", "3"), ("content-length", "3"))),
    ("a length that is none", head(("content-length", "+3"))),
    ("a length and no body", head(("content-length", "3"), flags=WHOLE)),
    ("a request", HeadersFrame(1, data=block(), flags=WHOLE).serialize()),
    ("a second status", head((":status", "200"), flags=WHOLE)),
    ("too many fields", head(*[(f"x-{n}", "y") for n in range(101)], flags=WHOLE)),
]

#: Cut short behind their heads.
BODIES = [
    ("more than the length says", head(("content-length", "1")) + data(b"abc", "END_STREAM")),
    ("less than the length says", head(("content-length", "9")) + data(b"abc", "END_STREAM")),
    ("a reset", head() + data(b"abc") + RstStreamFrame(1, error_code=2).serialize()),
    ("data on no stream", head() + data(b"abc") + raw(0, 0, 0, b"a")),
    ("empty pieces", head() + data(b"abc") + data(b"") * 2000),
    ("a field of one hop behind it", head() + data(b"abc") + head(("te", "x"), flags=WHOLE)),
    ("a status behind it", head() + data(b"abc") + head(flags=WHOLE)),
    (
        "too many fields behind it",
        head() + data(b"abc") + head(*[(f"x-{n}", "y") for n in range(101)], flags=WHOLE),
    ),
]
