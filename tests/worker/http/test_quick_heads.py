"""The quick reading of heads says what the other one says, or nothing."""

from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.http.corpus import BODIES, GOOD, HEADS, get, post, request
from worker.http.faults import BadRequest, BadResponse
from worker.http.heads import Hop, plain_request_head, plain_response_head
from worker.http.reading import any_request, any_response

quick = pytest.importorskip("worker.http._heads")

MOST, FIELDS = 8 * 1024, 20
COMMON = (
    get(),
    get(b"User-Agent: curl/7.1", b"Accept: */*", b"X-Empty:", b"x-tab: a\tb", b"X-High: \xff\x80"),
    get(b"X-Forwarded-For: 1.2.3.4, 5.6.7.8", b"x-request-id: abc", b"X-Forwarded-Proto:"),
    get(b"X-Forwarded-Host: b", b"X-Forwarded-Client-Cert: By=x", b"Connection: Keep-Alive"),
    get(b"Connection: close", b"TE: trailers", b"Keep-Alive: 5", b"Proxy-Connection: x"),
    post(b"Content-Length: 3", body=b"abc"),
    post(b"Content-Length: 0", b"HTTP2-Settings: x"),
    post(b"Transfer-Encoding: Chunked", body=b"0\r\n\r\n"),
    request(b"GET /a/b%20?c=d&e=?/ HTTP/1.1", b"HOST: a.example.com:8080"),
    request(b"OPTIONS /a;b=c//d?x HTTP/1.1", b"Host: 127.0.0.1:"),
    *(
        request(method + b" /a? HTTP/1.1", b"host:a-b_c.d")
        for method in (b"PUT", b"DELETE", b"PATCH")
    ),
)
UNCOMMON = (
    get(b"Connection: keep-alive, x-a", b"X-A: b"),
    get(b"Connection: close", b"Connection: close"),
    get(b"Connection: close", b"Close: x"),
    get(b"X_Forwarded_For: 1", b"x_y: 1"),
    get(b"X-Forwarded-For: 1", b"X-Forwarded-For: 2"),
    get(b"Upgrade: websocket", b"Connection: upgrade"),
    get(b"Expect: 100-continue"),
    get(b"X-A: b "),
    get(*(b"X-%d: a" % number for number in range(FIELDS))),
    request(b"GET /../a HTTP/1.1", b"Host: a"),
    request(b"GET /a/./b HTTP/1.1", b"Host: a"),
    request(b"GET /%41 HTTP/1.1", b"Host: a"),
    request(b"GET /\\a HTTP/1.1", b"Host: a"),
    request(b"GET http://a/b HTTP/1.1", b"Host: a"),
    request(b"GET / HTTP/1.1", b"Host: [::1]:80"),
    request(b"GET / HTTP/1.0"),
    request(b"TRACE / HTTP/1.1", b"Host: a"),
)
REQUESTS = (*COMMON, *UNCOMMON, *(case[1] for case in (*HEADS, *BODIES, *GOOD)))

ANSWERS = (
    b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\nDate: y\r\n\r\nhello",
    b"HTTP/1.1 404 Not\tFound\r\nTransfer-Encoding: chunked\r\nX-Forwarded-For: a\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 204 \r\nConnection: close\r\nHost: a\r\nx_y: z\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nConnection: Keep-Alive\r\n\r\n",
    b"HTTP/1.1 200 until the end\r\nKeep-Alive: 5\r\nX-Empty:\r\n\r\nhello",
    b"HTTP/1.1 599 \xff\r\nTE: x\r\n\r\n",
    b"HTTP/1.1 200\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 999 x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nClose: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\n",
)


def slowly(read, *arguments):
    try:
        head, rest = read(*arguments)
    except (BadRequest, BadResponse):
        return None
    return None if head is None else (head, rest)


def check_request(data, most=MOST):
    """Returns whether it was quick."""
    found = quick.request(data, most, FIELDS)
    if found is not None:
        assert (found[0], data[found[1] :]) == slowly(any_request, data, most, FIELDS)
    return found is not None


