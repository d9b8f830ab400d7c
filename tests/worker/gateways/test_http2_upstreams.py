"""Requests of HTTP/1.1 at a terminating gateway whose service speaks HTTP/2."""

import socket
from functools import partial

import h2.settings
import pytest
import trio
from h2.errors import ErrorCodes

from cluster.messages import Ack
from cluster.routes import HttpRoute
from tests.fakes.http import Client
from tests.fakes.http2 import Answer, Http2Server, goaway
from tests.fakes.pki import Pki, server_context
from tests.fakes.rig import (
    PATIENCE_SECONDS,
    Linked,
    allow,
    at,
    deny,
    eventually,
    files,
    snapshot,
    sni,
    tls_client,
)
from tests.worker.gateways.test_requests import HTTP, Site
from tests.worker.gateways.test_terminating import closed_port

GRPC = (("content-type", "application/grpc"),)


HELLO = Answer(body=b"hello")


class Http2Site(Site):
    """The same gateway, in front of a service of protocol http2."""

    async def serve(self, answer=HELLO, ssl_context=None, settings=None, **options):
        said = answer if callable(answer) else lambda asked: answer
        server = Http2Server(said, settings or {})
        await server.start(self.nursery, ssl_context)
        await self.link(server.endpoint, protocol="http2", **options)
        return server


@pytest.fixture
async def site(node, pki, trust):
    async with trio.open_nursery() as nursery:
        made = Http2Site(node, pki, trust, nursery)
        yield made
        for stream in made.streams:
            await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


async def test_a_request_is_made_in_http2(site):
    server = await site.serve(
        Answer(headers=(("server", "x"), ("content-length", "5")), body=b"hello")
    )
    client = await site.call()
    answer = await client.ask(target="/a?b=c", X_Mine="1", Connection="X-Gone", X_Gone="1")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["content-length"] == "5"
    assert answer.headers["server"] == "x"
    (seen,) = server.seen
    asked = seen.headers
    assert (seen.method, seen.target) == ("GET", "/a?b=c")
    assert (asked[":scheme"], asked[":authority"]) == ("http", "billing.internal")
    assert (asked["x-mine"], asked["x-forwarded-proto"]) == ("1", "https")
    assert "x-gone" not in asked
    assert site.requests(200) == 1


async def test_many_callers_share_one_connection(site):
    server = await site.serve()
    clients = [await site.call() for _ in range(5)]
    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(client.ask)
    assert (len(server.seen), server.connections) == (5, 1)
    assert len(site.node.world.channels) == 1
    assert len(site.node.world.pools) == 1


async def test_nobody_is_answered_by_another_service(site):
    """Two services share an address that is dead, and each has another: whoever waits for the dial of one
    service must not get what that dial came to for the other.
    """
    dead, services, wrong = at(closed_port()), ("billing", "orders"), []
    await site.node.keys(*(site.pki.service(name) for name in services))
    linked = []
    for name in services:
        server = Http2Server(lambda _, name=name: Answer(body=name.encode()), {})
        await server.start(site.nursery)
        linked.append(Linked(name, dead, server.endpoint, http=HTTP, protocol="http2"))
    rules = [allow("web", name) for name in services]
    shot = snapshot(site.pki.bundle, [site.node.listener(site.port)], *linked, rules=rules)
    assert isinstance(await site.node.offer(shot), Ack)

    async def ask(name, client):
        answer = await client.ask()
        if answer.body != name.encode():
            wrong.append((name, answer.body))

    web = site.trust(site.pki.service("web"))
    clients = []
    for name in services * 20:
        site.streams.append(await tls_client(site.port, web, sni(name)))
        clients.append((name, Client(site.streams[-1])))
    async with trio.open_nursery() as nursery:
        for name, client in clients:
            nursery.start_soon(ask, name, client)
    assert wrong == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_and_trailers_go_both_ways(site, chunked):
    trailers = (("grpc-status", "0"), ("grpc-message", "fine"))
    server = await site.serve(Answer(headers=GRPC, body=b"down", trailers=trailers))
    client = await site.call()
    more = [("X-Sum", "1")] if chunked else []
    answer = await client.ask(
        "POST", body=b"up" * 9, chunked=chunked, trailers=more, Content_Type="application/grpc"
    )
    assert (answer.status, answer.body) == (200, b"down")
    assert answer.trailers == tuple((n.encode(), v.encode()) for n, v in trailers)
    (seen,) = server.seen
    assert seen.body == b"up" * 9
    assert seen.headers.get("content-length") == (None if chunked else "18")
    assert seen.headers["te"] == "trailers"
    assert seen.trailers == ((("x-sum", "1"),) if chunked else ())
    assert (await client.ask()).status == 200  # the connection goes on


