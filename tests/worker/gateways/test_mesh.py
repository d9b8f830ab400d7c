"""What passes a mesh gateway, and what a caller gets that it cannot place."""

import contextlib
import socket

import pytest
import trio

from cluster.messages import Ack
from cluster.routes import GatewayKind
from tests.fakes.pki import client_context, server_context
from tests.fakes.rig import (
    Linked,
    at,
    black_hole,
    eventually,
    exchange,
    snapshot,
    sni,
    start_upstream,
    tls_client,
)
from tests.worker.gateways.conftest import client_hello, waits_for_a_limit
from tests.worker.gateways.records import as_records

UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x02\x70"


class MeshGateway:
    def __init__(self, node, pki, nursery):
        self.node, self.pki, self.nursery = node, pki, nursery
        self.port = node.listen()

    async def serve(self, *services):
        listener = self.node.listener(self.port, GatewayKind.MESH, "mgw")
        answer = await self.node.offer(snapshot(self.pki.bundle, [listener], mesh=services))
        assert isinstance(answer, Ack)

    def closed(self, end, service=""):
        return self.node.closed(end, service, gateway="mgw", kind="mesh")


@pytest.fixture
async def gateway(node, pki):
    async with trio.open_nursery() as nursery:
        yield MeshGateway(node, pki, nursery)
        nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def recording(gateway, *others):
    """A server of `api` and `others` that keeps every byte it gets, in `seen`."""
    seen = bytearray()

    async def record(stream):
        async for chunk in stream:
            seen.extend(chunk)
            await stream.send_all(b"ok")

    upstream = await start_upstream(gateway.nursery, record)
    await gateway.serve(*(Linked(name, upstream.endpoint) for name in ("api", *others)))
    yield seen


async def test_tls_is_end_to_end(gateway, pki, tmp_path):
    server = server_context(tmp_path, pki.service("api"), pki.pem)
    upstream = await start_upstream(gateway.nursery, ssl_context=server)
    await gateway.serve(Linked("api", upstream.endpoint))
    client = client_context(tmp_path, pki.service("web"), pki.pem)
    stream = await tls_client(gateway.port, client, sni("api"))
    await exchange(stream, b"z" * 200_000)
    (entry,) = gateway.node.world.live
    assert (entry.permit, entry.describe(0)["destination"]) == (None, "api")
    transport, _ = await stream.unwrap()
    await transport.aclose()
    await gateway.node.ended("finished")
    assert gateway.closed("finished", "api") == 1


async def test_not_a_byte_is_changed_and_the_hello_comes_first(gateway, hello_bytes):
    async with recording(gateway) as seen:
        sent = hello_bytes(sni("api")) + bytes(range(256)) * 100
        stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        async with stream:
            await stream.send_all(sent)
            await eventually(lambda: len(seen) >= len(sent), lambda: len(seen))
            assert (await stream.receive_some()).startswith(b"ok")
        assert bytes(seen) == sent


@pytest.mark.parametrize("size", [1, 3, 50, 300])
async def test_a_hello_cut_into_segments_arrives_whole(gateway, hello_bytes, size):
    async with recording(gateway) as seen:
        hello = hello_bytes(sni("api"))
        stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        async with stream:
            for at_byte in range(0, min(len(hello), 40 * size), size):
                await stream.send_all(hello[at_byte : at_byte + size])
                await trio.sleep(0.001)
            await stream.send_all(hello[40 * size :])
            await eventually(lambda: len(seen) >= len(hello))
        assert bytes(seen) == hello


@pytest.mark.parametrize("size", [100, 250])
async def test_a_hello_over_several_records_arrives_as_it_was(gateway, hello_bytes, size):
    async with recording(gateway) as seen:
        hello = as_records(hello_bytes(sni("api")), size)
        stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        async with stream:
            await stream.send_all(hello)
            await eventually(lambda: len(seen) >= len(hello))
        assert bytes(seen) == hello


@contextlib.asynccontextmanager
async def beside(gateway):
    """A good connection, which must live on beside what goes wrong."""
    stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
    async with stream:
        await stream.send_all(client_hello(sni("good")))
        assert (await stream.receive_some()).startswith(b"ok")
        yield
        await stream.send_all(b"still here")
        assert await stream.receive_some() == b"ok"


HELLO = client_hello(sni("api"))
BAD = {
    "no sni": (client_hello(None), "no_route", "no_sni"),
    "unknown sni": (client_hello("web.default.dc1.internal.x.consul"), "no_route", "unknown_sni"),
    "cut in the record's header": (HELLO[:3], "bad_hello", "closed"),
    "cut in the hello": (HELLO[:100], "bad_hello", "closed"),
    "cut before the last byte": (HELLO[:-1], "bad_hello", "closed"),
    "http": (b"GET / HTTP/1.1\r\nHost: api\r\n\r\n", "bad_hello", "not_tls"),
    "application data": (b"\x17" + HELLO[1:], "bad_hello", "not_tls"),
    "zero": (b"\x00", "bad_hello", "not_tls"),
    "a server's hello": (HELLO[:5] + b"\x02" + HELLO[6:], "bad_hello", "malformed"),
    "huge": (b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + b"x" * 9, "bad_hello", "too_large"),
    "crumbs": (as_records(HELLO, 1), "bad_hello", "too_many_records"),
}


@pytest.mark.parametrize(("data", "end", "reason"), BAD.values(), ids=BAD.keys())
async def test_a_bad_hello_goes_nowhere_and_costs_nobody_else(gateway, raw, data, end, reason):
    async with recording(gateway, "good") as seen, beside(gateway):
        told = UNRECOGNIZED_NAME if end == "no_route" else b""
        before = len(seen)
        assert await raw(gateway.port, data) == (told, False)
        await gateway.node.ended(end)
        assert len(seen) == before
    assert gateway.closed(end) == 1
    assert gateway.node.value("lockgate_client_hello_rejected_total", reason=reason) == 1


@waits_for_a_limit
@pytest.mark.parametrize("said", [b"", HELLO[:1], HELLO[:-1]], ids=["nothing", "a byte", "most"])
async def test_a_client_that_does_not_go_on_runs_into_the_deadline(gateway, raw, said):
    async with recording(gateway, "good"), beside(gateway):
        assert await raw(gateway.port, said, end=False) == (b"", False)
        await gateway.node.ended("hello_timeout")
    assert gateway.closed("hello_timeout") == 1
    assert gateway.node.value("lockgate_client_hello_rejected_total", reason="timeout") == 1


@pytest.mark.parametrize(
    ("case", "end"),
    [("refusing", "dial_refused"), ("silent", "dial_timeout"), ("none", "no_endpoint")],
)
async def test_a_destination_that_cannot_be_reached_is_no_answer(
    gateway, raw, hello_bytes, case, end
):
    with black_hole() as hole, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        endpoints = {
            "refusing": (at(bound.getsockname()[1]),),
            "silent": (at(hole),),
            "none": (),
        }[case]
        timeout = 0.5 if case == "silent" else 30.0
        await gateway.serve(Linked("api", *endpoints, timeout=timeout))
        got, was_reset = await raw(gateway.port, hello_bytes(sni("api")), end=False)
        assert (got, was_reset) == (b"", True)
        await gateway.node.ended(end)
        assert gateway.closed(end, "api") == 1


async def test_a_name_in_other_letters_is_the_same_name(gateway, hello_bytes):
    async with recording(gateway):
        stream = await trio.open_tcp_stream("127.0.0.1", gateway.port)
        async with stream:
            await stream.send_all(hello_bytes(sni("api").upper()))
            assert await stream.receive_some() == b"ok"
