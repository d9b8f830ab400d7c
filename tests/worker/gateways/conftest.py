"""Gateways with real listeners, real TLS clients, and a good connection beside every bad one."""

import contextlib
import ssl

import pytest
import trio

from tests.fakes.engines import ENGINES
from tests.fakes.pki import Pki, client_context
from tests.fakes.rig import PATIENCE_SECONDS, PATIENT, exchange, rig, sni, tls_client
from tests.worker.gateways.front import Front
from worker.settings import Limits

#: For tests that wait for a limit; a handshake of their own must fit into it on a busy machine.
QUICK = Limits(hello_timeout_seconds=1.0, handshake_timeout_seconds=3.0)
waits_for_a_limit = pytest.mark.parametrize("limits", [QUICK])


@pytest.fixture(scope="session")
def pki():
    return Pki()


@pytest.fixture(scope="session")
def foreign():
    """A CA that nobody here trusts."""
    return Pki("foreign root")


@pytest.fixture(scope="session")
def hello_bytes():
    """The ClientHello of the standard library for a server name, as it would be sent."""
    return client_hello


def client_hello(server_name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.fixture
def limits():
    """Of the worker; a test that waits for one is marked `waits_for_a_limit`."""
    return PATIENT


@pytest.fixture(params=sorted(ENGINES))
async def node(request, limits):
    """With the native engine, what is common goes without a task; everything must look the same."""
    async with rig(limits, engine=ENGINES[request.param]()) as made:
        yield made


@pytest.fixture
def trust(pki, tmp_path):
    """A function from a leaf (or None) to a client's context."""
    return lambda leaf: client_context(tmp_path, leaf, pki.pem)


@pytest.fixture
def beside(trust, pki):
    """A good connection that must live on beside what goes wrong."""

    @contextlib.asynccontextmanager
    async def live(port, service="billing"):
        stream = await tls_client(port, trust(pki.service("web")), sni(service))
        await exchange(stream)
        yield stream
        await exchange(stream, b"still here")
        await trio.aclose_forcefully(stream)

    return live


@pytest.fixture
def raw():
    """Send raw bytes; what comes back until the end, and whether it ended with a reset."""

    async def send(port, *parts, end=True):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        got = b""
        async with stream:
            for part in parts:
                await stream.send_all(part)
                await trio.sleep(0.01)
            if end:
                await stream.send_eof()
            try:
                with trio.fail_after(PATIENCE_SECONDS):
                    async for chunk in stream:
                        got += chunk
            except trio.BrokenResourceError:
                return got, True
        return got, False

    return send


@pytest.fixture
def alert_of():
    """Handshake, read, and the name of the alert that came instead of an answer."""

    async def find(port, context, server_name):
        with trio.fail_after(PATIENCE_SECONDS), pytest.raises(trio.BrokenResourceError) as broken:
            async with await tls_client(port, context, server_name) as stream:
                await stream.receive_some()
        cause = broken.value.__cause__
        assert isinstance(cause, ssl.SSLError), repr(cause)
        return cause.reason

    return find


@pytest.fixture
async def front(node, pki):
    async with trio.open_nursery() as nursery:
        made = Front(node, pki, nursery)
        yield made
        for stream in made.streams:
            await trio.aclose_forcefully(stream)
        node.world.pools.close()
        nursery.cancel_scope.cancel()
