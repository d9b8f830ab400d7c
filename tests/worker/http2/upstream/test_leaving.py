"""What is taken out of an upstream's frames, and what they are counted as."""

import itertools

import pytest
from h2.errors import ErrorCodes
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.http2 import goaway
from worker.http2.upstream.leaving import Allowance, Frames, NotHttp2

DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, WINDOW = 0, 1, 2, 3, 4, 6, 8


def frame(kind, payload=b"", flags=0, stream=0):
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


BEGUN = frame(SETTINGS)
PIECES = st.lists(
    st.one_of(
        st.builds(frame, st.sampled_from([DATA, HEADERS, PING, 77]), st.binary(max_size=30)),
        st.builds(goaway, st.integers(0, 2**31 - 1)),
    ),
    max_size=8,
)


@given(PIECES, st.lists(st.integers(0, 300), max_size=8))
def test_only_goaway_is_taken_out_however_the_bytes_come(pieces, cuts):
    data = BEGUN + b"".join(pieces)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    frames, rest, named = Frames(), b"", None
    for start, end in itertools.pairwise(places):
        seen = frames.take(data[start:end])
        rest += seen.rest
        named = seen.last_stream if seen.last_stream is not None else named
    kept = [one for one in pieces if one[3] != 7]
    assert rest == BEGUN + b"".join(kept)
    left = [one for one in pieces if one[3] == 7]
    assert named == (int.from_bytes(left[-1][9:13]) if left else None)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ErrorCodes.PROTOCOL_ERROR),
        (frame(PING, bytes(8)), ErrorCodes.PROTOCOL_ERROR),
        (BEGUN + (16385).to_bytes(3) + bytes(6), ErrorCodes.FRAME_SIZE_ERROR),
        (BEGUN + (2**24 - 1).to_bytes(3) + b"\x07" + bytes(5), ErrorCodes.FRAME_SIZE_ERROR),
    ],
)
def test_what_is_not_http2_is_seen_at_its_first_frame(data, code):
    with pytest.raises(NotHttp2) as caught:
        Frames().take(data)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("one", "idle"),
    [
        (frame(DATA, b"a", stream=1), 0),
        (frame(DATA, stream=1), 1),
        (frame(DATA, flags=1, stream=1), 0),
        (frame(HEADERS, b"a", stream=1), 0),
        (frame(9, stream=1), 1),
        (frame(PING, bytes(8)), 1),
        (frame(SETTINGS), 1),
        (frame(PRIORITY, bytes(5), stream=1), 1),
        (frame(RST, bytes(4), stream=1), 1),
        (frame(WINDOW, bytes(4)), 1),
        (frame(200, b"anything"), 1),
        (goaway(1), 1),
    ],
)
def test_frames_that_bring_nothing_are_counted(one, idle):
    frames = Frames()
    frames.take(BEGUN)
    assert frames.take(one).idle == idle


def test_an_allowance_grows_with_time_and_with_work_up_to_a_bound():
    allowance = Allowance(0.0)
    assert allowance.use(1000, 0.0)
    assert not allowance.use(1, 0.0)
    assert allowance.use(99, 1.0)
    assert not allowance.use(1, 1.0)
    allowance.earn(20)
    assert allowance.use(18, 1.0)
    assert allowance.use(1000, 1000.0)
    assert not allowance.use(1, 1000.0)
