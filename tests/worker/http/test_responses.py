"""What an upstream may answer, and where the body of its answer ends."""

import pytest

from worker.http.bodies import Malformed, body_of
from worker.http.faults import BadResponse
from worker.http.fields import CHUNKED
from worker.http.limits import CHUNK_EXCESS_BYTES
from worker.http.reading import next_response
from worker.http.responses import Ends


def answer(*lines, status=b"HTTP/1.1 200 OK"):
    return b"\r\n".join((status, *lines)) + b"\r\n\r\n"


def head_of(data, method=b"GET"):
    head, _ = next_response(data, method, 4096, 100)
    return head


@pytest.mark.parametrize(
    ("data", "method", "ends"),
    [
        (answer(b"Content-Length: 5"), b"GET", 5),
        (answer(b"Transfer-Encoding: Chunked"), b"GET", CHUNKED),
        (answer(), b"GET", Ends.WITH_THE_CONNECTION),
        (answer(b"Content-Length: 5"), b"HEAD", Ends.AT_ONCE),
        (answer(b"Transfer-Encoding: chunked"), b"HEAD", Ends.AT_ONCE),
        (answer(status=b"HTTP/1.1 204 No Content"), b"GET", Ends.AT_ONCE),
        (answer(b"Content-Length: 5", status=b"HTTP/1.1 304 Not Modified"), b"GET", Ends.AT_ONCE),
        (answer(status=b"HTTP/1.1 103 Early Hints"), b"GET", Ends.AT_ONCE),
    ],
)
def test_where_the_body_ends(data, method, ends):
    assert head_of(data, method).ends == ends


def test_a_connection_that_ends_the_body_is_not_kept():
    assert not head_of(answer()).keep_alive
    assert head_of(answer(b"Content-Length: 0")).keep_alive
    assert not head_of(answer(b"Content-Length: 0", b"Connection: close")).keep_alive
    assert not head_of(answer(b"Content-Length: 0", status=b"HTTP/1.0 200 OK")).keep_alive


def test_fields_of_one_hop_are_gone():
    head = head_of(
        answer(b"Connection: X-Mine", b"X-Mine: 1", b"Keep-Alive: timeout=5", b"Server: x")
    )
    assert head.fields == ((b"Server", b"x"),)


def test_a_reason_may_be_missing():
    assert head_of(answer(status=b"HTTP/1.1 200")).reason == b""
    assert head_of(answer(status=b"HTTP/1.1 200 ")).reason == b""
    assert head_of(answer(status=b"HTTP/1.1 404 Not \xe4 Found")).reason == b"Not \xe4 Found"


@pytest.mark.parametrize(
    "data",
    [
        answer(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        answer(b"Content-Length: 3", b"Content-Length: 3"),
        answer(b"Content-Length: 3, 3"),
        answer(b"Transfer-Encoding: gzip, chunked"),
        answer(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK"),
        answer(b"X: y", b" z"),
        answer(b"X : y"),
        answer(b"X: y\nSet-Cookie: a=b"),
        answer(status=b"HTTP/1.1 99 Low"),
        answer(status=b"HTTP/2 200"),
        answer(status=b"ICY 200 OK"),
        answer(*[b"X-%d: y" % n for n in range(101)]),
        b"HTTP/1.1 200 OK\n\n",
        b"x" * 4096,
    ],
)
def test_what_can_be_misunderstood_is_refused(data):
    with pytest.raises(BadResponse):
        head_of(data)


def test_a_head_is_waited_for_at_every_cut():
    data = answer(b"Content-Length: 3", b"Server: x")
    for cut in range(len(data)):
        assert next_response(data[:cut], b"GET", 4096, 100) == (None, data[:cut])


def test_a_body_that_ends_too_early_is_no_body():
    for length in (3, CHUNKED):
        body = body_of(length)
        body.take(b"2\r\n"[:2])
        with pytest.raises(Malformed):
            body.end()
    body = body_of(None)
    assert body.take(b"abc") == (b"abc", b"")
    body.end()
    assert body.is_over


def chunks(count, extension, size=1):
    return b"%x;%b\r\n%b\r\n" % (size, extension, b"x" * size) * count


def test_chunks_of_little_but_extensions_are_no_body():
    """A line earns its 16 bytes, and twice its data; what is behind that is bounded for the whole body."""
    body = body_of(CHUNKED)
    for _ in range(CHUNK_EXCESS_BYTES // 190):
        body.take(chunks(1, b"a" * 200))
    with pytest.raises(Malformed, match="extensions"):
        body.take(chunks(2, b"a" * 200))


@pytest.mark.parametrize("sent", [chunks(20_000, b"a=bcdefg"), chunks(500, b"a" * 200, size=120)])
def test_chunks_with_extensions_that_somebody_may_mean_are_a_body(sent):
    body = body_of(CHUNKED)
    content, _ = body.take(sent + b"0\r\n\r\n")
    assert set(content) == set(b"x")
    assert body.is_over


def test_bytes_one_at_a_time_are_a_body():
    body = body_of(CHUNKED)
    content, _ = body.take(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n")
    assert len(content) == 100_000
