"""What every `Ask` keeps to, whichever HTTP its upstream speaks, on real sockets."""

import pytest
import trio
import trio.testing

from tests.fakes.asked import Http1Site, Http2Site, a_request
from worker.http.asking import may_repeat
from worker.http.exchange import CutShort, UpstreamLost
from worker.http.faults import BadResponse
from worker.http.fields import CHUNKED

SITES = {"http1": Http1Site, "http2": Http2Site}


@pytest.fixture(params=sorted(SITES))
async def site(request, nursery):
    made = await SITES[request.param]().start(nursery)
    yield made
    made.close()


async def body_of(asked):
    found = b""
    while piece := await asked.read():
        found += piece
    return found


async def test_a_request_without_a_body_is_whole_when_it_is_begun(site):
    asked = await site.ask(a_request())
    seen = await site.seen_whole()
    assert (seen.method, seen.target, seen.body) == ("GET", "/things?a=b", b"")
    assert seen.headers["accept"] == "text/plain"
    assert seen.headers["x-forwarded-for"] == "192.0.2.7"
    assert seen.headers["x-request-id"] == "an-id"
    await site.answer(200, ("x-a", "1"), length=5)
    await site.content(b"hello")
    await site.finish()
    head = await asked.head()
    assert (head.status, head.fields, head.length) == (200, ((b"x-a", b"1"),), 5)
    assert head.has_body
    assert asked.is_ready
    assert await body_of(asked) == b"hello"
    assert await asked.read() == b""
    assert asked.trailers == ()
    asked.give_back(reusable=True)
    assert site.is_reusable


@pytest.mark.parametrize("length", [10, CHUNKED])
async def test_a_body_goes_up_in_pieces(site, length):
    asked = await site.ask(a_request(b"POST", length))
    await asked.send(b"hello")
    await asked.send(b"world")
    await asked.end()
    seen = await site.seen_whole()
    assert seen.body == b"helloworld"
    assert seen.headers.get("content-length") == (None if length == CHUNKED else "10")
    await site.answer(204, ends=True)
    assert (await asked.head()).status == 204


async def test_trailers_go_both_ways(site):
    asked = await site.ask(a_request(b"POST", CHUNKED))
    await asked.send(b"up")
    await asked.end(((b"x-sum", b"1"),))
    assert (await site.seen_whole()).trailers == [("x-sum", "1")]
    await site.answer(200)
    await site.content(b"down")
    await site.finish(("grpc-status", "0"), ("content-type", "text/evil"))
    assert (await asked.head()).length in (None, CHUNKED)
    assert await body_of(asked) == b"down"
    assert asked.trailers == ((b"grpc-status", b"0"),)
    asked.give_back(reusable=True)
    assert site.is_reusable


async def test_interim_heads_come_before_the_final_one(site):
    asked = await site.ask(a_request())
    await site.seen_whole()
    await site.answer(100)
    await site.answer(103, ("link", "</a>"))
    await site.answer(200, length=0, ends=True)
    found = [await asked.head() for _ in range(3)]
    assert [head.status for head in found] == [100, 103, 200]
    assert found[1].fields == ((b"link", b"</a>"),)
    assert await asked.read() == b""


@pytest.mark.parametrize("site", ["http1"], indirect=True)
async def test_interim_heads_leave_others_their_turn(site):
    """However many have come at once; in HTTP/2 it is the caller's side that waits after each."""
    asked = await site.ask(a_request())
    await site.seen_whole()
    for _ in range(4):
        await site.answer(103)
    await site.answer(204, ends=True)
    for _ in range(4):
        with trio.testing.assert_checkpoints():
            assert (await asked.head()).status == 103
    assert (await asked.head()).status == 204


async def test_an_answer_may_come_before_the_body_is_over(site):
    asked = await site.ask(a_request(b"POST", CHUNKED))
    await asked.send(b"some")
    await site.seen()
    await site.answer(413, length=0, ends=True)
    assert (await asked.head()).status == 413
    assert await asked.read() == b""
    asked.give_back(reusable=True)
    assert not site.is_reusable


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
async def test_no_body_where_there_is_none(site, method):
    asked = await site.ask(a_request(method))
    await site.seen_whole()
    await site.answer(200 if method == b"HEAD" else 304, length=7, ends=True)
    head = await asked.head()
    assert (head.length, head.has_body) == (7, False)
    assert await asked.read() == b""


async def test_an_upstream_that_goes_before_it_answers(site):
    asked = await site.ask(a_request())
    await site.seen_whole()
    await site.vanish()
    with pytest.raises(UpstreamLost) as caught:
        await asked.head()
    assert caught.value.unanswered
    assert not may_repeat(caught.value, a_request(b"POST", 3))
    asked.give_back(reusable=False)


@pytest.mark.parametrize("length", [10, None])
async def test_an_answer_that_is_cut_short(site, length):
    asked = await site.ask(a_request())
    await site.seen_whole()
    await site.answer(200, length=length)
    await site.content(b"hello")
    await site.vanish()
    assert (await asked.head()).status == 200
    with pytest.raises(CutShort):
        await body_of(asked)
    asked.give_back(reusable=True)
    assert not site.is_reusable


async def test_nonsense_is_no_answer(site):
    asked = await site.ask(a_request())
    await site.seen_whole()
    await site.talk_nonsense()
    with pytest.raises(BadResponse):
        await asked.head()
    asked.give_back(reusable=False)


async def test_sending_to_an_upstream_that_is_gone_raises_nothing(site):
    asked = await site.ask(a_request(b"POST", CHUNKED))
    await site.vanish()
    for _ in range(100):
        await asked.send(b"x" * 65536)
    await asked.end()
    with pytest.raises(UpstreamLost):
        await asked.head()


async def test_who_does_not_read_stops_the_sending(site):
    asked = await site.ask(a_request(b"POST", CHUNKED))
    sent = 0
    with trio.move_on_after(0.3):
        while True:
            await asked.send(b"x" * 16384)
            sent += 16384
    assert 0 < sent < 4 << 20
    asked.give_back(reusable=True)
    assert not site.is_reusable
    assert site.moved >= sent