def check_response(data, method=b"GET", most=MOST):
    found = quick.response(data, method, most, FIELDS)
    if found is not None:
        assert (found[0], data[found[1] :]) == slowly(any_response, data, method, most, FIELDS)
    return found is not None


@pytest.mark.parametrize("data", COMMON)
def test_common_requests_are_quick(data):
    assert check_request(data) is (b"%" not in data)


@pytest.mark.parametrize("data", UNCOMMON)
def test_what_takes_a_second_look_is_left_to_python(data):
    assert not check_request(data)


def test_the_whole_corpus_at_every_prefix():
    for data in REQUESTS:
        for end in range(min(len(data), 600)):
            check_request(data[:end])
        check_request(data)


def test_answers_at_every_prefix():
    assert [check_response(data) for data in ANSWERS[:6]] == [True] * 6
    assert [check_response(data) for data in ANSWERS[6:]] == [False] * 12
    for data in ANSWERS:
        for method in (b"GET", b"HEAD"):
            for end in range(len(data) + 1):
                check_response(data[:end], method)


def test_the_bounds_are_the_same():
    head = get(b"X-A: " + b"b" * 100)
    for most in range(len(head) - 3, len(head) + 3):
        assert check_request(head, most) is (most >= len(head))
    assert check_request(get(*(b"X-%d: a" % number for number in range(FIELDS - 1))))
    many = b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * FIELDS
    assert check_response(many + b"\r\n")
    assert not check_response(many + b"A: b\r\n\r\n")


PIECES = (
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b",", b"_", b"\x00", b"\x7f", b"\xff"),
    *(b"%", b"%2e", b"..", b"/", b"\\", b"?", b"#", b"*", b";", b"@", b"[", b"]", b"+", b"-1"),
    *(b"0", b"9" * 19, b"chunked", b"close", b"keep-alive", b"upgrade", b"websocket", b"gzip"),
    *(b"Host: b\r\n", b"Connection: close\r\n", b"Content-Length: 3\r\n", b"X-Request-Id: a\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"close: x\r\n", b"HTTP/1.0", b"HTTP/1.1", b"TRACE "),
)


@st.composite
def mutated(draw, seeds):
    """A seed with some of its bytes cut out, and something else in their place."""
    data = draw(st.sampled_from(seeds))[:600]
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(start + 8, len(data))))
        what = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)))
        data = data[:start] + what + data[end:]
    return data


@given(mutated((*COMMON, *UNCOMMON, *(case[1] for case in GOOD))))
def test_mutated_requests(data):
    check_request(data)


@given(mutated(ANSWERS), st.sampled_from((b"GET", b"HEAD")))
def test_mutated_answers(data, method):
    check_response(data, method)


SOME = st.sampled_from((b"", b"a", b"a b", b"\xff,"))


@given(
    st.sampled_from((*COMMON, *(case[1] for case in GOOD))),
    st.builds(
        Hop, address=st.just(b"1.2.3.4"), scheme=SOME, client_cert=SOME, replaces_cert=st.booleans()
    ),
    SOME,
)
def test_requests_are_written_alike(data, hop, host):
    head, _ = any_request(data, MOST, 1000)
    wanted = plain_request_head(head, hop, host, b"id")
    assert quick.request_head(head, hop, host, b"id") == wanted


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("data", [*ANSWERS[:12], b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"])
def test_answers_are_written_alike(data, method):
    head, _ = any_response(data, method, MOST, FIELDS)
    for minor in (0, 1):
        for keep in (False, True):
            wanted = plain_response_head(head, minor, keep_alive=keep)
            assert quick.response_head(head, minor, keep) == wanted


@given(st.integers(0, 2**128 - 1))
def test_request_ids_are_written_alike(bits):
    made = UUID(quick.uuid(bits).decode())
    assert (made.version, made.variant) == (4, RFC_4122)
    free = ~(0xF << 76) & ~(0x3 << 62) & (1 << 128) - 1
    assert made.int & free == bits & free
