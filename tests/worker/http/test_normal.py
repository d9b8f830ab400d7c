import pytest

from cluster.http import EscapedSlashes, Normalisation, Underscores
from worker.http.normal import normalised
from worker.http.requests import parse_request

MERGE = Normalisation(merge_slashes=True)


def slashes(action):
    return Normalisation(escaped_slashes=action)


def underscores(action):
    return Normalisation(underscores=action)


def head(target="/", *fields):
    lines = [f"GET {target} HTTP/1.1", "Host: a", *fields, "", ""]
    return parse_request("\r\n".join(lines).encode(), 100)


def test_what_nobody_asks_for_is_not_done():
    request = head("//a%2Fb", "X_Y: 1")
    assert normalised(request, Normalisation()) is request
    assert normalised(head("/a/b"), MERGE) == head("/a/b")


@pytest.mark.parametrize(
    ("target", "rules", "sent"),
    [
        ("//a///b?c=//d", MERGE, b"/a/b?c=//d"),
        ("/a%2Fb%5cc", slashes(EscapedSlashes.FORWARD), b"/a/b/c"),
        ("/a%2F..%2fb", slashes(EscapedSlashes.FORWARD), b"/b"),
        ("/a%2Fb", slashes(EscapedSlashes.KEEP), b"/a%2Fb"),
        (
            "/a%2F/b",
            Normalisation(merge_slashes=True, escaped_slashes="UNESCAPE_AND_FORWARD"),
            b"/a/b",
        ),
    ],
)
def test_the_path_that_is_judged_is_the_path_that_is_sent(target, rules, sent):
    assert normalised(head(target), rules).target == sent


def test_a_client_is_sent_to_the_other_spelling():
    answer = normalised(head("/a%2Fb?c"), slashes(EscapedSlashes.REDIRECT))
    assert (answer.status, dict(answer.fields)) == (307, {b"location": b"/a/b?c"})


def test_what_is_not_taken_is_a_bad_request():
    assert normalised(head("/a%5Cb"), slashes(EscapedSlashes.REJECT)).status == 400
    assert normalised(head("/", "X_Y: 1"), underscores(Underscores.REJECT)).status == 400
    assert normalised(head("/", "X-Y: 1"), underscores(Underscores.REJECT)) == head("/", "X-Y: 1")


def test_fields_with_underscores_can_be_dropped():
    found = normalised(head("/", "X_Y: 1", "X-Z: 2"), underscores(Underscores.DROP))
    assert found.fields == ((b"X-Z", b"2"),)