async def test_a_large_body_comes_down_whole(site):
    body = bytes(range(256)) * 16384
    await site.serve(Answer(body=body))
    client = await site.call()
    assert (await client.ask()).body == body


async def test_a_large_body_goes_up_whole(site):
    body = bytes(range(256)) * 16384
    server = await site.serve()
    client = await site.call()
    assert (await client.ask("PUT", body=body)).status == 200
    assert server.seen[0].body == body


async def test_interim_answers_and_none_at_all(site):
    await site.serve(
        lambda asked: Answer(status=204 if asked.target == "/none" else 200, interim=(103,))
    )
    client = await site.call()
    await client.send()
    assert [(await client.answer()).status for _ in range(2)] == [103, 200]
    await client.send(target="/none")
    assert [(await client.answer()).status for _ in range(2)] == [103, 204]


async def test_a_head_request_has_no_body(site):
    await site.serve(Answer(headers=(("content-length", "77"),)))
    client = await site.call()
    answer = await client.ask("HEAD")
    assert (answer.headers["content-length"], answer.body) == ("77", b"")
    assert (await client.ask("HEAD")).status == 200


async def test_a_refused_request_is_made_again_elsewhere(site):
    server = await site.serve(partial(_refuses_once, []))
    client = await site.call()
    answer = await client.ask("POST", body=b"pay")
    assert (answer.status, answer.body) == (200, b"hello")
    assert (len(server.seen), server.connections) == (2, 2)


def _refuses_once(refused, asked):
    if refused:
        return Answer(body=b"hello")
    refused.append(asked)
    return Answer(reset=ErrorCodes.REFUSED_STREAM)


async def test_a_reset_is_not_repeated(site):
    server = await site.serve(Answer(reset=ErrorCodes.INTERNAL_ERROR))
    client = await site.call()
    answer = await client.ask("POST", body=b"pay")
    assert answer.status == 503
    assert len(server.seen) == 1
    assert (await client.ask()).status == 503  # the caller's connection goes on


async def test_an_answer_that_is_cut_short_is_a_reset(site):
    await site.serve(Answer(body=b"hel", reset=ErrorCodes.INTERNAL_ERROR))
    client = await site.call()
    await client.send()
    _, how = await client.ended()
    assert how == "broken"


async def test_who_leaves_answers_what_it_has(site):
    """GOAWAY in the middle of an answer: it is still finished, and the next one is asked for elsewhere."""
    body = b"x" * 6_000_000
    server = await site.serve(
        lambda asked: Answer(body=body, leaves=True) if len(server.seen) == 1 else HELLO
    )
    client, other = await site.call(), await site.call()
    await client.send()
    await eventually(lambda: site.node.world.channels.leaving() == 1)
    assert (await other.ask()).status == 200
    assert (await client.answer()).body == body
    assert server.connections == 2
    await eventually(lambda: len(site.node.world.channels) == 1)


async def test_what_was_not_looked_at_is_asked_elsewhere(site):
    """GOAWAY that names no request: all are made again, even those that must not be repeated."""
    server = await site.serve(
        lambda asked: goaway(0) if server.connections == 1 else Answer(body=b"hello")
    )
    client = await site.call()
    answer = await client.ask("POST", body=b"pay")
    assert (answer.status, answer.body) == (200, b"hello")
    assert server.connections == 2


async def test_an_upstream_that_does_not_speak_http2(site):
    await site.serve(lambda asked: b"HTTP/1.1 400 Bad Request\r\n\r\n")
    client = await site.call()
    assert (await client.ask()).status == 502


