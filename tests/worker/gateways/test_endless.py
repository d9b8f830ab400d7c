"""What callers send slowly, or without end, at every listener protocol: each has its bound, and its answer.

A caller beside it is served; the register forgets the connection, and the metrics tell its ending.
"""

import contextlib
from functools import partial

import pytest
import trio

from tests.fakes.http2_client import Http2Client
from tests.worker.gateways.doors import (
    HTTP_DOORS,
    OFFERED,
    TCP_DOORS,
    answer_to,
    hears_itself,
    opened,
    until_end,
)
from tests.worker.http.corpus import get, post
from tests.worker.http2.corpus import PROTOCOL, START, headers
from worker.gateways import ingress_requests, requests
from worker.http.limits import HttpLimits
from worker.http.patience import Patience, Phase
from worker.settings import Limits

CHUNKED = post(b"Transfer-Encoding: chunked")
#: The beginning, and what then never stops; each is answered with 400.
ENDLESS = {
    "a target": (b"GET /", b"a" * 10_000),
    "a field": (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ", b"a" * 10_000),
    "fields": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-A: b\r\n" * 1000),
    "empty lines": (b"", b"\r\n" * 1000),
    "garbage": (b"", b"\xff" * 10_000),
    "a chunk's line": (CHUNKED + b"3;", b"a" * 10_000),
    "extensions": (CHUNKED, b"1;" + b"a" * 200 + b"\r\nx\r\n"),
    "trailers": (CHUNKED + b"1\r\nx\r\n0\r\n", b"X-A: b\r\n" * 1000),
}
#: What comes too slowly, and is told so with 408: what is there at once, and what comes byte by byte.
SLOW = {
    "a first line": (b"", b"G"),
    "a head": (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ", b"a" * 1000),
    "a body": (post(b"Content-Length: 9"), b"a"),
    "a chunk": (CHUNKED, b"9\r\na"),
    "trailers": (CHUNKED + b"0\r\nX-A: ", b""),
}


@pytest.fixture(params=HTTP_DOORS)
async def door(request, pki, tmp_path):
    async with opened(request.param, pki, tmp_path) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch):
    """Heads and bodies are not waited for long."""
    limits = partial(HttpLimits, head_seconds=0.3, stall_seconds=0.3)
    for module in (requests, ingress_requests):
        monkeypatch.setattr(module, "HttpLimits", limits)


async def drip(stream, start, rest):
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_all(start)
        for byte in rest:
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.01)


async def test_what_comes_too_slowly_is_told_so(door, impatient):
    """A head has its time from its first byte, a body anew with each."""
    found = {}

    async def slowly(name, start, rest):
        stream = await door.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, stream, start, rest)
            found[name] = await until_end(stream)
            nursery.cancel_scope.cancel()
        await door.close(stream)

    async def in_http2(name, data):
        stream = await door.open(*OFFERED)
        client = Http2Client(stream)
        await stream.send_all(data)
        found[name] = await client.ended()
        await door.close(stream)

    async def without_its_body():
        client = await Http2Client(await door.open(*OFFERED), "a").start()
        answer = await client.until(await client.begin("POST", whole=False))
        found["a stream"] = answer.status, (await client.ask()).status
        await door.close(client.stream)

    async with door.beside(), trio.open_nursery() as nursery:
        for name, parts in SLOW.items():
            nursery.start_soon(slowly, name, *parts)
        nursery.start_soon(in_http2, "a block", START + headers(1, b"", flags=()))
        nursery.start_soon(without_its_body)
    for name in SLOW:
        got, is_in_order = found[name]
        assert got.startswith(b"HTTP/1.1 408 "), name
        assert b"connection: close" in got, name
        assert is_in_order, name
    assert found["a block"] == PROTOCOL
    assert found["a stream"] == (408, 200)
    assert door.ended("bad_request") == len(SLOW) + 1


async def test_what_never_ends_is_refused(door):
    wrong = {}
    async with door.beside() as beside:
        for name, (start, more) in ENDLESS.items():
            stream = await door.open()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send_for_ever, stream, start, more)
                nursery.start_soon(beside)
                got, _ = await until_end(stream)
            await door.close(stream)
            if not got.startswith(b"HTTP/1.1 400 ") or got.count(b"HTTP/1.1 ") != 1:
                wrong[name] = got
        await door.alone(1)
    assert not wrong
    assert door.ended("bad_request") == len(ENDLESS)


