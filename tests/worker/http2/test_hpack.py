"""Field blocks outside Python: what the library says of the same octets, and what it understands."""

import hpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from worker.http2 import native

pytestmark = pytest.mark.skipif(not native.is_built, reason="the native modules were not built")

NAMES = st.sampled_from(
    [
        b":method",
        b":path",
        b":status",
        b"cookie",
        b"x-a",
        b"x-b",
        b"",
        b"content-length",
        b"x" * 200,
    ]
)
VALUES = st.one_of(
    st.sampled_from([b"GET", b"/", b"200", b"1", b"a" * 4100, b"b" * 1000]), st.binary(max_size=60)
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=12)
SIZES = st.sampled_from([0, 30, 100, 1000, 4096])
BLOCKS = st.lists(st.tuples(st.none() | SIZES, FIELDS), min_size=1, max_size=8)


def found_by(decoder, data):
    """The fields, or which error it was."""
    try:
        return [tuple(field) for field in decoder.decode(data, raw=True)]
    except hpack.HPACKError as error:
        return type(error)


def error_of(found):
    """The older name of one is a class of its own."""
    older = found is hpack.InvalidTableIndex
    return hpack.InvalidTableIndexError if older else found


@settings(max_examples=150, deadline=None)
@given(BLOCKS, st.booleans())
def test_blocks_say_what_the_library_says_of_them(blocks, huffman):
    packer, ours, theirs = hpack.Encoder(), native.hpack.Decoder(), hpack.Decoder()
    for size, fields in blocks:
        if size is not None:
            packer.header_table_size = size
        data = packer.encode(fields, huffman=huffman)
        assert found_by(ours, data) == found_by(theirs, data)
        assert ours.header_table_size == theirs.header_table_size


@settings(max_examples=400, deadline=None)
@given(st.lists(st.binary(max_size=80), min_size=1, max_size=4))
@example([b"\x3f\xe1\xff\x03"])
@example([b"\x3f\xe1\x1f\x82"])
@example([b"\x82\x20"])
@example([b"\xff" * 6])
@example([b"\xff\x80\x80\x80\x80\x80\x01"])
@example([b"\x40\x81\xff\x01a"])
@example([b"\x80"])
@example([b"\x40\x01a\x7f\xff\xff\x7f"])
def test_any_octets_say_what_the_library_says_of_them(blocks):
    ours, theirs = native.hpack.Decoder(), hpack.Decoder()
    for data in blocks:
        found = error_of(found_by(theirs, data))
        assert found_by(ours, data) == found
        if isinstance(found, type):
            return


@settings(max_examples=200, deadline=None)
@given(FIELDS.filter(bool), st.data())
def test_damaged_blocks_say_what_the_library_says_of_them(fields, data):
    block = bytearray(hpack.Encoder().encode(fields))
    for _ in range(data.draw(st.integers(1, 3))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    ours, theirs = native.hpack.Decoder(), hpack.Decoder()
    assert found_by(ours, bytes(block)) == error_of(found_by(theirs, bytes(block)))


def test_a_long_list_is_refused_as_the_library_does():
    ours, theirs = native.hpack.Decoder(1000), hpack.Decoder(1000)
    data = hpack.Encoder().encode([(b"x-a", b"a" * 400)]) + b"\xbe" * 5
    assert found_by(ours, data) is found_by(theirs, data) is hpack.OversizedHeaderListError


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.lists(SIZES, max_size=3), FIELDS), min_size=1, max_size=12))
def test_the_library_understands_what_is_packed(blocks):
    ours, theirs = native.hpack.Encoder(), hpack.Decoder()
    for sizes, fields in blocks:
        for size in sizes:
            ours.header_table_size = size
        assert found_by(theirs, ours.encode(fields)) == fields
        if fields:
            assert theirs.header_table_size == ours.header_table_size


def test_many_entries_come_and_go():
    ours, theirs = native.hpack.Encoder(), hpack.Decoder()
    for number in range(2000):
        fields = [(b"x-%d" % (number % 70), b"%d" % (number % 90)), (b"x-same", b"1")]
        assert found_by(theirs, ours.encode(fields)) == fields


def test_what_is_said_again_is_short_and_what_is_secret_is_marked():
    packer = native.hpack.Encoder()
    fields = [(b":status", b"200"), (b"x-a", b"1"), (b"x-b", b"2")]
    packer.encode(fields)
    assert packer.encode(fields) == b"\x88\xbf\xbe"
    (secret,) = hpack.Decoder().decode(packer.encode([(b"authorization", b"a")]), raw=True)
    assert isinstance(secret, hpack.NeverIndexedHeaderTuple)
    twice = [packer.encode([(b"content-length", b"12345")]) for _ in range(2)]
    assert twice[0] == twice[1]
    assert twice[0][0] & 0xF0 == 0


def test_only_octets_are_packed():
    with pytest.raises(TypeError):
        native.hpack.Encoder().encode([("a", "b")])
