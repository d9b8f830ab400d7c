"""What callers get when upstreams answer badly or without end: at each kind of gateway, in both versions.

The caller is told so at once and its connection stays, or its answer is cut short; the upstream's connection
ends; whoever asks properly is served before and after.
"""

import re

import pytest
import trio

from tests.fakes.http import Client
from tests.fakes.http2 import Answer, Http2Server
from tests.fakes.http2_client import Http2Client
from tests.fakes.rig import eventually
from tests.worker.gateways.doors import OFFERED, opened, until_end
from tests.worker.http.answers_corpus import BODIES, GOOD, HEADS
from tests.worker.http.corpus import get
from tests.worker.http2.answers_corpus import BODIES as BODIES_2
from tests.worker.http2.answers_corpus import FLOODS as FLOODS_2
from tests.worker.http2.answers_corpus import HEADS as HEADS_2
from tests.worker.http2.corpus import WRONG

KINDS = ("ingress", "terminating", "sidecar")
GRPC = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
HELLO_2 = Answer(headers=(("content-length", "5"),), body=b"hello")
WRONG_2 = [(name, b"".join(made())) for name, made, _ in WRONG]
INTERNAL_ERROR = 2


class Script:
    """An upstream of HTTP/1.1 that answers /bad with what is said, and others well."""

    def __init__(self):
        self.says = b""
        self.ended = 0  # connections that had said it

    async def serve(self, stream):
        data, is_bad = b"", False
        try:
            while more := await stream.receive_some(65536):
                data += more
                if b"\r\n\r\n" in data:
                    is_bad = b"/bad" in data
                    data = b""
                    await self._answer(stream, self.says if is_bad else HELLO)
        finally:
            self.ended += is_bad

    async def _answer(self, stream, said):
        if isinstance(said, bytes):
            await stream.send_all(said)
            return
        await stream.send_all(said.start)
        while True:
            await stream.send_all(said.more)


@pytest.fixture
def script():
    return Script()


@pytest.fixture(params=KINDS)
async def door(request, pki, tmp_path, script):
    async with opened(f"{request.param}-http", pki, tmp_path, serve=script.serve) as made:
        yield made


@pytest.fixture
async def callers(door):
    """One in each version of HTTP, who stay."""
    old = Client(await door.open())
    new = await Http2Client(await door.open(*OFFERED), "a").start()
    return old, new


async def cut(door):
    """All that a caller of HTTP/1.1 gets that asks twice, and whether that ended in order."""
    stream = await door.open()
    await stream.send_all(get().replace(b" / ", b" /bad ") + get(b"Connection: close"))
    found = await until_end(stream)
    await door.close(stream)
    return found


async def test_bad_heads_are_502_and_the_caller_stays(door, script, callers):
    old, new = callers
    wrong = {}
    for number, (name, data) in enumerate(HEADS, 1):
        script.says = data
        got = [
            (await old.ask(target="/bad", Host="a")).status,
            (await new.ask(target="/bad")).status,
            (await new.ask("POST", "/bad", fields=GRPC)).headers.get("grpc-status"),
            (await old.ask(Host="a")).status,
            (await new.ask()).status,
        ]
        if got != [502, 502, "14", 200, 200]:
            wrong[name] = got
        await eventually(lambda: script.ended == 3 * number)  # noqa: B023
    assert not wrong
    assert door.answered(502) == 3 * len(HEADS)


async def test_answers_that_go_wrong_behind_their_heads_are_cut_short(door, script, callers):
    old, new = callers
    wrong = {}
    for number, (name, data) in enumerate(BODIES, 1):
        script.says = data
        got, is_in_order = await cut(door)
        answer = await new.ask(target="/bad")
        after = [(await old.ask(Host="a")).status, (await new.ask()).status]
        is_cut = got.startswith(b"HTTP/1.1 200 "[: len(got)]) and got.count(b"HTTP/") < 2
        if not is_cut or is_in_order or answer.reset != INTERNAL_ERROR or after != [200, 200]:
            wrong[name] = got, is_in_order, answer, after
        await eventually(lambda: script.ended == 2 * number)  # noqa: B023
    assert not wrong
    await eventually(lambda: door.ended("upstream_reset") == len(BODIES))


async def test_what_comes_behind_an_answer_is_nobodys(door, script, callers):
    _, new = callers
    wrong = {}
    for name, data, body in GOOD:
        script.says = data
        got, is_in_order = await cut(door)
        answer = await new.ask(target="/bad")
        bodies = re.findall(rb"hello", got)
        is_good = is_in_order and b"smuggled" not in got and bodies == [b"hello"] * (1 + bool(body))
        if not is_good or answer.body != body or not answer.is_whole:
            wrong[name] = got, is_in_order, answer
    assert not wrong


# --- interim answers without end


