"""Floods, bombs and frames that may not be: the right code, at once, and nothing that grows."""

import pytest
import trio
from hyperframe.frame import GoAwayFrame

from cluster.reasons import End
from tests.fakes.http2_client import frames_until_end
from tests.worker.http2.corpus import FLOODS, START, WRONG


def _named(cases):
    return pytest.mark.parametrize(
        ("made", "code"), [case[1:] for case in cases], ids=[case[0] for case in cases]
    )


async def _send(stream, made, is_whole):
    parts = (START, *made())
    try:
        for part in (b"".join(parts),) if is_whole else parts:
            await stream.send_all(part)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # it has hung up already


async def _ends_with(site, made, nursery, *, is_whole=False):
    """The code of the one GOAWAY, which is the last that is said."""
    nursery.start_soon(_send, site.client.stream, made, is_whole)
    frames = [frame for frame, _ in await frames_until_end(site.client.stream)]
    codes = [frame.error_code for frame in frames if isinstance(frame, GoAwayFrame)]
    assert len(codes) == 1
    assert isinstance(frames[-1], GoAwayFrame)
    return codes[0]


@_named(FLOODS)
async def test_floods_end_the_connection(site, nursery, autojump_clock, made, code):
    assert await _ends_with(site, made, nursery) == code
    await site.over.wait()
    assert site.end is (End.BAD_REQUEST if code else End.FINISHED)
    assert site.backend.under_way == 0


@_named([case for case in FLOODS if case[2]])
async def test_floods_end_the_connection_that_come_all_at_once(
    site, nursery, autojump_clock, made, code
):
    """What is read at once is understood at once: a stream may be over before anybody looks at it."""
    assert await _ends_with(site, made, nursery, is_whole=True) == code
    await site.over.wait()
    assert site.end is End.BAD_REQUEST
    assert site.backend.under_way == 0


@_named(WRONG)
async def test_what_no_client_may_send_ends_the_connection(
    site, nursery, autojump_clock, made, code
):
    assert await _ends_with(site, made, nursery) == code
