"""A whole sidecar in this process: real API over HTTP, real handshakes, both ways."""

import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from tests.fakes.pki import Pki, client_context, server_context, service_uri
from tests.fakes.rig import eventually, exchange, sni, start_upstream, tls_client
from tests.harness.programs import free_port
from tests.worker.sidecar.running import ended, inbound, sidecar
from worker.net.sockets import ListenError, listening_socket
from worker.sidecar.api import open_api
from worker.sidecar.app import Sidecar
from worker.sidecar.config import parse_arguments

# --- out into the mesh


@pytest.fixture
async def billing(consul, nursery, pki, tmp_path):
    """A function that starts billing in the mesh, by default as who it is."""

    async def start(leaf=None, serve=None):
        context = server_context(tmp_path, leaf or pki.service("billing"), pki.pem)
        options = {} if serve is None else {"serve_stream": serve}
        upstream = await start_upstream(nursery, ssl_context=context, **options)
        consul.endpoints("billing", upstream.port)
        return upstream

    return start


@asynccontextmanager
async def outbound(consul, *more):
    """A sidecar with billing as upstream, ready, and its local port."""
    port = free_port()
    async with sidecar(consul, "-upstream", f"billing:{port}", *more) as made:
        await eventually(lambda: made.known.leaf and "billing" in made.known.endpoints)
        yield made, port


async def call(port):
    return await trio.open_tcp_stream("127.0.0.1", port)


async def test_plain_bytes_reach_the_mesh_and_come_back(consul, billing):
    await billing()
    async with outbound(consul) as (made, port):
        async with await call(port) as stream:
            await exchange(stream, b"p" * 300_000)
            (entry,) = made.world.live
            assert entry.describe(0)["destination"] == "billing"
            assert entry.server_name == sni("billing")
            await stream.send_eof()
            assert await stream.receive_some() == b""
        await eventually(lambda: ended(made, "finished", "billing") == 1)


async def test_the_server_is_asked_for_by_name_and_told_who_calls(consul, billing):
    seen = []

    async def look(stream):
        await stream.do_handshake()
        certificate = stream.getpeercert()
        seen.append(certificate["subjectAltName"])
        await stream.send_all(b"hello")

    await billing(serve=look)
    async with outbound(consul) as (_, port), await call(port) as stream:
        assert await stream.receive_some() == b"hello"
    assert seen == [(("URI", service_uri("web")),)]


@pytest.mark.parametrize("who", ["another service", "another ca", "no uri"])
async def test_a_server_that_is_somebody_else_gets_no_byte(consul, billing, pki, who):
    leaf = {
        "another service": lambda: pki.service("orders"),
        "another ca": lambda: Pki("x").service("billing"),
        "no uri": lambda: pki.leaf(dns=[sni("billing")]),
    }[who]()
    got = []

    async def record(stream):
        got.append(await stream.receive_some(100))

    await billing(leaf, record)
    async with outbound(consul) as (made, port):
        async with await call(port) as stream:
            await stream.send_all(b"secret")
            with pytest.raises(trio.BrokenResourceError):
                assert await stream.receive_some() == b"never a clean end"
        await eventually(lambda: ended(made, "upstream_tls", "billing") == 1)
    assert b"".join(got) == b""


async def test_before_anything_is_known_a_caller_is_reset(consul):
    consul.failing["/v1/connect/ca/roots"] = (500, "not yet")
    port = free_port()
    async with sidecar(consul, "-upstream", f"billing:{port}") as made:
        await eventually(lambda: made.known.datacenter)
        async with await call(port) as stream:
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        await eventually(lambda: ended(made, "no_endpoint", "") == 1)


async def test_endpoints_are_followed(consul, billing):
    await billing()
    async with outbound(consul) as (made, port):
        consul.endpoints("billing", free_port(), status="critical")
        await eventually(lambda: not made.known.endpoints["billing"][0].healthy)
        async with await call(port) as stream:
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        assert ended(made, "no_endpoint", "billing") == 1
        await billing()
        await eventually(lambda: made.known.endpoints["billing"][0].healthy)
        async with await call(port) as stream:
            await exchange(stream)


