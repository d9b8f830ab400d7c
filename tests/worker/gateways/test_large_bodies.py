"""Large bodies, which go past Python: framing, early answers, cuts as with small ones."""

from functools import partial

import pytest
import trio

from tests.fakes.rig import PATIENCE_SECONDS, allow, deny, eventually, start_upstream
from tests.worker.gateways.front import until_end
from tests.worker.gateways.test_ingress_requests import API, site
from worker.http.limits import HttpLimits

__all__ = ["site"]
LARGE = 3_000_003


async def reach(site, front, serve):
    """Have an instance behind the gateway that is dialled in plain, and does this with each connection."""
    upstream = await start_upstream(front.nursery, serve)
    site.plaintext["legacy"] = "plaintext:legacy"
    front.sets |= {"connect:legacy": (), "plaintext:legacy": (upstream.endpoint,)}
    await front.serve(site.service("legacy", API))
    return upstream


def post(length):
    return f"POST / HTTP/1.1\r\nHost: {API}\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("size", [40_000, 65_535, 135_536, 1_000_003, LARGE])
async def test_bodies_go_up_and_come_down_and_both_connections_stay(site, front, size):
    server = await site.start_plain("legacy")
    server.answer = lambda message: (200, [("Content-Length", str(size))], message.body)
    await front.serve(site.service("legacy", API))
    client = await site.call()
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    for _ in range(3):
        answer = await client.ask("POST", body=body, Host=API)
        assert answer.body == body
    (entry,) = front.live()
    assert min(entry.flow.up_bytes, entry.flow.down_bytes) > 3 * size
    assert server.connections == 1


async def test_a_request_right_behind_a_large_one_is_another_one(site, front):
    server = await site.start_plain("legacy")
    await front.serve(site.service("legacy", API))
    stream = (await site.call()).stream
    await stream.send_all(post(LARGE) + b"x" * LARGE + post(2) + b"ab" + post(LARGE) + b"y" * LARGE)
    with trio.fail_after(PATIENCE_SECONDS):
        await eventually(lambda: len(server.seen) == 3)
    assert [len(message.body) for message in server.seen] == [LARGE, 2, LARGE]


async def test_bytes_behind_a_large_answer_are_nobodys(site, front):
    async def too_much(stream):
        await stream.receive_some()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n".encode()
        await stream.send_all(head + b"x" * LARGE + b"HTTP/1.1 200 OK\r\n\r\nstolen")
        await stream.receive_some()

    upstream = await reach(site, front, too_much)
    client = await site.call()
    for number in (1, 2):
        answer = await client.ask(Host=API)
        assert answer.body == b"x" * LARGE
        assert upstream.accepted == number


async def test_an_answer_may_come_before_the_body_is_over(site, front):
    async def too_large(stream):
        await stream.receive_some()
        await stream.send_all(
            b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
        )
        await trio.sleep_forever()

    await reach(site, front, too_large)
    stream = (await site.call()).stream
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_until_broken, stream, post(200_000_000))
        with trio.fail_after(PATIENCE_SECONDS):
            got = await stream.receive_some()
        nursery.cancel_scope.cancel()
    assert got.startswith(b"HTTP/1.1 413 ")


async def send_until_broken(stream, head):
    try:
        await stream.send_all(head)
        while True:
            await stream.send_all(b"x" * 1_000_000)
    except trio.BrokenResourceError:
        pass


async def test_a_body_that_the_caller_cuts_does_not_arrive_whole(site, front):
    ended = []

    async def hear(stream):
        ended.append(await until_end(stream))

    await reach(site, front, hear)
    stream = (await site.call()).stream
    await stream.send_all(post(LARGE) + b"x" * (LARGE - 1))
    await stream.aclose()
    await eventually(lambda: ended)
    ((got, _),) = ended
    assert len(got.partition(b"\r\n\r\n")[2]) < LARGE


