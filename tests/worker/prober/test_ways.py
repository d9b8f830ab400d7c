"""Each way of asking, with real servers that are well, unwell, silent, or not what they should be."""

import socket
import ssl
import struct
from contextlib import asynccontextmanager
from functools import partial

import hypercorn.config
import hypercorn.trio
import pytest
import trio
import trustme

from cluster.catalog import Health
from cluster.probes import Probe, ProbeKind
from worker.prober.place import split_place
from worker.prober.probing import verdict_of

# httpx leaves its own generators behind where an exchange is not gone through with; trio clears them away.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*Async generator 'http")

CRITICAL, PASSING, WARNING = Health.CRITICAL, Health.PASSING, Health.WARNING


def probe(kind, target, **fields):
    return Probe(
        check="n/c",
        kind=ProbeKind(kind),
        target=target,
        interval_seconds=1,
        **{"timeout_seconds": 30.0} | fields,
    )


@asynccontextmanager
async def saying(answer, tls=None, until=b"", ends=True):
    """A server that reads a little, or `until` it comes, and says `answer`; where, and what it was told."""
    told = []

    async def serve(stream):
        if tls is not None:
            stream = trio.SSLStream(stream, tls, server_side=True)
        try:
            heard = await stream.receive_some(65536)
            while until not in heard:
                heard += await stream.receive_some(65536)
            told.append(heard)
            await stream.send_all(answer)
            if ends:
                await stream.aclose()
            else:
                await trio.sleep_forever()
        except (trio.BrokenResourceError, ssl.SSLError):
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            partial(trio.serve_tcp, serve, 0, host="127.0.0.1", handler_nursery=nursery)
        )
        yield f"127.0.0.1:{listener.socket.getsockname()[1]}", told
        nursery.cancel_scope.cancel()


def answer(code, body=b"fine", more=b""):
    head = b"HTTP/1.1 %d Word\r\ncontent-length: %d\r\n%s\r\n" % (code, len(body), more)
    return head + body


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *((code, PASSING) for code in (200, 204, 299)),
        (429, WARNING),
        *((code, CRITICAL) for code in (300, 404, 500, 503)),
    ],
)
async def test_http_by_its_status(code, status):
    body = b"" if code == 204 else b"some words"
    async with saying(answer(code, body)) as (place, _):
        verdict = await verdict_of(probe("http", f"http://{place}/health"))
    assert verdict.status is status
    wanted = f"HTTP GET http://{place}/health: {code} Word Output: {body.decode()}"
    assert verdict.output == wanted


async def test_http_sends_what_the_definition_says():
    async with saying(answer(200), until=b"hello") as (place, told):
        await verdict_of(
            probe(
                "http",
                f"http://{place}/x?y=1",
                method="POST",
                headers=(("Host", "shop.test"), ("X-A", "1"), ("X-A", "2")),
                body="hello",
            )
        )
    (request,) = told
    assert request.startswith(b"POST /x?y=1 HTTP/1.1\r\n")
    lowered = request.lower()
    assert b"host: shop.test\r\n" in lowered
    assert b"x-a: 1\r\n" in lowered
    assert b"x-a: 2\r\n" in lowered
    assert request.endswith(b"\r\n\r\nhello")


async def test_a_body_without_end_is_read_to_the_length_of_the_output():
    endless = b"HTTP/1.1 200 Word\r\n\r\n" + "ä".encode() * 5_000
    async with saying(endless, ends=False) as (place, _):
        verdict = await verdict_of(probe("http", f"http://{place}/"))
        short = await verdict_of(probe("http", f"http://{place}/", output_bytes=30))
    assert verdict.status is PASSING
    assert 4000 < len(verdict.output.encode()) <= 4096
    assert len(short.output.encode()) <= 30


async def test_redirects_are_followed_unless_it_says_not_to():
    async with saying(answer(200)) as (place, _):
        more = f"location: http://{place}/there\r\n".encode()
        async with saying(answer(302, b"", more)) as (first, _):
            followed = await verdict_of(probe("http", f"http://{first}/"))
            asked = probe("http", f"http://{first}/", follow_redirects=False)
            stopped = await verdict_of(asked)
    assert followed.status is PASSING
    assert stopped.status is CRITICAL


async def test_who_says_nothing_has_its_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        for asked in (
            probe("http", f"http://{place}/", timeout_seconds=0.2),
            probe("tcp", place, tls=True, timeout_seconds=0.2),
            probe("grpc", place, timeout_seconds=0.2),
        ):
            verdict = await verdict_of(asked)
            assert (verdict.status, verdict.output) == (CRITICAL, "no answer within 0.2 s")


async def test_who_is_not_there_is_critical_in_words():
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{unheard.getsockname()[1]}"
        for kind, target in (("http", f"http://{place}/"), ("tcp", place), ("grpc", place)):
            verdict = await verdict_of(probe(kind, target))
            assert verdict.status is CRITICAL
            assert verdict.output.startswith(f"{kind} {target}: ")
            assert "connect" in verdict.output


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        *(("http", f"http://{place}/") for place in ("[::1", "a b", "127.0.0.1:99999")),
        *(("tcp", place) for place in ("nowhere", "h:0", "::1:80", "no-such-host.invalid:1")),
        *(("grpc", place) for place in ("h", "h:1/" + "x" * 200)),
    ],
)
async def test_a_target_that_makes_no_sense_is_critical(kind, target):
    verdict = await verdict_of(probe(kind, target))
    assert verdict.status is CRITICAL
    assert verdict.output.startswith(f"{kind} {target}"[:100])


