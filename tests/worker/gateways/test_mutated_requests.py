"""Valid requests cut anywhere and then damaged: real listeners give valid answers, or end in order.

What is sent is made by hypothesis; what comes back is read by h11, whose reading is not ours. Nothing may be
answered that was not asked, no worker may stumble, and who asks properly beside it is served.
"""

from itertools import pairwise

import h11
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.http import Client, says
from tests.fakes.rig import PATIENCE_SECONDS
from tests.worker.gateways.doors import HTTP_DOORS, opened
from tests.worker.gateways.test_ingress_requests import API
from tests.worker.gateways.test_ingress_requests import site as inside
from tests.worker.gateways.test_requests import site

__all__ = ["inside", "site"]

HEAD = b"Host: %b\r\nUser-Agent: x/1.0 (y)\r\nCookie: a=b; c=d\r\n" % API.encode()
REQUESTS = (
    b"GET /a?b=c HTTP/1.1\r\n%b\r\n" % HEAD,
    b"HEAD / HTTP/1.1\r\n%b\r\n" % HEAD,
    b"POST /p HTTP/1.1\r\n%bContent-Length: 11\r\n\r\nhello world" % HEAD,
    b"PUT /c HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: 1\r\n\r\n" % HEAD,
)
#: What a gateway may say to something that is no request, or not one for this service.
STATUSES = {200, 400, 403, 404, 405, 408, 413, 414, 417, 421, 431, 501, 505}
#: After so long without a byte nothing more is expected, unless an answer is missing: that is waited for.
QUIET_SECONDS = 0.03

several = st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=3)
cuts = st.lists(st.integers(0, 600), max_size=6)
octets = st.one_of(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b"0", b"\xff", b"\r\n\r\n"]
    ),
    st.binary(min_size=1, max_size=3),
)
damage = st.lists(
    st.tuples(
        st.sampled_from(["replace", "insert", "delete", "repeat"]), st.integers(0, 600), octets
    ),
    min_size=1,
    max_size=3,
)


def cut(data, places):
    """The same bytes in pieces."""
    bounds = [0, *sorted({at % len(data) for at in places}), len(data)]
    return [data[a:b] for a, b in pairwise(bounds) if b > a]


def damaged(data, how):
    for what, place, new in how:
        at = place % (len(data) or 1)
        before, after = data[:at], data[at:]
        match what:
            case "replace":
                data = before + new + after[len(new) :]
            case "insert":
                data = before + new + after
            case "delete":
                data = before + after[len(new) :]
            case "repeat":
                data = before + after[:20] + after
    return data or b"\r\n"


class Door:
    """A listener under test: how to reach it, and what the program behind it heard."""

    def __init__(self, open_stream, server, node):
        self.open_stream, self.server, self.node = open_stream, server, node

    async def whole(self, requests, places):
        """Valid requests, however they are cut: each is answered."""
        stream = await self.open_stream()
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                for piece in cut(b"".join(requests), places):
                    await stream.send_all(piece)
                got = await self._answers(stream, requests)
        finally:
            await trio.aclose_forcefully(stream)
        assert got == [200] * len(requests)

    async def _answers(self, stream, requests):
        found, data = [], b""
        for request in requests:
            conn = h11.Connection(h11.CLIENT)
            conn.send(h11.Request(method=request.split()[0], target="/", headers=[("Host", "a")]))
            conn.send(h11.EndOfMessage())
            if data:  # none at all would be an end
                conn.receive_data(data)
            while True:
                event = conn.next_event()
                if event is h11.NEED_DATA:
                    conn.receive_data(await stream.receive_some())
                elif isinstance(event, h11.Response):
                    found.append(event.status_code)
                elif isinstance(event, h11.EndOfMessage):
                    break
            data = conn.trailing_data[0]
        return found

    async def broken(self, data, places):
        """Anything: what comes back are whole answers, no more than the program and we have given."""
        heard, is_head = len(self.server.seen), data.startswith(b"HEAD")

        def lacks_none(got, *, ended):
            answers = statuses(got, is_head=is_head, ended=ended)
            assert set(answers) <= STATUSES, answers
            # one may still be under way
            return len(self.server.seen) - heard <= len(answers) + 1

        stream = await self.open_stream()
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                got, ended = await self._exchange(stream, cut(data, places), lacks_none)
        finally:
            await trio.aclose_forcefully(stream)
        assert lacks_none(got, ended=ended)
        assert "internal" not in self.node.endings()
        await self.node.alone()  # so that the program hears nothing of it any more

    async def _exchange(self, stream, pieces, lacks_none):
        """What came, and whether that was the end: all there is, as far as `lacks_none` can tell."""
        got = b""
        try:
            for piece in pieces:
                await stream.send_all(piece)
            while True:
                with trio.move_on_after(QUIET_SECONDS) as quiet:
                    chunk = await stream.receive_some()
                    if not chunk:
                        return got, True
                    got += chunk
                if quiet.cancelled_caught and lacks_none(got, ended=False):
                    return got, False
        except trio.BrokenResourceError:
            return got, True


