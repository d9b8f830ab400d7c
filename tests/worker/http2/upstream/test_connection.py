"""One connection: what an upstream may do to it, and what its requests may do to each other."""

import contextlib

import h2.events
import pytest
import trio

from tests.fakes.asked import Http2Site, a_request
from tests.fakes.rig import eventually
from tests.worker.http2.upstream.test_leaving import frame
from worker.http.exchange import CutShort, UpstreamLost
from worker.http.faults import BadResponse
from worker.http.fields import CHUNKED
from worker.http2.upstream.connection import PING_SECONDS, QUIET_SECONDS, WINDOW_BYTES

FLOODS = {
    "pings": frame(6, bytes(8)),
    "settings": frame(4),
    "window updates": frame(8, b"\0\0\0\1"),
    "empty pieces": frame(0, stream=1),
    "priorities": frame(2, bytes(5), stream=1),
    "resets": frame(3, bytes(4), stream=1),
    "unknown frames": frame(99, b"x"),
    "goaways": frame(7, (2**31 - 1).to_bytes(4) + bytes(4)),
}


@pytest.fixture
async def site(nursery):
    made = await Http2Site().start(nursery)
    yield made
    made.close()


@pytest.mark.parametrize("flood", sorted(FLOODS))
async def test_a_flood_ends_the_connection(site, flood):
    asked = await site.ask(a_request())
    await site.seen()
    with contextlib.suppress(trio.BrokenResourceError):
        for _ in range(20):
            await site.stream.send_all(FLOODS[flood] * 100)
    with pytest.raises((UpstreamLost, BadResponse)):
        await asked.head()
    await site.is_over.wait()


async def test_who_keeps_within_the_allowance_goes_on(site):
    asked = await site.ask(a_request())
    await site.seen_whole()
    await site.stream.send_all(FLOODS["pings"] * 500)
    await site.answer(204, ends=True)
    assert (await asked.head()).status == 204


async def test_a_slow_reader_stops_its_own_answer_and_nobody_elses(site):
    slow = await site.ask(a_request())
    await site.seen_whole()
    await site.answer(200)
    sent = 0
    while (room := site.conn.local_flow_control_window(1)) > 0:
        size = min(room, 16384)
        await site.content(b"x" * size)
        sent += size
        with trio.move_on_after(0.05):
            await site.event(h2.events.WindowUpdated)
    assert sent == WINDOW_BYTES  # of one stream: as much as is held
    other = await site.ask(a_request())
    await site.seen_whole()
    await site.answer(200)
    await site.content(b"quick")
    await site.finish()
    assert (await other.head()).status == 200
    assert await other.read() == b"quick"
    got = 0
    await slow.head()
    while got < sent:
        got += len(await slow.read())
    await site.event(h2.events.WindowUpdated)
    assert site.conn.local_flow_control_window(1) > 0


async def test_a_request_that_is_given_up_resets_its_stream_alone(site):
    given_up = await site.ask(a_request(b"POST", CHUNKED))
    with trio.move_on_after(0.1):
        while True:
            await given_up.send(b"x" * 16384)
    given_up.give_back(reusable=True)
    event = await site.event(h2.events.StreamReset)
    assert (event.stream_id, event.error_code) == (1, 8)
    other = await site.ask(a_request())
    await site.seen_whole()
    await site.answer(204, ends=True)
    assert (await other.head()).status == 204


@pytest.mark.parametrize("trailers", [(), (("x-sum", "1"),)])
@pytest.mark.parametrize(("said", "sent"), [(5, b"hell"), (5, b"hello!")])
async def test_a_body_of_another_length_than_its_head_says(site, said, sent, trailers):
    asked = await site.ask(a_request())
    await site.seen_whole()
    await site.answer(200, length=said)
    await asked.head()
    await site.content(sent)
    await site.finish(*trailers)
    with pytest.raises(CutShort):
        await _for_ever(asked.read)


async def test_interim_answers_without_end(site):
    asked = await site.ask(a_request())
    await site.seen_whole()
    with contextlib.suppress(trio.BrokenResourceError):
        for _ in range(20):
            await site.answer(103)
    await eventually(lambda: asked._error is not None)
    with pytest.raises(BadResponse):
        await _for_ever(asked.head)


async def _for_ever(take):
    while await take():
        pass


async def test_a_head_without_end(site):
    asked = await site.ask(a_request())
    await site.seen_whole()
    with contextlib.suppress(trio.BrokenResourceError):
        await site.stream.send_all(frame(1, bytes(16384), stream=1))
        for _ in range(100):
            await site.stream.send_all(frame(9, bytes(16384), stream=1))
    with pytest.raises((UpstreamLost, BadResponse)):
        await asked.head()


async def test_fields_that_unpack_to_too_much(site):
    asked = await site.ask(a_request())
    await site.seen_whole()
    await site.answer(200, *[(f"x-{n}", "y" * 4000) for n in range(20)], ends=True)
    with pytest.raises((UpstreamLost, BadResponse)):
        await asked.head()


async def test_a_silent_upstream_is_asked_whether_it_is_there(site):
    now = trio.current_time()
    site.connection._clock = lambda: now
    site.connection._heard_at = now
    asked = await site.ask(a_request())
    await site.seen_whole()
    now += QUIET_SECONDS + 1
    site.connection.check()
    await site.event(h2.events.PingReceived)
    await eventually(lambda: site.connection._pinged_at is None)
    now += QUIET_SECONDS + 1
    site.connection.check()
    now += PING_SECONDS + 1
    site.connection.check()
    with pytest.raises(UpstreamLost):
        await asked.head()
    await site.is_over.wait()


async def test_what_waits_before_a_reset_is_read_and_then_it_is_cut_short(site):
    asked = await site.ask(a_request())
    await site.seen_whole()
    await site.answer(200)
    assert (await asked.head()).status == 200
    sent = 0
    while sent * 2 < WINDOW_BYTES:  # so that the window would be opened again
        await site.content(b"x" * 16384)
        sent += 16384
    site.conn.reset_stream(1)
    await site._say()
    await eventually(lambda: asked._error is not None)
    assert len(await asked.read()) == sent
    with pytest.raises(CutShort):
        await asked.read()
