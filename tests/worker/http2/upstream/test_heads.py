"""Requests as fields, and fields as answers: what is taken, and what is refused."""

import pytest

from tests.fakes.asked import a_request, head_of
from worker.http.faults import BadResponse
from worker.http.fields import CHUNKED
from worker.http.responses import Ends
from worker.http2.upstream.heads import request_fields, response_of, trailers_of

OK = (b":status", b"200")


def read(*fields, method=b"GET", is_end=False, most=100):
    return response_of(list(fields), method, is_end=is_end, max_fields=most)


def test_a_request_is_told_in_fields():
    request = a_request(
        b"POST",
        5,
        fields=((b"X-Mine", b" 1\t"), (b"Cookie", b"a=b")),
        forwarded={b"x-forwarded-for": b"10.0.0.1"},
        upgrade=b"websocket",
    )
    assert request_fields(head_of(request), b"https") == [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"api.internal"),
        (b":path", b"/things?a=b"),
        (b"x-mine", b"1"),
        (b"cookie", b"a=b"),
        (b"x-forwarded-for", b"10.0.0.1,192.0.2.7"),
        (b"x-forwarded-proto", b"https"),
        (b"x-request-id", b"an-id"),
        (b"x-forwarded-host", b"api.example"),
        (b"content-length", b"5"),
    ]


@pytest.mark.parametrize("kind", [b"application/grpc", b"application/grpc+proto"])
def test_grpc_is_told_that_trailers_are_taken(kind):
    fields = request_fields(head_of(a_request(fields=((b"Content-Type", kind),))), b"http")
    assert fields[-1] == (b"te", b"trailers")


@pytest.mark.parametrize(
    ("head", "length", "ends"),
    [
        (read(OK), None, CHUNKED),
        (read(OK, (b"content-length", b"7")), 7, 7),
        (read(OK, is_end=True), 0, Ends.AT_ONCE),
        (read(OK, (b"content-length", b"7"), method=b"HEAD"), 7, Ends.AT_ONCE),
        (read(OK, (b"content-length", b"7"), method=b"HEAD", is_end=True), 7, Ends.AT_ONCE),
        (read((b":status", b"304"), (b"content-length", b"7"), is_end=True), 7, Ends.AT_ONCE),
        (read((b":status", b"204")), None, Ends.AT_ONCE),
        (read((b":status", b"103")), None, Ends.AT_ONCE),
    ],
)
def test_where_a_body_ends(head, length, ends):
    assert (head.length, head.ends) == (length, ends)


def test_an_answer_is_as_one_of_http1():
    head = read((b":status", b"404"), (b"x-a", b"1"), (b"content-length", b"3"), (b"x-a", b"2"))
    assert (head.status, head.reason) == (404, b"Not Found")
    assert head.fields == ((b"x-a", b"1"), (b"x-a", b"2"))


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ((b"server", b"x"),),
        ((b":status", b"20"),),
        ((b":status", b"2000"),),
        ((b":status", b"+20"),),
        ((b":status", b"101"),),
        (OK, OK),
        (OK, (b":path", b"/")),
        (OK, (b"server", b"x"), (b":status", b"200")),
        (OK, (b"Server", b"x")),
        (OK, (b"", b"x")),
        (OK, (b"a b", b"x")),
        (OK, (b"a:b", b"x")),
        (OK, (b"a", b"x\r\ny: z")),
        (OK, (b"a", b"\0")),
        (OK, (b"connection", b"close")),
        (OK, (b"transfer-encoding", b"chunked")),
        (OK, (b"upgrade", b"websocket")),
        (OK, (b"content-length", b"-1")),
        (OK, (b"content-length", b"1,1")),
        (OK, (b"content-length", b"1"), (b"content-length", b"1")),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(fields):
    with pytest.raises(BadResponse):
        read(*fields)


def test_an_end_that_contradicts_the_head_is_refused():
    with pytest.raises(BadResponse):
        read(OK, (b"content-length", b"7"), is_end=True)
    with pytest.raises(BadResponse):
        read((b":status", b"103"), is_end=True)


def test_too_many_fields_are_refused():
    assert len(read(OK, *[(b"a", b"1")] * 100).fields) == 100
    with pytest.raises(BadResponse, match="101 header fields"):
        read(OK, *[(b"a", b"1")] * 101)


def test_trailers_hold_nothing_that_frames_or_routes():
    fields = [(b"grpc-status", b"0"), (b"content-type", b"a/b"), (b"x-forwarded-for", b"1")]
    assert trailers_of(fields, 100) == ((b"grpc-status", b"0"),)
    with pytest.raises(BadResponse):
        trailers_of([(b":status", b"200")], 100)
