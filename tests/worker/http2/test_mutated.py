"""Valid octets in any pieces get valid answers; damaged ones get those or a clean end, and never a bug."""

import contextlib

import hpack
import pytest
import trio
import trio.lowlevel
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from cluster.errors import ClientFault
from cluster.reasons import End
from tests.fakes.http2_client import frames_until_end
from tests.worker.http2.conftest import ENGINES, Site
from tests.worker.http2.corpus import HEAD, START, block, headers, raw
from worker.http2 import native

OPEN = ("END_HEADERS",)


def _with_body(number):
    body = DataFrame(number, data=b"body", flags=["END_STREAM"])
    return headers(number, flags=OPEN) + body.serialize()


def _reset(number):
    return headers(number, flags=OPEN) + RstStreamFrame(number, error_code=8).serialize()


def _and_a_ping(number):
    head = headers(number, block([*HEAD, ("x-a", "b" * 300)]))
    return head + PingFrame(0, opaque_data=b"12345678").serialize()


def _in_two_frames(number):
    first, rest = block()[:3], block()[3:]
    head = HeadersFrame(number, data=first, flags=["END_STREAM"]).serialize()
    return head + len(rest).to_bytes(3, "big") + b"\x09\x04" + number.to_bytes(4, "big") + rest


def _malformed(number):
    return headers(number, block([*HEAD, ("connection", "close")]))


#: Parts of conversations, each good behind any other, and whether the stream is answered (a body waits for
#: an upstream that is never reached).
PARTS = {
    headers: True,
    _with_body: False,
    _reset: False,
    _and_a_ping: True,
    _in_two_frames: True,
    _malformed: False,
}
CONVERSATIONS = st.lists(st.sampled_from(list(PARTS)), min_size=1, max_size=8)
CUTS = st.lists(st.integers(1, 60), max_size=30)
DAMAGE = st.lists(st.tuples(st.integers(24, 600), st.integers(0, 255)), min_size=1, max_size=4)


def octets_of(parts):
    return START + b"".join(part(2 * at + 1) for at, part in enumerate(parts))


async def _converse(octets, cuts):
    """What is answered, and how it ended."""
    async with trio.open_nursery() as nursery:
        site = Site(nursery)
        stream = site.client.stream

        async def send():
            at = 0
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                for size in cuts:
                    await stream.send_all(octets[at : at + size])
                    at += size
                    await trio.lowlevel.checkpoint()
                await stream.send_all(octets[at:])
                await trio.sleep(1.0)  # by a clock that jumps: when nothing happens any more
                await stream.send_eof()

        nursery.start_soon(send)
        frames = [frame for frame, _ in await frames_until_end(stream)]
        await site.over.wait()
        assert site.backend.under_way == 0
        stream.socket.close()
        nursery.cancel_scope.cancel()
    return frames, site.end


def converse(octets, cuts, is_native):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "is_built", is_native)
        return trio.run(_converse, octets, cuts, clock=MockClock(autojump_threshold=0))


def said(frames):
    """What frames mean, however it is packed, stream by stream; of a connection that broke how, as nobody can
    say what was answered before.
    """
    unpack, found = hpack.Decoder(), []
    for frame in frames:
        if isinstance(frame, HeadersFrame):
            found.append((frame.stream_id, sorted(frame.flags), unpack.decode(frame.data)))
        elif isinstance(frame, DataFrame):
            found.append((frame.stream_id, sorted(frame.flags), frame.data))
        elif isinstance(frame, RstStreamFrame | GoAwayFrame):
            code = ErrorCodes(frame.error_code)
            if code is ErrorCodes.STREAM_CLOSED and isinstance(frame, GoAwayFrame):
                code = ErrorCodes.PROTOCOL_ERROR  # the library, of a stream that it has forgotten
            found.append((frame.stream_id, type(frame), code))
    broken = [one for one in found if one[0] == 0 and one[2]]
    return broken or sorted(found, key=lambda one: one[0])


each = pytest.mark.parametrize("is_native", ENGINES)