async def test_through_a_mesh_gateway_it_dials_that_and_expects_the_service(consul, billing):
    upstream = await billing()
    consul.endpoints("billing", 1)
    consul.endpoints("mgw", upstream.port, kind="service")
    async with (
        outbound(consul, "-mesh-gateway", "mgw") as (_, port),
        await call(port) as stream,
    ):
        await exchange(stream)


async def test_a_server_of_a_root_that_is_removed_is_let_go(
    consul, billing, nursery, pki, tmp_path
):
    other = Pki("leaked root")
    consul.roots(other)
    context = server_context(tmp_path, other.service("billing"), pki.pem)
    upstream = await start_upstream(nursery, ssl_context=context)
    consul.endpoints("billing", upstream.port)
    async with outbound(consul) as (made, port), await call(port) as stream:
        await exchange(stream)
        consul.roots()
        with trio.fail_after(30), pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await eventually(lambda: ended(made, "root_distrusted", "billing") == 1)


async def test_an_answer_of_no_use_changes_nothing(consul, billing, pki):
    await billing()
    async with outbound(consul) as (made, port):
        before = made.known
        consul.put("/v1/health/connect/billing", [{"odd": 1}])
        consul.put("/v1/connect/ca/roots", {"TrustDomain": "x"})
        broken = [{"ID": "r", "RootCert": "junk", "Active": True}]
        consul.put("/v1/connect/ca/roots", {"TrustDomain": "x", "Roots": broken})
        asked = consul.asked.count("/v1/connect/ca/roots")
        await eventually(lambda: consul.asked.count("/v1/connect/ca/roots") > asked)
        assert made.known == before
        async with await call(port) as stream:
            await exchange(stream)


async def test_while_the_coordinator_is_away_it_goes_on(pki, consul, billing):
    await billing()
    async with outbound(consul) as (_, port):
        consul.failing.update(dict.fromkeys(consul.values, (500, "away")))
        consul.put("/v1/health/connect/billing", [])
        async with await call(port) as stream:
            await exchange(stream)


# --- in from the mesh


async def test_who_may_come_in_reaches_the_program_in_plain(consul, nursery, api_context):
    upstream = await start_upstream(nursery)
    async with inbound(consul, upstream.endpoint, ("api", "allow")) as (_, port):
        stream = await tls_client(port, api_context, sni("web"))
        await exchange(stream, b"q" * 100_000)
        await trio.aclose_forcefully(stream)


async def test_who_may_not_is_let_go_and_the_program_hears_nothing(consul, nursery, api_context):
    upstream = await start_upstream(nursery)
    async with inbound(consul, upstream.endpoint, ("other", "allow")) as (made, port):
        stream = await tls_client(port, api_context, sni("web"))
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await trio.aclose_forcefully(stream)
        assert ended(made, "denied", "web") == 1
    assert upstream.accepted == 0


async def test_a_removed_root_ends_the_connections_that_rest_on_it(consul, nursery, pki, tmp_path):
    other = Pki("leaked root")
    consul.roots(other)
    upstream = await start_upstream(nursery)
    context = client_context(tmp_path, other.service("api"), pki.pem)
    async with inbound(consul, upstream.endpoint, ("api", "allow")) as (made, port):
        stream = await tls_client(port, context, sni("web"))
        await exchange(stream)
        consul.roots()
        with trio.fail_after(30), pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await trio.aclose_forcefully(stream)
        await eventually(lambda: ended(made, "root_distrusted", "web") == 1)


async def test_a_changed_intention_reaches_open_connections(consul, nursery, api_context):
    upstream = await start_upstream(nursery)
    async with inbound(consul, upstream.endpoint, ("api", "allow")) as (made, port):
        stream = await tls_client(port, api_context, sni("web"))
        await exchange(stream)
        consul.intentions("web", ("api", "deny"))
        with trio.fail_after(30), pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await trio.aclose_forcefully(stream)
        await eventually(lambda: ended(made, "intention_revoked", "web") == 1)