async def _send_for_ever(stream, start, more):
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_all(start)
        for _ in range(10_000_000 // len(more)):
            await stream.send_all(more)


async def test_many_requests_at_once_are_answered_in_order(door):
    count = 1000 if door.protocol == "http" else 200
    async with door.beside() as beside:
        stream = await door.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, get() * count + get(b"Connection: close"))
            nursery.start_soon(beside)
            got, is_in_order = await until_end(stream)
        await door.close(stream)
        assert is_in_order
        assert got.count(b"HTTP/1.1 200 ") == got.count(b"\r\n\r\nhello") == count + 1
    assert door.answered(200) >= count + 4


async def test_a_body_of_many_tiny_chunks_is_a_body_and_leaves_others_their_turn(door):
    size = 50_000
    async with door.beside() as beside:
        stream = await door.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beside)
            got = await answer_to(stream, CHUNKED + b"1\r\nx\r\n" * size + b"0\r\n\r\n")
        await door.close(stream)
    assert got == (200, b"hello")
    assert max(len(one.body) for one in door.behind.seen) == size


# --- who takes no answers


@pytest.mark.parametrize("kind", ["ingress", "terminating", "sidecar"])
async def test_who_asks_and_does_not_read_is_answered_once_it_does(pki, tmp_path, kind):
    """No further requests are read meanwhile."""
    asked, count, body = [], 250, bytes(60_000)

    async def serve(stream):
        while await stream.receive_some(65536):
            asked.append(1)
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + body)

    async with opened(f"{kind}-http", pki, tmp_path, serve=serve) as door:
        stream = await door.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, get() * count + get(b"Connection: close"))
            before = 0
            while (
                before != len(asked) or not asked
            ):  # until nobody asks any more, for longer than that
                before = len(asked)
                await trio.sleep(0.6)
            assert before < count
            got, is_in_order = await until_end(stream)
        assert is_in_order
        assert got.count(b"HTTP/1.1 200 ") == len(asked) == count + 1


@pytest.mark.parametrize("name", ["ingress-http", "terminating-http", "terminating-http2"])
async def test_taking_an_answer_has_a_time_of_its_own(pki, tmp_path, monkeypatch, name):
    """That for an answer is the upstream's; a caller may be slow, also where the answer came whole."""
    waits, wait = [], Patience.wait
    monkeypatch.setattr(Patience, "wait", lambda *given: (waits.append(given[1:]), wait(*given)))
    async with opened(name, pki, tmp_path) as door:
        assert await answer_to(await door.open(), get()) == (200, b"hello")
    assert (Phase.DOWNLOAD, HttpLimits().stall_seconds) in waits


# --- more connections than there may be

MOST = 10
FULL = Limits(max_connections=MOST, hello_timeout_seconds=60.0, handshake_timeout_seconds=60.0)


@pytest.fixture(params=[name for name in (*HTTP_DOORS, *TCP_DOORS) if "sidecar" not in name])
async def full_door(request, pki, tmp_path):
    async with opened(request.param, pki, tmp_path, limits=FULL) as made:
        yield made


async def test_idle_connections_beyond_the_limit_are_refused_and_others_served(full_door):
    """Whoever is there stays, idle or not; whoever is one too many is reset, and may come again later."""
    door = full_door

    async def is_served(stream):
        if door.is_http:
            assert await answer_to(stream, get()) == (200, b"hello")
        else:
            await hears_itself(stream, b"hello")

    good = await door.open()
    await is_served(good)
    idle = [await door.open() for _ in range(MOST - 1)]
    await door.alone(MOST)
    for _ in range(2 * MOST):
        with pytest.raises((trio.BrokenResourceError, OSError)):
            await (await door.open()).receive_some()
    await is_served(good)
    assert door.ended("overload") == 2 * MOST
    await door.close(idle.pop())
    await door.alone(MOST - 1)
    await is_served(await door.open())
