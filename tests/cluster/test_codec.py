"""The codec: equal values have equal bytes, and no bytes do worse than a WireError."""

import contextlib
import random
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.codec import MAX_ITEMS, decode, encode
from cluster.errors import Problem, WireError
from cluster.intentions import Intention
from cluster.names import ServiceName

plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False),
        st.text(max_size=20),
        st.binary(max_size=20),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=20,
)

RULE = Intention(
    source=ServiceName(name="web"),
    destination=ServiceName(name="db", namespace="eng"),
    permissions=({"Action": "allow", "HTTP": {"PathPrefix": "/", "Methods": ["GET"]}},),
)


@given(plain)
def test_builtins_round_trip(value):
    assert decode(Any, encode(value)) == value


@given(st.dictionaries(st.text(max_size=8), plain, max_size=8), st.randoms())
def test_the_order_of_keys_does_not_show(value, chance):
    items = list(value.items())
    chance.shuffle(items)
    assert encode(dict(items)) == encode(value)


def test_structs_round_trip_and_omit_defaults():
    assert decode(Intention, encode(RULE)) == RULE
    assert encode(ServiceName(name="web")) == encode({"name": "web"})


class Held(msgspec.Struct, frozen=True):
    words: frozenset[str]


def test_the_order_of_sets_does_not_show():
    words = [f"word{number}" for number in range(50)]
    shuffled = random.Random(1).sample(words, len(words))
    assert encode(Held(words=frozenset(words))) == encode(Held(words=frozenset(shuffled)))


@given(st.binary(max_size=200))
def test_garbage_is_a_wire_error(data):
    with contextlib.suppress(WireError):
        decode(Intention, data)


@given(st.data())
def test_changed_bytes_are_a_wire_error_or_another_rule(data):
    body = bytearray(encode(RULE))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        assert isinstance(decode(Intention, bytes(body)), Intention)


def test_every_prefix_is_a_wire_error():
    body = encode(RULE)
    for length in range(len(body)):
        with pytest.raises(WireError):
            decode(Intention, body[:length])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not msgpack"),
        (encode(1) + encode(2), "not msgpack"),
        (b"\x81\x01\x02", "not msgpack"),
        (b"\xc1", "not msgpack"),
        (b"\xd9\x02\xff\xfe", "not msgpack"),
        (b"\x91" * 5000 + b"\xc0", "not msgpack"),
        (b"\xdd\xff\xff\xff\xff", "not msgpack"),
        (b"\xdf" + (MAX_ITEMS + 1).to_bytes(4, "big"), "not msgpack"),
        (encode({"name": 7}), r"name"),
        (encode({}), "missing required field `name`"),
        (encode([]), "not a ServiceName"),
        (msgpack.packb(msgpack.ExtType(4, b"x")), "not a ServiceName"),
        (msgpack.packb(msgpack.Timestamp(1)), "not a ServiceName"),
    ],
)
def test_each_way_to_be_wrong_is_told(data, message):
    with pytest.raises(WireError, match=message):
        decode(ServiceName, data)


def test_too_many_bytes_are_refused_before_they_are_read():
    body = encode("x" * 100)
    assert decode(str, body, max_bytes=len(body)) == "x" * 100
    with pytest.raises(WireError, match=f"{len(body)} bytes are more than the limit of 50"):
        decode(str, body, max_bytes=50)


@pytest.mark.parametrize(
    ("header", "item"), [(b"\xdd", b"\xc0"), (b"\xdf", b"\xc0\xc0")], ids=["array", "map"]
)
def test_a_body_of_too_many_items_is_refused_before_they_are_built(header, item):
    body = header + (MAX_ITEMS + 1).to_bytes(4, "big") + item
    with pytest.raises(WireError, match=f"{MAX_ITEMS + 1} exceeds max_.*len"):
        decode(list, body)


def test_a_problem_prints_its_place():
    everything = Problem(message="no", path="Services[1]", file="a.hcl", line=3)
    assert str(everything) == "a.hcl:3: Services[1]: no"
    assert str(Problem(message="no", file="a.hcl")) == "a.hcl: no"
    assert str(Problem(message="no")) == "no"
