"""The quick reading of requests says what the other one says, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.http2.test_heads import MALFORMED, PSEUDO, REFUSED
from worker.http.faults import BadRequest
from worker.http2 import heads, native
from worker.http2.faults import Malformed

pytestmark = pytest.mark.skipif(not native.is_built, reason="the native modules were not built")

MOST, FIELDS = 1000, 10
COMMON = (
    [],
    [(b"accept", b"*/*"), (b"x-empty", b""), (b"x-tab", b"a\tb"), (b"x-high", b"\xff\x80")],
    [(b"cookie", b"a=1"), (b"x-a", b"1"), (b"cookie", b"b=2"), (b"te", b"trailers")],
    [(b"x-forwarded-for", b"10.0.0.1"), (b"x-request-id", b"abc"), (b"x-forwarded-proto", b"")],
    [(b"content-length", b"0")],
)
NAMES = st.sampled_from(
    b"accept x-a X-A x_forwarded_for x_y cookie te host close x-forwarded-for x-forwarded-host "
    b"x-request-id content-length expect connection keep-alive upgrade http2-settings "
    b"transfer-encoding :path ".split(b" ")
)
VALUES = st.sampled_from(
    b",a, a,a\t,trailers,3,0,+1,a.example,A.EXAMPLE,a\r\nb,\xff,\x00,100-continue".split(b",")
) | st.sampled_from([b"x" * 300, b"9" * 30])
PATHS = st.sampled_from(
    [
        "/",
        "/a?b=c",
        "/a?",
        "/../a",
        "/a/./b",
        "/%41",
        "/a b",
        "*",
        "",
        "http://a/",
        "/a//b;c",
        "/a#b",
    ]
)
HOSTS = st.sampled_from(["a.example", "a:80", "[::1]:80", "a b", "", "user@a", "a:123456", None])
METHODS = st.sampled_from(
    ["GET", "POST", "HEAD", "CONNECT", "TRACE", "get", "A B", "M-SEARCH", None]
)


def made(fields, **pseudo):
    given = PSEUDO | pseudo
    found = [(f":{n}".encode(), v.encode("latin-1")) for n, v in given.items() if v is not None]
    return [*found, *fields]


def slowly(fields, has_body):
    try:
        return heads.any_request_of(fields, has_body=has_body, max_bytes=MOST, max_fields=FIELDS)
    except (BadRequest, Malformed):
        return None


@pytest.mark.parametrize("has_body", [True, False])
@pytest.mark.parametrize("fields", COMMON)
def test_what_is_common_is_read_quickly_and_the_same(fields, has_body):
    given = made(fields)
    found = native.fields.request(given, has_body, MOST, FIELDS)
    assert found == slowly(given, has_body)
    assert found is not None


@pytest.mark.parametrize(
    "asked",
    [*MALFORMED.values(), *(case[0] for case in REFUSED.values())],
    ids=[*MALFORMED, *REFUSED],
)
@pytest.mark.parametrize("has_body", [True, False])
def test_what_is_refused_is_left_to_the_other(asked, has_body):
    pseudo = {name: value for name, value in asked.items() if name != "fields"}
    fields = made(asked.get("fields", ()), **pseudo)
    assert native.fields.request(fields, has_body, 61_440, 100) is None


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=6), PATHS, HOSTS, METHODS, st.booleans(), st.data()
)
def test_any_fields_are_read_the_same_or_not_at_all(fields, path, host, method, has_body, data):
    given = made(fields, path=path, authority=host, method=method)
    given = data.draw(st.permutations(given)) if data.draw(st.booleans()) else given
    found = native.fields.request(given, has_body, MOST, FIELDS)
    assert found is None or found == slowly(given, has_body)


def test_the_bounds_are_those_of_the_other():
    for count in (FIELDS, FIELDS + 1):
        given = made([(b"x-%d" % number, b"") for number in range(count)])
        assert (native.fields.request(given, False, MOST, FIELDS) is None) == (count > FIELDS)
    for size in range(MOST - 60, MOST):
        given = made([(b"x-a", b"a" * size)])
        found = native.fields.request(given, False, MOST, FIELDS)
        assert found == slowly(given, False)
