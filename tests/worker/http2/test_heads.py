"""What is a request of HTTP/2, what is none, and what of one is refused."""

import pytest

from tests.worker.http.corpus import HEADS
from worker.http.answers import DENIED, NO_HEALTHY_UPSTREAM, Answer
from worker.http.faults import BadRequest
from worker.http.fields import CHUNKED
from worker.http.requests import parse_request
from worker.http2 import grpc, heads
from worker.http2.faults import Malformed

PSEUDO = {"method": "GET", "scheme": "http", "authority": "a.example", "path": "/"}


def read(fields=(), *, has_body=False, **pseudo):
    given = PSEUDO | pseudo
    made = [(f":{n}".encode(), v.encode("latin-1")) for n, v in given.items() if v is not None]
    return heads.request_of([*made, *fields], has_body=has_body, max_bytes=61_440, max_fields=100)


MALFORMED = {
    "no path": {"path": None},
    "an empty path": {"path": ""},
    "a path with a space": {"path": "/a b"},
    "an absolute path": {"path": "http://a/"},
    "no method": {"method": None},
    "a method with a space": {"method": "GET /"},
    "no scheme": {"scheme": None},
    "another scheme": {"scheme": "ftp"},
    "an unknown pseudo-header": {"protocol": "websocket"},
    "a name in capitals": {"fields": [(b"X-A", b"1")]},
    "a name with a colon": {"fields": [(b"a:b", b"1")]},
    "an empty name": {"fields": [(b"", b"1")]},
    "a name with a line break": {"fields": [(b"a\r\nb", b"1")]},
    "a value with a line break": {"fields": [(b"a", b"1\r\nb: 2")]},
    "a value with a null": {"fields": [(b"a", b"\x00")]},
    "a value with a blank before": {"fields": [(b"a", b" 1")]},
    "a value with a blank behind": {"fields": [(b"a", b"1\t")]},
    "connection": {"fields": [(b"connection", b"close")]},
    "keep-alive": {"fields": [(b"keep-alive", b"1")]},
    "proxy-connection": {"fields": [(b"proxy-connection", b"close")]},
    "transfer-encoding": {"fields": [(b"transfer-encoding", b"chunked")]},
    "upgrade": {"fields": [(b"upgrade", b"websocket")]},
    "te": {"fields": [(b"te", b"gzip")]},
    "a pseudo-header behind others": {"fields": [(b"a", b"1"), (b":path", b"/b")]},
    "a pseudo-header twice": {"fields": [(b":path", b"/b")]},
    "a pseudo-header of answers": {"fields": [(b":status", b"200")]},
}
REFUSED = {
    "CONNECT": ({"method": "CONNECT", "path": None, "scheme": None}, 405),
    "no host": ({"authority": None}, 400),
    "another host": ({"fields": [(b"host", b"other.example.com")]}, 400),
    "two hosts": ({"authority": None, "fields": [(b"host", b"a.example")] * 2}, 400),
    "no host's name": ({"authority": "a b"}, 400),
    "a user": ({"authority": "user@a.example"}, 400),
    "an expectation": ({"fields": [(b"expect", b"200-ok")]}, 417),
    "a bad escape": ({"path": "/%zz"}, 400),
    "too many fields": ({"fields": [(b"x-%d" % n, b"1") for n in range(101)]}, 431),
    "too long a head": ({"fields": [(b"x-long", b"a" * 61_440)]}, 431),
    "two equal lengths": ({"fields": [(b"content-length", b"0")] * 2}, 400),
}


@pytest.mark.parametrize("asked", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_request_is_malformed(asked):
    with pytest.raises(Malformed):
        read(**asked)


@pytest.mark.parametrize(("asked", "status"), REFUSED.values(), ids=REFUSED)
def test_what_no_request_may_be_is_refused(asked, status):
    with pytest.raises(BadRequest) as refused:
        read(**asked)
    assert refused.value.status == status


def test_a_request_means_what_it_means_in_http_1():
    fields = [(b"accept", b"*/*"), (b"x-forwarded-for", b"10.0.0.1"), (b"x-empty", b"")]
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    raw = b"GET /a/./b%41?c HTTP/1.1\r\nhost: a.example\r\n" + lines + b"\r\n"
    assert read(fields, path="/a/./b%41?c") == parse_request(raw, 100)


def test_fields_of_one_hop_go_no_further():
    assert read([(b"te", b"trailers"), (b"http2-settings", b"x")]).fields == ()


@pytest.mark.parametrize(
    ("fields", "has_body", "length"),
    [
        ([], False, None),
        ([], True, CHUNKED),
        ([(b"content-length", b"0")], False, 0),
        ([(b"content-length", b"7")], True, 7),
    ],
)
def test_a_body_is_as_long_as_it_says_or_as_it_lasts(fields, has_body, length):
    assert read(fields, has_body=has_body, method="POST").length == length


def test_a_host_that_is_said_twice_and_the_same_is_one():
    assert read([(b"host", b"A.example")]).host == b"a.example"
    assert read([(b"host", b"b.example")], authority=None).host == b"b.example"


def test_crumbs_of_a_cookie_are_one_again():
    crumbs = [(b"cookie", b"a=1"), (b"x-a", b"1"), (b"cookie", b"b=2")]
    assert read(crumbs).fields == ((b"x-a", b"1"), (b"cookie", b"a=1; b=2"))


@pytest.mark.parametrize("raw", [case[1] for case in HEADS], ids=[case[0] for case in HEADS])
def test_what_http_1_refuses_is_no_field_here_either(raw):
    """Whatever smuggles in HTTP/1.1, as the value of a field, would become lines of HTTP/1.1 again."""
    with pytest.raises(Malformed):
        read([(b"x-smuggled", raw)])
    with pytest.raises(Malformed):
        read(path="/ HTTP/1.1\r\n" + raw.decode("latin-1"))


def test_trailers_are_those_that_may_be():
    given = [(b"x-sum", b"7"), (b"content-length", b"9"), (b"connection", b"close")]
    assert heads.trailers_of(given) == ((b"x-sum", b"7"),)
    for bad in ((b":path", b"/"), (b"X-Sum", b"7"), (b"x-sum", b"7\r\n")):
        with pytest.raises(Malformed):
            heads.trailers_of([bad])


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc; charset=x", True),
        (b"application/grpc-web", False),
        (b"application/json", False),
    ],
)
def test_grpc_is_known_by_its_content_type(kind, known):
    assert grpc.is_grpc([(b"a", b"b"), (b"content-type", kind)]) is known


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        (DENIED, b"7", b"RBAC: access denied"),
        (NO_HEALTHY_UPSTREAM, b"14", b"no healthy upstream"),
        (Answer(status=404), b"12", None),
        (Answer(status=418, text="50 %\n"), b"2", b"50 %25%0A"),
    ],
)
def test_grpc_callers_are_told_in_its_own_words(answer, status, message):
    said = dict(grpc.fields(answer))
    assert (said[b":status"], said[b"grpc-status"]) == (b"200", status)
    assert said.get(b"grpc-message") == message
