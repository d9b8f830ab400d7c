"""Targets and their one spelling."""

import re
from urllib.parse import urljoin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cluster.http.target import (
    BadRequest,
    EscapedSlashes,
    Normalisation,
    Target,
    Underscores,
    allowed_headers,
    normal_path,
    normalisation_of,
    read_target,
)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/./b", "/a/b"),
        ("/a/../admin", "/admin"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/..", "/"),
        ("/../../etc", "/etc"),
        ("/a/%2e%2E/admin", "/admin"),
        ("/a/.%2e/admin", "/admin"),
        ("/a\\..\\admin", "/admin"),
        ("/%61dmin", "/admin"),
        ("/%7Euser", "/~user"),
        ("/a%2fb", "/a%2fb"),
        ("/a/..%2fadmin", "/a/..%2fadmin"),
        ("/%252e%252e/x", "/%252e%252e/x"),
        ("/a//b", "/a//b"),
        ("/a//../b", "/a/b"),
        ("/...", "/..."),
        ("/.hidden", "/.hidden"),
        ("/a%20b", "/a%20b"),
        ("/{a}|b", "/%7Ba%7D%7Cb"),
        ("/caf\xc3\xa9", "/caf%C3%A9"),
    ],
)
def test_a_path(text, path):
    assert read_target(text) == Target(path=path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "*",
        "?a",
        "/a b",
        "/a\tb",
        "/a\x00",
        "/a\x7f",
        "/a#b",
        "/a?b#c",
        "/a?b c",
        "/a?b\r\nX: y",
        "/%",
        "/%4",
        "/%zz",
        "/%00",
        "/a%2",
        "/%%32e",
        "ftp://h/",
        "http:///a",
        "http://user@h/",
        "http://h\\@other/",
        "example.com:443",
    ],
)
def test_what_is_refused(text):
    with pytest.raises(BadRequest):
        read_target(text)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://h/a?b", Target(path="/a", query="b", host="h")),
        ("HTTPS://H:8/a/../b", Target(path="/b", host="H:8")),
        ("http://h", Target(path="/", host="h")),
        ("http://h?b", Target(path="/", query="b", host="h")),
        ("//h/a", Target(path="//h/a")),
        ("/a?", Target(path="/a")),
        ("/a?../%2e%zz", Target(path="/a", query="../%2e%zz")),
    ],
)
def test_forms(text, target):
    assert read_target(text) == target


def test_a_star_is_for_options_only():
    assert read_target("*", "OPTIONS") == Target(path="*")
    with pytest.raises(BadRequest):
        read_target("host:443", "CONNECT")


@pytest.mark.parametrize("action", EscapedSlashes)
def test_escaped_slashes(action):
    rules = Normalisation(escaped_slashes=action)
    text = "/a/..%2Fb%5cc?d=%2F"
    match action:
        case EscapedSlashes.REJECT:
            with pytest.raises(BadRequest):
                read_target(text, rules=rules)
            assert read_target("/a%252Fb?d=%2F", rules=rules).path == "/a%252Fb"
        case EscapedSlashes.REDIRECT | EscapedSlashes.FORWARD:
            redirect = action is EscapedSlashes.REDIRECT
            wanted = Target(path="/b/c", query="d=%2F", redirect=redirect)
            assert read_target(text, rules=rules) == wanted
            assert not read_target("/a/../b", rules=rules).redirect
        case _:
            assert read_target(text, rules=rules).path == "/a/..%2Fb%5cc"


def test_slashes_are_merged_last():
    rules = Normalisation(merge_slashes=True, escaped_slashes=EscapedSlashes.FORWARD)
    assert read_target("/a//b", rules=rules).path == "/a/b"
    assert read_target("//a/%2F%2fb", rules=rules).path == "/a/b"


def test_paths_as_they_come():
    rules = Normalisation(paths=False)
    assert read_target("/a/../%61", rules=rules).path == "/a/../%61"
    with pytest.raises(BadRequest):
        read_target("/a%zz", rules=rules)


def test_headers_with_underscores():
    headers = (("x_a", "1"), ("x-a", "2"))
    assert allowed_headers(headers) == headers
    assert allowed_headers(headers, Normalisation(underscores=Underscores.DROP)) == headers[1:]
    reject = Normalisation(underscores=Underscores.REJECT)
    assert allowed_headers(headers[1:], reject) == headers[1:]
    with pytest.raises(BadRequest):
        allowed_headers(headers, reject)


def test_what_a_mesh_entry_says():
    assert normalisation_of({"Kind": "mesh"}) == Normalisation()
    said = {
        "InsecureDisablePathNormalization": True,
        "MergeSlashes": True,
        "PathWithEscapedSlashesAction": "REJECT_REQUEST",
        "HeadersWithUnderscoresAction": "DROP_HEADER",
    }
    entry = {"HTTP": {"Incoming": {"RequestNormalization": said}}}
    assert normalisation_of(entry) == Normalisation(
        paths=False,
        merge_slashes=True,
        escaped_slashes=EscapedSlashes.REJECT,
        underscores=Underscores.DROP,
    )


ODD = st.text("/.%2eE5cCfF\\ab?# \x00\xff", max_size=24).map(lambda text: f"/{text}")


@given(ODD, st.sampled_from(EscapedSlashes), st.booleans())
@example("/%2e%2e", EscapedSlashes.KEEP, False)
def test_one_spelling(text, slashes, merge):
    """Whatever is let through is a fixed point, cannot climb, and has no second reading."""
    rules = Normalisation(escaped_slashes=slashes, merge_slashes=merge)
    try:
        target = read_target(text, rules=rules)
    except BadRequest:
        return
    path = target.path
    assert path.startswith("/")
    assert path.isascii()
    assert not {".", ".."} & set(path.split("/"))
    assert not re.search(r"[\\\s#?]|%(?![0-9A-Fa-f]{2})|%2[eE]|%00|%61", path)
    again = read_target(path, rules=rules)
    assert (again.path, again.query, again.redirect) == (path, "", False)


@given(st.lists(st.text("ab.", max_size=3), max_size=6), st.booleans())
def test_dot_segments_as_the_standard_library_resolves_them(segments, trailing):
    segments = [segment for segment in segments if segment]
    path = "/" + "/".join(segments) + ("/" if trailing and segments else "")
    assert normal_path(path) == urljoin("http://h/", path).removeprefix("http://h")
