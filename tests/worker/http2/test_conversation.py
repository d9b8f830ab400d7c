"""A connection as a whole: how long it waits, how many it serves at once, and how it ends."""

import pytest
import trio
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from cluster.errors import ClientFault
from cluster.reasons import End
from tests.fakes.rig import eventually
from tests.worker.http2.corpus import START, headers
from worker.http.limits import HttpLimits
from worker.http2.link import CONNECTION_WINDOW, MAX_STREAMS


async def test_requests_are_answered_and_counted(site, autojump_clock):
    client = await site.client.start()
    for _ in range(300):
        answer = await client.ask()
        assert (answer.status, answer.body) == (200, b"found")
    assert site.backend.counted == [200] * 300
    assert site.backend.under_way == 0
    assert len(site.timers._due) < 10  # and none for each request
    await client.stream.send_eof()
    await site.over.wait()
    assert site.end is End.FINISHED


async def test_who_asks_for_nothing_is_let_go(site, autojump_clock):
    client = await site.client.start()
    assert (await client.ask()).status == 200
    started = trio.current_time()
    with trio.fail_after(2 * HttpLimits().idle_seconds):
        data = b"-"
        while data:
            data = await client.stream.receive_some()
            for frame, _ in client._frames(data):
                client.goaways.append(frame)
    assert client.goaways[-1].error_code == ErrorCodes.NO_ERROR
    await site.over.wait()
    assert site.end is End.IDLE_TIMEOUT
    assert trio.current_time() - started == pytest.approx(HttpLimits().idle_seconds, abs=5)


@pytest.mark.parametrize(
    "begun", [START[:20], START + headers(1)[:7], START + headers(1, flags=())]
)
async def test_half_a_head_has_its_time(site, autojump_clock, begun):
    await site.client.stream.send_all(begun)
    started = trio.current_time()
    await site.over.wait()
    assert site.end is End.BAD_REQUEST
    assert trio.current_time() - started == pytest.approx(HttpLimits().head_seconds, abs=5)


async def test_more_requests_than_may_be_at_once_are_refused_and_others_go_on(site, autojump_clock):
    client = await site.client.start()
    assert await client.step()
    assert client.conn.remote_settings.max_concurrent_streams == MAX_STREAMS
    client.conn.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = MAX_STREAMS + 9
    client.conn.remote_settings.acknowledge()
    asked = [await client.begin("POST", whole=False) for _ in range(MAX_STREAMS + 2)]
    for number in asked[MAX_STREAMS:]:
        assert (await client.until(number)).reset == ErrorCodes.REFUSED_STREAM
    assert site.backend.under_way == MAX_STREAMS
    for number in asked[:MAX_STREAMS]:
        client.conn.reset_stream(number, ErrorCodes.CANCEL)
    await client.flush()
    assert (await client.ask()).status == 200


async def test_a_request_that_stalls_is_told_so(site, autojump_clock):
    client = await site.client.start()
    number = await client.begin("POST", whole=False)
    with trio.fail_after(2 * HttpLimits().stall_seconds):
        while not client.answers[number].is_over:
            for _, octets in client._frames(await client.stream.receive_some()):
                for event in client.conn.receive_data(octets):
                    client._on(event)
            await client.flush()
    assert client.answers[number].status == 408
    assert (await client.ask()).status == 200


async def test_answers_wait_for_a_window_and_a_wider_one_lets_them_go(site, autojump_clock):
    client = await site.client.start()
    client.conn.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2})
    await client.flush()
    number = await client.begin()
    while client.answers[number].body != b"fo":
        assert await client.step()
    client.conn.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
    await client.flush()
    assert (await client.until(number)).body == b"found"


async def test_who_drips_its_window_is_told_to_be_calm(site, autojump_clock):
    client = await site.client.start()
    client.conn.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1})
    client.takes = False
    await client.flush()
    for _ in range(40):
        if client.is_ended:
            break
        number = await client.begin()
        for so_far in (1, 2, 3):
            while len(client.answers[number].body) < so_far and await client.step():
                pass
            if not client.is_ended:
                client.conn.increment_flow_control_window(1, number)
                await client.flush()
    assert await client.ended() == ErrorCodes.ENHANCE_YOUR_CALM


async def test_a_caller_that_goes_away_gets_what_it_has_asked_for(site, autojump_clock):
    await site.client.start()
    await site.client.stream.send_all(headers(1) + b"\0\0\x08\x07\0\0\0\0\0" + bytes(8))
    frames = []
    data = b"-"
    while data:
        data = await site.client.stream.receive_some()
        frames += [frame for frame, _ in site.client._frames(data)]
    assert [type(f).__name__ for f in frames[-3:]] == ["HeadersFrame", "DataFrame", "GoAwayFrame"]
    await site.over.wait()
    assert site.end is End.FINISHED


async def test_who_leaves_says_so_and_serves_what_is_on_its_way(site, autojump_clock):
    client = await site.client.start()
    assert (await client.ask()).status == 200
    site.backend.leave()
    assert (await client.ask()).status == 200
    assert await client.ended() == ErrorCodes.NO_ERROR
    assert [frame.last_stream_id for frame in client.goaways] == [2**31 - 1, 3]


async def test_a_reset_of_the_connection_ends_what_is_under_way(site, autojump_clock):
    client = await site.client.start()
    await client.begin("POST", whole=False)
    await eventually(lambda: site.backend.under_way)
    client.stream.socket.close()
    await site.over.wait()
    assert site.end is End.CLIENT_RESET or isinstance(site.end, ClientFault)
    assert site.backend.under_way == 0
    assert site.backend.counted == [499]


async def test_our_table_of_fields_stays_small_whatever_a_caller_allows(site, autojump_clock):
    client = await site.client.start()
    client.conn.update_settings({SettingCodes.HEADER_TABLE_SIZE: 2**20})
    await client.flush()
    for _ in range(3):
        assert (await client.ask()).status == 200
    assert client.conn.decoder.header_table_size == 4096


async def test_what_takes_no_window_is_given_back(site, autojump_clock):
    """Padding, and what comes for a stream that is over."""
    client = await site.client.start()
    number = await client.begin("POST", whole=False)
    client.conn.reset_stream(number)
    whole = CONNECTION_WINDOW - 65535
    for _ in range(2 * CONNECTION_WINDOW // 16_000):
        other = await client.begin("POST", whole=False)
        client.conn.send_data(other, bytes(16_000), pad_length=255)
        client.conn.reset_stream(other)
        await client.flush()
        while client.conn.outbound_flow_control_window < whole // 2 and await client.step():
            pass
        if client.is_ended:
            break
    assert not client.is_ended