@pytest.mark.parametrize(
    "said", [b"", b"\x00" * 5000, b"HTTP/1.1 200 O\r\n" + b"a: b\r\n" * 50_000]
)
async def test_what_is_not_http_is_critical(said):
    async with saying(said) as (place, _):
        for asked in (probe("http", f"http://{place}/"), probe("grpc", place)):
            assert (await verdict_of(asked)).status is CRITICAL


async def test_tcp_passes_where_somebody_accepts():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        verdict = await verdict_of(probe("tcp", place))
    assert (verdict.status, verdict.output) == (PASSING, f"TCP connect {place}: Success")


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made.file = str(tmp_path / "ca.pem")
    return made


def serving(authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"server_name": "shop.test"}, PASSING),
        ({"server_name": "other.test"}, CRITICAL),
        ({}, CRITICAL),  # the certificate is not for 127.0.0.1
        ({"server_name": "shop.test", "ca_file": ""}, CRITICAL),  # the host's roots do not know it
        ({"ca_file": "", "skip_verify": True}, PASSING),
        ({"ca_file": "/no/such/file"}, CRITICAL),
    ],
)
@pytest.mark.parametrize("kind", ["tcp", "http"])
async def test_tls_is_verified_as_the_definition_says(authority, kind, fields, status):
    async with saying(answer(200), serving(authority, "shop.test")) as (place, _):
        target = f"https://{place}/" if kind == "http" else place
        asked = probe(kind, target, **{"tls": True, "ca_file": authority.file} | fields)
        verdict = await verdict_of(asked)
    assert verdict.status is status, verdict.output


async def test_a_changed_ca_file_counts_at_once(authority):
    other = trustme.CA()
    async with saying(answer(200), serving(other, "shop.test")) as (place, _):
        asked = probe("tcp", place, tls=True, server_name="shop.test", ca_file=authority.file)
        assert (await verdict_of(asked)).status is CRITICAL
        other.cert_pem.write_to_path(authority.file)
        assert (await verdict_of(asked)).status is PASSING


@asynccontextmanager
async def grpc_server(body, headers=(), tls=None):
    """HTTP/2 by hypercorn, which answers the health service; what it was asked."""
    asked = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await send({"type": f"{(await receive())['type']}.complete"})
            await trio.sleep_forever()
        message = b""
        while True:
            event = await receive()
            message += event.get("body", b"")
            if not event.get("more_body"):
                break
        asked.append((scope["http_version"], scope["path"], message))
        head = [(b"content-type", b"application/grpc"), *headers]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    config = hypercorn.config.Config()
    config.bind = ["127.0.0.1:0"]
    config.loglevel = "CRITICAL"
    if tls is not None:
        config.certfile, config.keyfile = tls
    async with trio.open_nursery() as nursery:
        (bound,) = await nursery.start(partial(hypercorn.trio.serve, app, config))
        yield bound.removeprefix("https://").removeprefix("http://"), asked
        nursery.cancel_scope.cancel()


def framed(message):
    return struct.pack("!BI", 0, len(message)) + message


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (framed(b"\x08\x01"), PASSING, "SERVING"),
        (framed(b"\x08\x02"), CRITICAL, "NOT_SERVING"),
        (framed(b"\x08\x03"), CRITICAL, "SERVICE_UNKNOWN"),
        (framed(b""), CRITICAL, "UNKNOWN"),
        (b"", CRITICAL, "no answer"),
        (framed(b"\x08\x7f"), CRITICAL, "no answer that can be read"),
        (b"\x01" + framed(b"\x08\x01")[1:], CRITICAL, "no answer that can be read"),
        (b"x" * 100_000, CRITICAL, "no answer that can be read"),
    ],
)
async def test_grpc_by_what_the_health_service_says(body, status, words):
    async with grpc_server(body) as (place, asked):
        verdict = await verdict_of(probe("grpc", f"{place}/shop"))
    assert (verdict.status, verdict.output) == (status, f"gRPC check {place}/shop: {words}")
    assert asked == [("2", "/grpc.health.v1.Health/Check", framed(b"\x0a\x04shop"))]


async def test_grpc_without_a_health_service_is_critical():
    headers = [(b"grpc-status", b"12"), (b"grpc-message", b"unknown service")]
    async with grpc_server(b"", headers) as (place, _):
        verdict = await verdict_of(probe("grpc", place))
    assert verdict.output == f"gRPC check {place}: status 12 unknown service"
    assert verdict.status is CRITICAL


async def test_grpc_over_tls(authority, tmp_path):
    leaf = authority.issue_cert("shop.test")
    leaf.private_key_pem.write_to_path(str(tmp_path / "key"))
    for pem in leaf.cert_chain_pems:
        pem.write_to_path(str(tmp_path / "chain"), append=True)
    files = str(tmp_path / "chain"), str(tmp_path / "key")
    async with grpc_server(framed(b"\x08\x01"), tls=files) as (place, _):
        asked = probe("grpc", place, tls=True, server_name="shop.test", ca_file=authority.file)
        assert (await verdict_of(asked)).status is PASSING
        asked = probe("grpc", place, tls=True, server_name="other.test", ca_file=authority.file)
        assert (await verdict_of(asked)).status is CRITICAL


@pytest.mark.parametrize(
    ("text", "place"),
    [("h:1", ("h", 1)), ("127.0.0.1:65535", ("127.0.0.1", 65535)), ("[::1]:80", ("::1", 80))],
)
def test_a_place_is_a_host_and_a_port(text, place):
    assert split_place(text) == place


@pytest.mark.parametrize("text", ["", "h", "h:", ":1", "h:x", "h:0", "h:65536", "::1:80", "h:-1"])
def test_what_is_no_place(text):
    with pytest.raises(ValueError, match="is no host:port"):
        split_place(text)
