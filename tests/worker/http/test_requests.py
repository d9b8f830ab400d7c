"""Every request of the corpus, every prefix and every split of the good ones, and their mutations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.http.corpus import BODIES, GOOD, HEADS, get, post, request
from worker.http.bodies import Malformed, body_of
from worker.http.faults import BadRequest
from worker.http.reading import next_request

MOST = 60 * 1024


def head_of(data, fields=100):
    return next_request(data, MOST, fields)


def read(pieces):
    """All requests in a stream that comes in pieces: (head, content, trailers) each, and what is left."""
    found, unread, body, head, content = [], b"", None, None, b""
    for piece in pieces:
        unread += piece
        while unread or body is not None:
            if body is None:
                head, unread = head_of(unread)
                if head is None:
                    break
                body, content = body_of(head.length or 0), b""
            got, unread = body.take(unread)
            content += got
            if not body.is_over:
                break
            found.append((head, content, body.trailers))
            body = None
    return found, unread, body


def names(cases):
    return [pytest.param(*case[1:], id=case[0]) for case in cases]


@pytest.mark.parametrize(("data", "status"), names(HEADS))
def test_what_two_might_read_in_two_ways_is_refused(data, status):
    with pytest.raises(BadRequest) as refused:
        head_of(data)
    assert refused.value.status == status
    assert refused.value.why


@pytest.mark.parametrize(("data", "status"), names(HEADS))
def test_it_is_refused_in_whatever_pieces_it_comes(data, status):
    data = data[:3000] + data[-4:] if len(data) > 5000 else data
    if len(data) > 1500 or data.startswith(b"\x16"):  # what is too large is large in pieces, too
        return
    with pytest.raises(BadRequest):
        read([data[at : at + 1] for at in range(len(data))])


@pytest.mark.parametrize("data", names(BODIES))
def test_a_bad_body_is_refused_in_whatever_pieces_it_comes(data):
    for size in (1, 2, 3, 7, 1 << 16):
        with pytest.raises(Malformed):
            read([data[at : at + size] for at in range(0, len(data), size)])


@pytest.mark.parametrize(("data", "content"), names(GOOD))
def test_good_ones_mean_one_thing_at_every_cut(data, content):
    whole, rest, body = read([data])
    assert [got for _, got, _ in whole] == [content]
    assert (rest, body) == (b"", None)
    for cut in range(1, len(data)):
        assert read([data[:cut], data[cut:]])[0] == whole
        assert read([data[:cut]])[0] == []  # no prefix is a request
    assert read([data[at : at + 1] for at in range(len(data))])[0] == whole


def test_pipelined_requests_are_found_in_order():
    stream = b"".join(data for _, data, _ in GOOD)
    for size in (1, 5, 1 << 20):
        found, rest, _ = read([stream[at : at + size] for at in range(0, len(stream), size)])
        assert [content for _, content, _ in found] == [content for *_, content in GOOD]
        assert rest == b""


def test_an_empty_line_before_a_request_is_passed_over_once():
    assert head_of(b"\r\n" + get())[0] is not None
    with pytest.raises(BadRequest):
        head_of(b"\r\n\r\n" + get())


def test_a_target_loses_its_scheme_and_host():
    head, _ = head_of(request(b"GET HTTP://A:80?q HTTP/1.1", b"Host: a:80"))
    assert (head.target, head.host) == (b"/?q", b"A:80")
    head, _ = head_of(request(b"GET http://a/b%2f?q HTTP/1.0"))
    assert (head.target, head.host) == (b"/b%2f?q", b"a")


def test_fields_of_one_hop_are_gone():
    head, _ = head_of(
        get(
            b"Connection: X-Mine, keep-alive",
            b"Keep-Alive: 5",
            b"X-Mine: 1",
            b"x-mine: 2",
            b"TE: trailers",
            b"Proxy-Connection: close",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABk",
            b"X-Yours: 3",
        )
    )
    assert head.fields == ((b"X-Yours", b"3"),)
    assert head.keep_alive
    assert head.upgrade == b""


def test_a_connection_field_cannot_take_the_host_or_the_length_away():
    head, rest = head_of(
        post(b"Content-Length: 3", b"Connection: content-length, host", body=b"abc")
    )
    assert (head.length, head.host, rest) == (3, b"a", b"abc")


def test_what_a_field_imitates_with_underscores_is_dropped():
    head, _ = head_of(
        get(b"X_Forwarded_Client_Cert: forged", b"Content_Length: 9", b"X_Mine: kept")
    )
    assert head.fields == ((b"X_Mine", b"kept"),)


def test_fields_of_proxies_are_kept_apart_and_joined():
    head, _ = head_of(get(b"X-Forwarded-For: 1.1.1.1", b"x-forwarded-for:  2.2.2.2 "))
    assert head.forwarded == {b"x-forwarded-for": b"1.1.1.1,2.2.2.2"}
    assert head.fields == ()


@pytest.mark.parametrize(
    ("lines", "keeps"),
    [
        ((b"GET / HTTP/1.1",), True),
        ((b"GET / HTTP/1.1", b"Connection: close"), False),
        ((b"GET / HTTP/1.1", b"Connection: foo, Close"), False),
        ((b"GET / HTTP/1.0",), False),
        ((b"GET / HTTP/1.0", b"Connection: Keep-Alive"), True),
        ((b"GET / HTTP/1.0", b"Connection: keep-alive, close"), False),
    ],
)
def test_whether_the_connection_stays(lines, keeps):
    head, _ = head_of(request(lines[0], b"Host: a", *lines[1:]))
    assert head.keep_alive is keeps


WEBSOCKET = (b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket")


def test_a_websocket_may_be_asked_for_by_get_alone():
    assert head_of(get(*WEBSOCKET))[0].upgrade == b"websocket"
    assert head_of(post(*WEBSOCKET))[0].upgrade == b""
    assert head_of(get(b"Upgrade: websocket"))[0].upgrade == b""
    assert head_of(get(b"Connection: upgrade", b"Upgrade: h2c, websocket"))[0].upgrade == b""
    assert head_of(request(b"GET / HTTP/1.0", b"Host: a", *WEBSOCKET))[0].upgrade == b""


def test_an_expectation_is_told_and_not_passed_on():
    head, _ = head_of(post(b"Expect: 100-Continue", b"Content-Length: 3"))
    assert head.expects_continue
    assert head.fields == ()


PIECES = st.lists(st.integers(1, 40), max_size=30)


def cut(data, sizes):
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(st.lists(st.sampled_from(GOOD), min_size=1, max_size=4), PIECES)
def test_re_chunked_requests_mean_the_same(cases, sizes):
    found, rest, _ = read(cut(b"".join(data for _, data, _ in cases), sizes))
    assert [content for _, content, _ in found] == [content for *_, content in cases]
    assert rest == b""


#: Where, what is put there, and how much of what was there goes.
EDITS = st.tuples(
    st.integers(0, 400),
    st.sampled_from([b"", b"\r", b"\n", b" ", b"\0", b":", b"0", b"\xff"]),
    st.integers(0, 2),
)


@given(st.sampled_from(GOOD), st.lists(EDITS, max_size=3), PIECES)
def test_mutations_are_read_or_refused_and_nothing_else(case, edits, sizes):
    data = case[1]
    for at, put, drop in edits:
        at %= len(data)
        data = data[:at] + put + data[at + drop :]
        if not data:
            return
    try:
        found, _, _ = read(cut(data, sizes))
    except (BadRequest, Malformed):
        return
    for head, content, _ in found:
        assert head.host or head.minor == 0
        assert head.length in (None, -1) or head.length == len(content)
