"""Streams that the library has not seen: what it finds when it adopts them, and the windows of both ways."""

import contextlib

import pytest
import trio
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, GoAwayFrame

from cluster.reasons import End
from tests.fakes.http2_client import frames_until_end
from tests.worker.http2.corpus import FLOW_CONTROL, HEAD, START, headers
from worker.http2.link import CONNECTION_WINDOW, STREAM_WINDOW

OPEN = ("END_HEADERS",)
PIECE = bytes(16_000)


def more_than_a_stream_may():
    yield headers(1) + headers(3, flags=OPEN)
    for _ in range(STREAM_WINDOW // len(PIECE) + 1):
        yield DataFrame(3, data=PIECE).serialize()


def more_than_all_may():
    yield headers(1)
    for number in range(3, 13, 2):
        yield headers(number, flags=OPEN)
        for _ in range(STREAM_WINDOW // len(PIECE)):
            yield DataFrame(number, data=PIECE).serialize()


def behind_the_end():
    yield headers(1) + headers(3, flags=OPEN) + DataFrame(3, flags=["END_STREAM"]).serialize()
    yield DataFrame(3, data=b"a").serialize()
    yield DataFrame(5, data=b"a").serialize()


async def _send(stream, made):
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_all(START)
        for part in made():
            await stream.send_all(part)


async def _code_of(site, made, nursery):
    """What the connection ends with."""
    nursery.start_soon(_send, site.client.stream, made)
    frames = [frame for frame, _ in await frames_until_end(site.client.stream)]
    (code,) = {frame.error_code for frame in frames if isinstance(frame, GoAwayFrame)}
    return code


@pytest.mark.parametrize("made", [more_than_a_stream_may, more_than_all_may])
async def test_more_than_the_window_ends_the_connection(site, nursery, autojump_clock, made):
    assert 5 * (STREAM_WINDOW // len(PIECE)) * len(PIECE) > CONNECTION_WINDOW
    assert await _code_of(site, made, nursery) == FLOW_CONTROL
    await site.over.wait()
    assert site.end is End.BAD_REQUEST
    assert site.backend.under_way == 0


async def test_what_comes_behind_a_request_is_no_part_of_it(site, nursery, autojump_clock):
    assert await _code_of(site, behind_the_end, nursery) == ErrorCodes.PROTOCOL_ERROR


async def test_windows_that_change_under_way_are_kept_to(site, autojump_clock):
    """The stream is ours until the settings come, and the library's from there on."""
    client = await site.client.start()
    assert (await client.ask()).status == 200
    client.takes = False
    client.conn.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1})
    await client.flush()
    assert await client.step()
    number = await client.begin()
    while client.answers[number].body != b"f":
        assert await client.step()
    client.conn.increment_flow_control_window(1, number)
    await client.flush()
    while client.answers[number].body != b"fo":
        assert await client.step()
    client.conn.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2})
    await client.flush()
    while client.answers[number].body != b"fou":
        assert await client.step()
    client.conn.increment_flow_control_window(2, number)
    await client.flush()
    assert (await client.until(number)).body == b"found"
    client.takes = True
    assert (await client.ask()).body == b"found"


async def test_a_stream_is_reset_in_the_middle_of_its_answer_and_of_its_body(site, autojump_clock):
    client = await site.client.start()
    assert (await client.ask()).status == 200
    client.conn.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2})
    await client.flush()
    answered = await client.begin()
    while client.answers[answered].body != b"fo":
        assert await client.step()
    asked = await client.begin("POST", whole=False)
    await client.send(asked, b"half")
    for number in (answered, asked):
        client.conn.reset_stream(number, ErrorCodes.CANCEL)
    client.conn.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
    await client.flush()
    assert (await client.ask()).body == b"found"
    assert site.backend.under_way == 0
    assert sorted(site.backend.counted) == [200, 200, 200, 499]


@pytest.mark.parametrize("length", ["3", "5"])
async def test_a_body_is_as_long_as_it_says(site, nursery, autojump_clock, length):
    client = await site.client.start()
    assert (await client.ask()).status == 200
    await client.begin("POST", whole=False, fields=((b"content-length", length.encode()),))
    await client.stream.send_all(DataFrame(3, data=b"body", flags=["END_STREAM"]).serialize())
    assert await client.ended() == ErrorCodes.PROTOCOL_ERROR


async def test_trailers_of_a_request_are_the_librarys(site, autojump_clock):
    client = await site.client.start()
    assert (await client.ask()).status == 200
    number = await client.begin("POST", whole=False)
    await client.send(number, b"body")
    await client.end(number, [(b"x-sum", b"1")])
    assert (await client.ask()).status == 200
    client.conn.reset_stream(number, ErrorCodes.CANCEL)
    await client.flush()
    assert (await client.ask()).status == 200
    assert site.backend.under_way == 0


async def test_streams_that_were_reset_are_forgotten(site, autojump_clock):
    """Those of a connection that goes on with requests that nobody resets."""
    client = await site.client.start()
    for _ in range(400):
        number = client.conn.get_next_available_stream_id()
        client.conn.send_headers(number, [*HEAD], end_stream=True)
        client.conn.reset_stream(number, ErrorCodes.CANCEL)
        assert (await client.ask()).status == 200
    assert len(site.conversation._link._h2.streams) < 300