def statuses(data, *, is_head, ended):
    """The answers in what came, by h11; the last may be under way if the connection has not ended."""
    found = []
    while data:
        # an answer without a body may be one to HEAD: tried first where the first request was one
        for method in ("HEAD", "GET") if is_head or found else ("GET", "HEAD"):
            status, rest = one_answer(data, method)
            if status is not None and (not rest or rest.startswith(b"HTTP/1.1 ")):
                break
        else:
            assert not ended, data
            return found
        found.append(status)
        data = rest
    return found


def one_answer(data, method):
    conn = h11.Connection(h11.CLIENT)
    conn.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    conn.send(h11.EndOfMessage())
    conn.receive_data(data)
    status = None
    while True:
        try:
            event = conn.next_event()
        except h11.RemoteProtocolError:
            return None, data
        if isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.EndOfMessage):
            return status, conn.trailing_data[0]
        elif event is h11.NEED_DATA:
            return None, data


@pytest.fixture(params=["terminating", "ingress"])
async def door(request, site, inside, front):
    if request.param == "terminating":
        server = await site.serve(says())
        yield Door(site.stream, server, site.node)
    else:
        server = await inside.start("api", says())
        await front.serve(inside.service("api", API))
        yield Door(front.call, server, front.node)


@pytest.fixture(params=HTTP_DOORS)
async def any_door(request, pki, tmp_path):
    """Every listener protocol; the two above are tried with either engine, and longer."""
    async with opened(request.param, pki, tmp_path) as made:
        yield Door(made.open, made.behind, made)


def holds(examples, *strategies):
    """A property of a running door: hypothesis is in a thread, the door where it always is."""

    def decorate(check):
        @settings(
            max_examples=examples,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        )
        @given(st.tuples(*strategies))
        def example(drawn):
            trio.from_thread.run(check, *drawn)

        return example

    return decorate


async def test_valid_requests_are_answered_however_they_are_cut(door):
    @holds(40, several, cuts)
    async def example(requests, places):
        await door.whole(requests, places)

    await trio.to_thread.run_sync(example)


async def test_damaged_requests_get_valid_answers_or_an_end(door):
    @holds(80, several, damage, cuts)
    async def example(requests, how, places):
        await door.broken(damaged(b"".join(requests), how), places)

    await trio.to_thread.run_sync(example)
    beside = Client(await door.open_stream())
    assert (await beside.ask(Host=API)).status == 200


async def test_valid_requests_are_answered_at_every_listener(any_door):
    @holds(8, several, cuts)
    async def example(requests, places):
        await any_door.whole(requests, places)

    await trio.to_thread.run_sync(example)


async def test_damaged_requests_get_valid_answers_or_an_end_at_every_listener(any_door):
    @holds(16, several, damage, cuts)
    async def example(requests, how, places):
        await any_door.broken(damaged(b"".join(requests), how), places)

    await trio.to_thread.run_sync(example)