async def test_an_answer_that_the_upstream_cuts_does_not_arrive_whole(site, front):
    async def cut(stream):
        await stream.receive_some()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n".encode()
        await stream.send_all(head + b"x" * (LARGE - 1))

    await reach(site, front, cut)
    client = await site.call()
    await client.send(Host=API)
    _, how = await until_end(client.stream)
    assert how == "reset"


@pytest.mark.parametrize("side", ["nobody sends", "nobody reads"])
async def test_a_withdrawal_ends_a_body_under_way(site, front, side):
    async def hear(stream):
        await stream.receive_some()
        await trio.sleep_forever()

    await reach(site, front, hear)
    stream = (await site.call()).stream
    async with trio.open_nursery() as nursery:
        if side == "nobody sends":
            await stream.send_all(post(LARGE) + b"x" * 100_000)
        else:
            nursery.start_soon(send_until_broken, stream, post(200_000_000))
        await eventually(lambda: front.live() and front.live()[0].flow.up_bytes > 50_000)
        await front.decide(allow("web", "legacy"), deny("front", "legacy"))
        await front.node.ended("intention_revoked")
        if side == "nobody sends":
            assert await until_end(stream) == (b"", "reset")


async def test_a_slow_reader_stops_the_sender(site, front):
    sent = 0

    async def endless(stream):
        nonlocal sent
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                await stream.send_all(b"x" * 65536)
                sent += 65536
        except trio.BrokenResourceError:
            pass

    await reach(site, front, endless)
    client = await site.call()
    await client.send(Host=API)
    before = -1
    with trio.fail_after(PATIENCE_SECONDS):
        while before != sent or not sent:
            before = sent
            await trio.sleep(0.3)
    assert sent < 64_000_000  # what kernels hold
    await client.stream.aclose()


@pytest.fixture
def a_short_stall(monkeypatch):
    """What does not move for so long is ended."""
    limits = partial(HttpLimits, stall_seconds=0.5)
    monkeypatch.setattr("worker.gateways.ingress_requests.HttpLimits", limits)


@pytest.mark.parametrize("side", ["nobody sends", "nobody reads"])
@pytest.mark.usefixtures("a_short_stall")
async def test_a_body_that_does_not_move_goes_up_no_longer(site, front, side):
    async def hear(stream):
        await stream.receive_some()
        if side == "nobody reads":
            await trio.sleep_forever()
        await until_end(stream)

    await reach(site, front, hear)
    stream = (await site.call()).stream
    async with trio.open_nursery() as nursery:
        if side == "nobody sends":
            await stream.send_all(post(LARGE) + b"x" * 100_000)
        else:
            nursery.start_soon(send_until_broken, stream, post(200_000_000))
        with trio.fail_after(PATIENCE_SECONDS):
            got = await stream.receive_some()
        nursery.cancel_scope.cancel()
    assert got.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("side", ["nobody sends", "nobody reads"])
@pytest.mark.usefixtures("a_short_stall")
async def test_a_body_that_does_not_move_comes_down_no_longer(site, front, side):
    async def speak(stream):
        await stream.receive_some()
        length = LARGE if side == "nobody sends" else 200_000_000
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        await stream.send_all(b"x" * 100_000)
        if side == "nobody reads":
            await send_until_broken(stream, b"")
        await trio.sleep_forever()

    await reach(site, front, speak)
    client = await site.call()
    await client.send(Host=API)
    if side == "nobody sends":
        _, how = await until_end(client.stream)
        assert how == "reset"
    await front.node.ended("idle_timeout")


async def test_a_denied_request_does_not_read_the_body(site, front):
    server = await site.start_plain("legacy")
    await front.serve(site.service("legacy", API), rules=[deny("front", "legacy")])
    client = await site.call()
    await client.stream.send_all(post(LARGE))
    with trio.fail_after(PATIENCE_SECONDS):
        assert (await client.stream.receive_some()).startswith(b"HTTP/1.1 403 ")
    assert server.seen == []