async def test_the_default_policy_is_learned_with_the_intentions(consul, nursery, api_context):
    upstream = await start_upstream(nursery)
    async with inbound(consul, upstream.endpoint) as (made, port):
        stream = await tls_client(port, api_context, sni("web"))
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await trio.aclose_forcefully(stream)
        consul.settings(default="allow")
        consul.intentions("web")  # a restart of the coordinator ends the query likewise
        await eventually(lambda: made.known.default_allow)
        await eventually(
            lambda: (
                made.world.current.view.policies
                and next(iter(made.world.current.view.policies.values()))._default.allowed
            )
        )
        stream = await tls_client(port, api_context, sni("web"))
        await exchange(stream)
        await trio.aclose_forcefully(stream)


async def test_it_registers_where_the_mesh_comes_in_and_takes_it_back(consul, nursery):
    upstream = await start_upstream(nursery)
    async with inbound(consul, upstream.endpoint, ("api", "allow")) as (_, port):
        assert consul.registered["web-sidecar-proxy"] == {
            "Name": "web-sidecar-proxy",
            "Kind": "connect-proxy",
            "Address": "127.0.0.1",
            "Port": port,
            "Proxy": {
                "DestinationServiceName": "web",
                "LocalServiceAddress": "127.0.0.1",
                "LocalServicePort": upstream.port,
            },
        }
    assert consul.registered == {}


async def test_listening_everywhere_leaves_the_address_to_the_node(consul):
    port = free_port()
    places = ["-service-addr", "127.0.0.1:1", "-listen", f"0.0.0.0:{port}"]
    async with sidecar(consul, *places):
        await eventually(lambda: consul.registered)
        assert consul.registered["web-sidecar-proxy"]["Address"] == ""


# --- the process


async def test_metrics_are_served_where_asked(consul, billing):
    await billing()
    metrics = free_port()
    async with (
        outbound(consul, "-metrics-addr", f"127.0.0.1:{metrics}") as (_, port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{metrics}") as client,
    ):
        async with await call(port) as stream:
            await exchange(stream)
            page = (await client.get("/metrics")).text
        expected = 'lockgate_connections_active{gateway="web",kind="sidecar",service="billing"} 1.0'
        assert expected in page
        assert (await client.get("/readyz")).status_code == 200


async def test_it_is_ready_once_it_knows_where_its_upstreams_are(consul, billing):
    """Whoever calls before is let go."""
    await billing()
    consul.failing["/v1/health/connect/billing"] = (500, "not yet")
    async with sidecar(consul, "-upstream", f"billing:{free_port()}") as made:
        await eventually(lambda: made.known.leaf)
        assert made._what_is_missing() == "where to find billing is not known yet"
        del consul.failing["/v1/health/connect/billing"]
        await eventually(lambda: not made._what_is_missing())


async def test_a_port_in_use_is_told_at_start_and_nothing_stays_open(consul):
    with listening_socket("127.0.0.1", 0, reuse_port=False) as taken:
        port, other = taken.getsockname()[1], free_port()
        arguments = ["-upstream", f"a:{other}", "-upstream", f"b:{port}"]
        config = parse_arguments(["-service", "web", *arguments])
        async with open_api(consul.address, "") as api:
            with pytest.raises(ListenError, match=str(port)):
                await Sidecar(config, api).run()
    listening_socket("127.0.0.1", other, reuse_port=False).close()


_MAIN = f"""
import sys; sys.path.insert(0, {str(Path.cwd())!r})
from worker.sidecar.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "nothing to do"),
        (["-upstream", "a:PORT"], "cannot listen on 127.0.0.1:PORT"),
        (["-upstream", "a:0", "-log-level", "loud"], "loud"),
    ],
)
def test_what_it_cannot_boot_with_is_one_line_and_78(arguments, reason):
    with listening_socket("127.0.0.1", 0, reuse_port=False) as taken:
        port = str(taken.getsockname()[1])
        arguments = [argument.replace("PORT", port) for argument in arguments]
        result = subprocess.run(
            [sys.executable, "-I", "-c", _MAIN, "-service", "web", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert result.returncode == 78, result.stderr
    assert reason.replace("PORT", port) in result.stderr
    assert len(result.stderr.splitlines()) == 1
