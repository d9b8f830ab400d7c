"""Frames followed outside Python: the same octets, the same bounds, the same frames that bring nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.http2.corpus import FLOODS, START, WRONG, headers, raw
from worker.http2 import native
from worker.http2.faults import Broken
from worker.http2.frames import PREFACE, Frames, Kind, What

pytestmark = pytest.mark.skipif(not native.is_built, reason="the native modules were not built")

MOST = 61_440
RAW = st.builds(
    raw,
    st.integers(0, 11),
    st.sampled_from([0, 1, 4, 5, 8, 0x25]),
    st.sampled_from([0, 1, 2, 3, 2**31 - 1, 2**31]),
    st.binary(max_size=12),
)
CUTS = st.lists(st.integers(1, 40), max_size=20)


def followed(frames, pieces):
    """Octets, what was found of frames that bring nothing, and how it ended."""
    octets, found = b"", []
    try:
        for piece in pieces:
            parts, begun = frames.take(piece)
            octets += b"".join(part[2] for part in parts)
            found += [one for one in begun if not brings(one)]
    except Broken as broken:
        return octets, found, broken.code, broken.why
    return octets, found, frames.is_amid, frames.is_in_head


def brings(frame):
    return frame.kind in (Kind.DATA, Kind.HEADERS, Kind.CONTINUATION) and (
        frame.length or frame.flags & 1
    )


def same(data, cuts=()):
    pieces, at = [], 0
    for size in cuts:
        pieces.append(data[at : at + size])
        at += size
    pieces.append(data[at:])
    ours, theirs = native.frames.Frames(MOST), Frames(MOST)
    (octets, *rest), (others, *other_rest) = followed(ours, pieces), followed(theirs, pieces)
    assert rest == other_rest
    assert others.startswith(octets)
    if len(octets) < len(
        others
    ):  # a piece of a body that is not whole is held, or was lost with the others
        assert rest[1] is True or isinstance(rest[2], str) or others[len(octets) + 3] == Kind.DATA


@given(st.lists(RAW, max_size=10), CUTS)
def test_any_frames_in_any_pieces(frames, cuts):
    same(START + b"".join(frames), cuts)


CASES = (*FLOODS, *WRONG)


@pytest.mark.parametrize("made", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_what_no_client_may_send(made):
    same(START + b"".join(made()))


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (headers(1), What.REQUEST),
        (headers(1, flags=("END_HEADERS",)), What.REQUEST),
        (headers(1, b"\0\0\0\3\x10", flags=("END_HEADERS", "PRIORITY")), What.REQUEST),
        (raw(1, 0x25, 1, b"\0\0\0\1\x10"), What.OTHERS),  # depends on itself
        (raw(1, 0x25, 1, b"\0\0"), What.OTHERS),
        (raw(1, 0xD, 1, b"\0"), What.OTHERS),  # padded
        (raw(1, 5, 2), What.OTHERS),
        (raw(8, 0, 0, b"\0\0\0\1"), What.WINDOW),
        (raw(8, 0, 3, b"\x7f\xff\xff\xff"), What.WINDOW),
        (raw(8, 0, 3, b"\x80\0\0\1"), What.OTHERS),
        (raw(8, 0, 3, b"\0\0\0\0"), What.OTHERS),
        (raw(0, 0, 1, b"a"), What.PIECE),
        (raw(0, 1, 1), What.PIECE),
        (raw(0, 0, 1), What.OTHERS),
        (raw(0, 8, 1, b"\0"), What.OTHERS),
        (raw(3, 0, 1, bytes(4)), What.OTHERS),
    ],
)
def test_what_is_common_is_told_apart(frame, what):
    followed_by_us = native.frames.Frames(MOST)
    assert followed_by_us.take(PREFACE)[0] == [(What.OTHERS, 0, PREFACE)]
    ((found, _, octets),), _ = followed_by_us.take(frame)
    assert (found, octets) == (what, frame)