async def test_no_more_requests_at_once_than_the_upstream_allows(site):
    limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 2}
    server = await site.serve(settings=limit)
    assert (await (await site.call()).ask()).status == 200  # now its settings are known
    streams = [await site.stream() for _ in range(5)]
    for number, stream in enumerate(streams, 1):
        await stream.send_all(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
        await eventually(lambda: sum(len(link.asked) for link in server.links) == number)  # noqa: B023
    assert server.connections == 3
    for stream in streams:
        await stream.send_all(b"b")
        assert b"HTTP/1.1 200" in await stream.receive_some()


async def test_denied_requests_ask_nobody(site):
    server = await site.serve(rules=(deny("web", "*"),))
    client = await site.call()
    answer = await client.ask()
    assert (answer.status, answer.body) == (403, b"RBAC: access denied")
    assert server.seen == []


async def test_an_idle_connection_ends(site):
    server = await site.serve()
    client = await site.call()
    await client.ask()
    site.node.world.channels.close()
    await eventually(lambda: not len(site.node.world.channels))
    assert len(site.node.world.pools) == 0
    await client.ask()
    assert server.connections == 2


async def test_http2_is_chosen_in_the_handshake(site, tmp_path):
    outside = Pki("outside root")
    context = server_context(tmp_path, outside.service("outside", dns=("localhost",)))
    ca = tmp_path / "outside.pem"
    ca.write_bytes(outside.pem)
    server = Http2Server(lambda asked: Answer(body=b"hello"))
    await server.start(site.nursery, context)
    await site.link(
        at(server.endpoint.port, "localhost"), tls=files(ca), http=HTTP, protocol="grpc"
    )
    client = await site.call()
    assert (await client.ask()).body == b"hello"
    assert server.seen[0].headers[":scheme"] == "https"
    assert server.seen[0].headers[":authority"] == "localhost"


async def test_that_nobody_is_there_is_said_to_all(site):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        await site.link(at(nobody.getsockname()[1]), protocol="http2")
        clients = [await site.call() for _ in range(3)]
        for client in clients:
            await client.send()
        assert [(await client.answer()).status for client in clients] == [503] * 3
    assert len(site.node.world.pools) == 0


async def test_a_caller_of_http_1_0_gets_the_body_with_the_end_of_the_connection(site):
    await site.serve(Answer(body=b"hello", trailers=(("x-sum", "1"),)))
    stream = await site.stream()
    await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
    got = b""
    with trio.fail_after(PATIENCE_SECONDS):
        while not got.endswith(b"hello"):
            got += await stream.receive_some()
    head, _, body = got.partition(b"\r\n\r\n")
    assert body == b"hello"
    assert b"chunked" not in head.lower()


async def test_who_waits_to_be_told_to_continue_is_told(site):
    server = await site.serve()
    stream = await site.stream()
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with trio.fail_after(PATIENCE_SECONDS):
        await stream.send_all(head)
        assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await stream.send_all(b"up")
        assert b"HTTP/1.1 200" in await stream.receive_some()
    assert server.seen[0].body == b"up"
    assert "expect" not in server.seen[0].headers


async def test_a_caller_that_goes_in_its_body_resets_its_stream_alone(site):
    server = await site.serve()
    stream, other = await site.stream(), await site.call()
    await stream.send_all(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nup")
    await eventually(lambda: any(link.asked for link in server.links))
    await stream.aclose()
    await eventually(lambda: not any(link.asked for link in server.links))
    assert (await other.ask()).status == 200
    assert (len(server.seen), server.connections) == (1, 1)


async def test_a_malformed_body_is_the_callers_fault(site):
    server = await site.serve()
    stream = await site.stream()
    await stream.send_all(
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n"
    )
    await eventually(lambda: any(link.asked for link in server.links))
    await stream.send_all(b"nonsense\r\n")
    with trio.fail_after(PATIENCE_SECONDS):
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
    await eventually(lambda: not any(link.asked for link in server.links))
    assert server.seen == []


async def test_an_upstream_that_answers_too_late(site):
    http = HttpRoute(request_timeout_seconds=1.0)
    server = await site.serve(Answer(hangs=True), http=http)
    client = await site.call()
    answer = await client.ask()
    assert (answer.status, answer.body) == (504, b"upstream request timeout")
    assert (len(server.seen), server.connections) == (1, 1)
    await eventually(lambda: site.node.world.channels.busy() == 0)


async def test_an_answer_before_the_body_is_over_ends_the_callers_connection(site):
    server = await site.serve(Answer(status=413, body=b"too much"))
    server.early = True
    stream = await site.stream()
    await stream.send_all(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nup")
    got = b""
    with trio.fail_after(PATIENCE_SECONDS):
        while chunk := await stream.receive_some():
            got += chunk
    assert got.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in got
    assert b"too much" in got
    await eventually(lambda: not any(link.asked for link in server.links))