@each
@settings(max_examples=60, deadline=None)
@given(CONVERSATIONS, CUTS)
def test_pieces_do_not_matter(is_native, parts, cuts):
    frames, _ = converse(octets_of(parts), cuts, is_native)
    assert not [frame for frame in frames if isinstance(frame, GoAwayFrame)]
    answered = {2 * at + 1 for at, part in enumerate(parts) if PARTS[part]}
    heads = [frame.stream_id for frame in frames if isinstance(frame, HeadersFrame)]
    bodies = [frame for frame in frames if isinstance(frame, DataFrame)]
    resets = {f.stream_id: f.error_code for f in frames if isinstance(f, RstStreamFrame)}
    assert sorted(heads) == sorted(answered)
    assert {frame.stream_id: frame.data for frame in bodies} == dict.fromkeys(answered, b"found")
    assert all("END_STREAM" in frame.flags for frame in bodies)
    malformed = {2 * at + 1 for at, part in enumerate(parts) if part is _malformed}
    assert resets == dict.fromkeys(malformed, ErrorCodes.PROTOCOL_ERROR)


def damaged_by(octets, damage):
    damaged = bytearray(octets)
    for at, value in damage:
        damaged[at % len(damaged)] = value
    return bytes(damaged)


@pytest.mark.skipif(len(ENGINES) < 2, reason="the native modules were not built")
@settings(max_examples=150, deadline=None)
@given(CONVERSATIONS, CUTS, DAMAGE)
def test_damage_gets_the_same_answers_with_and_without_native_modules(parts, cuts, damage):
    octets = damaged_by(octets_of(parts), damage)
    (ours, end), (theirs, other_end) = (converse(octets, cuts, engine) for engine in ENGINES)
    assert (end, said(ours)) == (other_end, said(theirs))


#: Frames that may be wrong in any way, on few streams.
BLOCKS = (
    block(),
    block([*HEAD, ("content-length", "3")]),
    block([*HEAD, ("content-length", "x")]),
    block([(":status", "100"), *HEAD]),
    b"\0\0\0\1\x10" + block(),  # behind a priority
    b"\x02" + block() + b"\0\0",  # with padding
)
OCTETS = (b"", b"abc", bytes(8), b"\xbe", b"\xff\xff")
INCREMENTS = (b"\0\0\0\1", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff")
SETTINGS = (
    b"\0\1\0\0\0\0",
    b"\0\2\0\0\0\1",
    b"\0\4\0\0\0\2",
    b"\0\4\x7f\xff\xff\xff",
    b"\0\5\0\0\x40\0",
)
PAYLOADS = st.sampled_from([*BLOCKS, *OCTETS, *INCREMENTS, *SETTINGS])
FLAGS = st.sampled_from([0, 1, 4, 5, 0x25, 0xD, 0x2D])
KINDS = st.sampled_from([0, 1, 1, 1, 2, 3, 4, 6, 7, 8, 8, 9, 0x77])
FRAMES = st.lists(st.builds(raw, KINDS, FLAGS, st.integers(0, 9), PAYLOADS), max_size=12)


@pytest.mark.skipif(len(ENGINES) < 2, reason="the native modules were not built")
@settings(max_examples=300, deadline=None)
@given(FRAMES, CUTS)
def test_any_frames_get_the_same_answers_with_and_without_native_modules(frames, cuts):
    octets = START + headers(1) + headers(3) + b"".join(frames)
    (ours, end), (theirs, other_end) = (converse(octets, cuts, engine) for engine in ENGINES)
    assert (end, said(ours)) == (other_end, said(theirs))


@each
@settings(max_examples=150, deadline=None)
@given(CONVERSATIONS, CUTS, DAMAGE)
def test_damage_gets_an_answer_or_a_clean_end(is_native, parts, cuts, damage):
    frames, end = converse(damaged_by(octets_of(parts), damage), cuts, is_native)
    assert isinstance(end, (End, ClientFault)), end
    codes = [frame.error_code for frame in frames if isinstance(frame, GoAwayFrame)]
    assert len(codes) < 2
    assert not {ErrorCodes.INTERNAL_ERROR} & set(codes)