async def hints(stream):
    """An upstream that gives hints, and never an answer."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 8000 + b"\r\n\r\n"
    await stream.receive_some(65536)
    while True:
        await stream.send_all(hint * 10)


@pytest.fixture(params=KINDS)
async def late_door(request, pki, tmp_path):
    async with opened(f"{request.param}-http", pki, tmp_path, serve=hints, seconds=0.4) as made:
        yield made


async def test_interim_answers_without_end_are_504_at_last_and_the_caller_stays(late_door):
    async def old():
        stream = await late_door.open()
        await stream.send_all(get() + get(b"Connection: close"))
        assert await finals_of(stream) == [b"504", b"504"]

    async def new():
        client = await Http2Client(await late_door.open(*OFFERED), "a").start()
        assert [(await client.ask()).status for _ in range(2)] == [504, 504]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(old)
        nursery.start_soon(new)


async def test_a_caller_that_takes_no_interim_answers_is_told_nothing_in_their_midst(late_door):
    """Half a hint is with the caller by then: behind that nothing else can be said."""
    stream = await late_door.open()
    await stream.send_all(get(b"Connection: close"))
    await eventually(lambda: late_door.ended("idle_timeout") + late_door.answered(504))
    assert await finals_of(stream) in ([], [b"504"])  # the latter if all of it has found room


async def finals_of(stream):
    """The statuses behind the hints, which are all the same; the last may be cut off."""
    got, is_in_order = await until_end(stream)
    hint = got[: got.find(b"\r\n\r\n") + 4] if got.startswith(b"HTTP/1.1 103 ") else b"no hint"
    left = got.replace(hint, b"")
    if not is_in_order and hint.startswith(left):
        left = b""
    return re.findall(rb"HTTP/1.1 (\d+)", left)


# --- upstreams of HTTP/2


@pytest.fixture
def upstream():
    """One that answers /bad with what `says` is, and others well."""
    server = Http2Server(lambda asked: server.says if asked.target == "/bad" else HELLO_2)
    server.stays = True
    return server


@pytest.fixture(params=["ingress-http2", "ingress-grpc", "terminating-http2", "sidecar-grpc"])
async def door_2(request, pki, tmp_path, upstream):
    async with opened(request.param, pki, tmp_path, serve=upstream) as made:
        yield made


async def fresh(door):
    """Have the next request be the first on its connection."""
    door.world.channels.close()
    await eventually(lambda: len(door.world.channels) == 0)


class Callers:
    """One in each version of HTTP, who stay; `ask` tells what each gets, each on a new upstream."""

    def __init__(self, door, old, new):
        self.door, self.old, self.new = door, old, new

    async def ask(self):
        await fresh(self.door)
        yield (await self.old.ask(target="/bad", Host="a")).status
        await fresh(self.door)
        yield (await self.new.ask(target="/bad")).status
        await fresh(self.door)
        answer = await self.new.ask("POST", "/bad", fields=GRPC)
        yield answer.headers.get("grpc-status", answer.status)


@pytest.mark.parametrize("cases", [FLOODS_2, HEADS_2, WRONG_2], ids=["floods", "heads", "wrong"])
async def test_bad_heads_in_http2_are_502_and_the_caller_stays(door_2, upstream, cases):
    old = Client(await door_2.open())
    callers = Callers(door_2, old, await Http2Client(await door_2.open(*OFFERED), "a").start())
    wrong = {}
    for name, octets in cases:
        upstream.says = octets
        got = [one async for one in callers.ask()]
        after = [(await old.ask(Host="a")).status, (await callers.new.ask()).status]
        # a reset alone is a lost upstream; a thousand that are read at once are a flood
        statuses = {502, 503} if name == "resets" else {502}
        if not statuses.issuperset(got[:2]) or got[2] != "14" or after != [200, 200]:
            wrong[name] = got, after
    assert not wrong
    await fresh(door_2)
    await eventually(lambda: upstream.upstream.open == 0)


async def test_answers_in_http2_that_go_wrong_behind_their_heads_are_never_whole(door_2, upstream):
    """What is read with its head is 502; what comes behind a head that was sent on is cut short."""
    new = await Http2Client(await door_2.open(*OFFERED), "a").start()
    wrong = {}
    for name, octets in BODIES_2:
        upstream.says = octets
        await fresh(door_2)
        got, is_in_order = await cut(door_2)
        await fresh(door_2)
        answer = await new.ask(target="/bad")
        statuses = re.findall(rb"HTTP/1.1 (\d+)", got)
        is_refused = (statuses, is_in_order) == ([b"502", b"200"], True)
        is_cut = statuses in ([b"200"], []) and not is_in_order
        if not (is_refused or is_cut) or (answer.reset is None and answer.status != 502):
            wrong[name] = got, is_in_order, answer
        if (await new.ask()).status != 200:
            wrong[name] = "no more"
    assert not wrong
