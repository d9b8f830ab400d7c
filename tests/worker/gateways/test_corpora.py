"""Every case of both corpora at every listener protocol: what is refused, and that nobody else notices.

What is refused is answered as the corpus says, once, and as the last thing on its connection. A caller beside
it is served before, during and after; the register forgets the connection, and the metrics tell its ending.
"""

import contextlib
from functools import cache

import pytest
import trio
from hyperframe.frame import GoAwayFrame

from tests.fakes.http2_client import split
from tests.worker.gateways.doors import (
    HTTP_DOORS,
    OFFERED,
    TCP_DOORS,
    answer_to,
    hears_itself,
    opened,
    until_end,
)
from tests.worker.http.corpus import BODIES, GOOD, HEADS, SMUGGLED, get
from tests.worker.http2.corpus import CALM, FLOODS, START, WRONG

HTTP1 = {name: data for name, data, *_ in (*HEADS, *BODIES, *GOOD)}


@cache
def octets(made):
    return START + b"".join(made())


@pytest.fixture(params=HTTP_DOORS)
async def door(request, pki, tmp_path):
    async with opened(request.param, pki, tmp_path) as made:
        yield made


@pytest.fixture(params=TCP_DOORS)
async def tcp_door(request, pki, tmp_path):
    async with opened(request.param, pki, tmp_path) as made:
        yield made


async def answered(door, data, *offered, beside, is_warm=False):
    """What is said to these bytes until the connection ends, while somebody beside it is served."""
    stream = await door.open(*offered)
    if is_warm:
        await answer_to(stream, get())

    async def send():
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await stream.send_all(data)  # unless it has hung up already

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(beside)
        got, is_in_order = await until_end(stream)
    await door.close(stream)
    return got if is_in_order else got + b"(broken)"


@pytest.mark.parametrize("cases", [FLOODS, WRONG], ids=["floods", "wrong"])
async def test_floods_and_wrong_frames_of_http2(door, cases):
    wrong = {}
    async with door.beside() as beside:
        for name, made, code in cases:
            got = await answered(door, octets(made), *OFFERED, beside=beside)
            frames = [frame for frame, _ in split(got)[0]]
            codes = [frame.error_code for frame in frames if isinstance(frame, GoAwayFrame)]
            # who leaves is let go, or is seen to do nothing else: that depends on what is read at once
            expected = [code] if code else [codes[0] if codes[0] in (code, CALM) else code]
            if codes != expected or not isinstance(frames[-1], GoAwayFrame):
                wrong[name] = codes
        await door.alone(1)
        assert door.ended("bad_request") + door.ended("finished") == len(cases)
        assert door.ended("bad_request") >= sum(code != 0 for _, _, code in cases)
    assert wrong == {}


async def test_requests_that_might_be_read_in_two_ways(door):
    wrong = {}
    cases = [(name, data, 400) for name, data in BODIES]
    async with door.beside() as beside:
        for is_warm in door.ways:
            for name, data, status in (*HEADS, *cases):
                got = await answered(door, data + SMUGGLED, beside=beside, is_warm=is_warm)
                is_refused = got.startswith(b"HTTP/1.1 %d " % status) and b"connection: cl" in got
                if not is_refused or got.count(b"HTTP/1.1 ") != 1 or got.endswith(b"(broken)"):
                    wrong[name, is_warm] = got
        await door.alone(1)
        refused = len(door.ways) * (len(HEADS) + len(BODIES))
        assert door.ended("bad_request") == refused
        # before anybody knows which service of an ingress gateway is meant it is no service's request
        nobodys = len(HEADS) if door.kind == "ingress" else 0
        assert sum(map(door.answered, (400, 405, 417))) == refused - nobodys
    assert wrong == {}
    assert not [one for one in door.behind.seen if "smuggled" in one.target]


async def test_requests_that_have_fooled_others_mean_one_thing(door):
    wrong = {}
    async with door.beside():
        for is_warm in door.ways:
            for name, data, content in GOOD:
                del door.behind.seen[:]
                stream = await door.open()
                if is_warm:
                    await answer_to(stream, get())
                got, _ = await answer_to(stream, data)
                await door.close(stream)
                bodies = [one.body for one in door.behind.seen]
                named = b"Host: " if door.serves_all else b"Host: a\r\n"
                is_served = door.kind != "ingress" or named in data
                expected = [b""] * is_warm + [content] * is_served
                if (got, bodies) != (200 if is_served else 404, expected):
                    wrong[name, is_warm] = got, bodies
    assert wrong == {}


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
async def test_listeners_of_tcp_pass_it_all_untouched(tcp_door, http2):
    """Nobody here reads what it means: all of both corpora goes up, and comes back from an echo."""
    made = [octets(flood) for _, flood, _ in (*FLOODS, *WRONG)] if http2 else HTTP1.values()
    stream = await tcp_door.open()
    for data in made:
        await hears_itself(stream, data)
    await tcp_door.close(stream)
    await tcp_door.alone()
    assert tcp_door.ended("finished") + tcp_door.ended("client_reset") == 1
