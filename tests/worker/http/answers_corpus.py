"""Answers that an upstream may give to cost us, or to be misread: what the caller must get instead.

Each name has the bytes that are sent, `Endless` for those that never stop. For a bad head it is 502; behind a
good head it is too late for that, so the answer is cut short.
"""

from dataclasses import dataclass

SMUGGLED = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True)
class Endless:
    """`start`, and then `more` until nobody listens."""

    start: bytes
    more: bytes


def answer(*lines, start=OK, body=b""):
    return start + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


#: Refused by their heads.
HEADS = [
    ("both lengths", answer(b"Content-Length: 3", b"Transfer-Encoding: chunked")),
    ("two equal lengths", answer(b"Content-Length: 3", b"Content-Length: 3", body=b"abc")),
    ("a list of lengths", answer(b"Content-Length: 3, 3", body=b"abc")),
    ("a signed length", answer(b"Content-Length: +3", body=b"abc")),
    ("a huge length", answer(b"Content-Length: " + b"9" * 30)),
    ("another coding", answer(b"Transfer-Encoding: gzip, chunked")),
    (
        "chunks in HTTP/1.0",
        answer(b"Transfer-Encoding: chunked", start=b"HTTP/1.0 200 OK\r\n"),
    ),
    ("obs-fold", answer(b"X: y", b" z", b"Content-Length: 0")),
    ("a space before the colon", answer(b"Content-Length : 0")),
    ("a space in a name", answer(b"X A: y", b"Content-Length: 0")),
    ("a bare LF in a value", answer(b"X: y\nSet-Cookie: a=b", b"Content-Length: 0")),
    ("a bare CR in a value", answer(b"X: y\rSet-Cookie: a=b", b"Content-Length: 0")),
    ("a null in a value", answer(b"X: \x00", b"Content-Length: 0")),
    ("bare LF everywhere", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ("no colon", answer(b"X", b"Content-Length: 0")),
    ("a status of two digits", answer(start=b"HTTP/1.1 99 Low\r\n")),
    ("a status of four digits", answer(start=b"HTTP/1.1 2000 OK\r\n")),
    ("no status", answer(start=b"HTTP/1.1 OK\r\n")),
    ("HTTP/2 in words", answer(start=b"HTTP/2 200\r\n")),
    ("HTTP/1.2", answer(start=b"HTTP/1.2 200 OK\r\n")),
    ("ICY", answer(start=b"ICY 200 OK\r\n")),
    ("no HTTP at all", b"220 mail.example.com ESMTP\r\n\r\n"),
    ("frames of HTTP/2", bytes(3) + b"\x04\x00" + bytes(4) + b"\r\n\r\n"),
    ("an upgrade that nobody asked for", answer(start=b"HTTP/1.1 101 Switching\r\n")),
    ("too many fields", answer(*[b"X-%d: y" % n for n in range(101)])),
    ("a head that is too large", answer(b"X: " + b"y" * 70_000)),
    ("a line without end", Endless(OK + b"X: ", b"y" * 10_000)),
    ("fields without end", Endless(OK, b"X: y\r\n" * 1000)),
    ("a reason without end", Endless(b"HTTP/1.1 200 ", b"O" * 10_000)),
    ("garbage without end", Endless(b"", b"\xff" * 10_000)),
]

#: Cut short behind their heads.
BODIES = [
    ("a chunk size that is no number", CHUNKED + b"g\r\n"),
    ("a chunk size that overflows", CHUNKED + b"f" * 17 + b"\r\n"),
    ("a bare LF behind a chunk size", CHUNKED + b"3\nabc\r\n0\r\n\r\n"),
    ("a chunk that is longer than its size", CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n"),
    ("a chunk line without end", Endless(CHUNKED + b"3;", b"a" * 10_000)),
    ("extensions without end", Endless(CHUNKED, b"1;" + b"a" * 200 + b"\r\nx\r\n")),
    ("trailers without end", Endless(CHUNKED + b"0\r\n", b"X: y\r\n" * 1000)),
    ("bad trailers", CHUNKED + b"0\r\nX Y: z\r\n\r\n"),
]

#: Good to their ends, and nobody's behind them: name, bytes, the body of the answer.
GOOD = [
    ("a second answer", answer(b"Content-Length: 5", body=b"hello" + SMUGGLED), b"hello"),
    ("a second answer behind chunks", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED, b"hello"),
    (
        "more than the length says",
        answer(b"Content-Length: 5", body=b"hello" + b"x" * 100_000),
        b"hello",
    ),
    ("a body where there is none", answer(start=b"HTTP/1.1 204 None\r\n", body=SMUGGLED), b""),
    (
        "interim answers",
        answer(start=b"HTTP/1.1 103 Early\r\n") * 1000
        + answer(b"Content-Length: 5", body=b"hello"),
        b"hello",
    ),
]
