"""The quick look at a hello says nothing that the strict parser would not say.

Anything else would let a client be routed by one name here and by another one, or none, elsewhere.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker.gateways.conftest import client_hello
from worker.tls.clienthello import BadHello, ClientHello, parse

quick = pytest.importorskip(
    "worker.arrival._quick", reason="the accept call outside Python was not built"
)

NAME = "web.default.dc1.internal.11111111-2222-3333-4444-555555555555.consul"
HELLO = client_hello(NAME)


def strict(data):
    """The name and length that the strict parser finds; None if it finds no name."""
    try:
        found = parse(data)
    except BadHello:
        return None
    if not isinstance(found, ClientHello) or not found.server_name:
        return None
    return found.server_name, found.length


def assert_agrees(data):
    name, length = quick.look(data)
    if name is None:
        assert length == 0
    else:
        assert strict(data) == (name, length)


@pytest.mark.parametrize("name", ["a", "Mixed.Case", "x_y-z.example", "a" * 60 + ".b", NAME])
def test_real_hellos_are_known_at_once(name):
    hello = client_hello(name)
    assert quick.look(hello) == (name.lower(), len(hello))
    assert strict(hello) == (name.lower(), len(hello))


def test_every_prefix_says_nothing():
    for size in range(len(HELLO)):
        assert quick.look(HELLO[:size]) == (None, 0)


def test_what_follows_the_hello_is_not_looked_at():
    assert quick.look(HELLO + b"\xff" * 100) == (NAME, len(HELLO))


def test_every_byte_changed_to_every_value():
    for at in range(len(HELLO)):
        for value in range(256):
            assert_agrees(HELLO[:at] + bytes((value,)) + HELLO[at + 1 :])


@settings(max_examples=300)
@given(st.data())
def test_bytes_cut_out_put_in_and_doubled(data):
    mangled = bytearray(HELLO)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(mangled)))
        end = data.draw(st.integers(start, min(len(mangled), start + 40)))
        piece = data.draw(st.sampled_from([b"", bytes(mangled[start:end]) * 2, b"\0\0"]))
        mangled[start:end] = piece
    fix_lengths(mangled)
    assert_agrees(bytes(mangled))


@settings(max_examples=300)
@given(st.randoms(use_true_random=False))
def test_hellos_of_any_extensions(chance):
    assert_agrees(made_up(chance))


def fix_lengths(data):
    """Make record and message fit what there is, so that the fields inside are reached."""
    if len(data) >= 9:
        data[3:5] = (len(data) - 5).to_bytes(2, "big")
        data[6:9] = (len(data) - 9).to_bytes(3, "big")


def made_up(chance: random.Random):
    """A hello of extensions that are well-formed, or nearly."""

    def vector(content, width):
        length = len(content) + chance.choice((0,) * 12 + (1, -1))
        return max(0, length).to_bytes(width, "big") + content

    def server_name():
        host = bytes(chance.choice(b"abcXYZ09.-_:\x00\xe9") for _ in range(chance.randrange(9)))
        return vector(bytes((chance.choice((0, 0, 0, 1)),)) + vector(host, 2), 2)

    def protocols():
        names = (vector(b"h2"[: chance.randrange(3)], 1) for _ in range(chance.randrange(3)))
        return vector(b"".join(names), 2)

    def versions():
        return vector(chance.randbytes(chance.randrange(5)), 1)

    makers = {0: server_name, 16: protocols, 43: versions, 10: lambda: b"", 51: lambda: b"key"}
    extensions = b"".join(
        kind.to_bytes(2, "big") + vector(makers[kind](), 2)
        for kind in (chance.choice(list(makers)) for _ in range(chance.randrange(6)))
    )
    body = b"\x03\x03" + bytes(32) + vector(bytes(chance.choice((0, 32, 33))), 1)
    body += vector(b"\x13\x01" * chance.randrange(3), 2) + vector(b"\0" * chance.randrange(2), 1)
    hello = bytearray(b"\x16\x03\x01\0\0\x01\0\0\0" + body + vector(extensions, 2))
    fix_lengths(hello)
    return bytes(hello)
