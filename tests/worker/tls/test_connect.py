"""Being a client: of servers outside the mesh, and of the mesh, against another TLS library."""

import contextlib
import functools
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest
import trio
from cryptography.x509.oid import ExtendedKeyUsageOID

from cluster.errors import UpstreamFault
from cluster.reasons import End
from tests.harness.programs import free_port
from worker.tls.contexts import mesh_client_context, origination_context
from worker.tls.handshake import connect
from worker.tls.names_match import with_uri

DB = "spiffe://a.consul/ns/default/dc/dc1/svc/db"


def stdlib_server(issued, *, client_ca=None, version=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(*issued.files(Path(folder), "server"))
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_ca.pem.decode())
    context.sni_callback = lambda tls, name, _: setattr(tls.context, "asked_for", name)
    context.asked_for = None
    return context


def answer(sock, context):
    """Shake hands, answer one message, close: what was heard, or the alert."""
    sock.settimeout(30)
    try:
        with context.wrap_socket(sock, server_side=True) as tls:
            heard = tls.recv(100)
            tls.sendall(b"welcome")
            with contextlib.suppress(OSError):
                tls.unwrap()
            return heard
    except ssl.SSLError as error:
        return error.reason
    except ConnectionResetError:
        return "reset"


@pytest.fixture
def meet(tcp_pair, receive):
    """A function: what our client made of a server (the leg, or the fault), and what that one saw."""
    return functools.partial(_meet, tcp_pair, receive)


async def _meet(tcp_pair, receive, server, client, name, **arguments):
    ours, there = tcp_pair()
    seen = []
    async with trio.open_nursery() as nursery:

        async def be_server():
            seen.append(await trio.to_thread.run_sync(answer, there, server))

        nursery.start_soon(be_server)
        with ours:
            try:
                leg = await connect(ours, client, server_name=name, timeout_seconds=30, **arguments)
            except UpstreamFault as fault:
                outcome = fault
            else:
                outcome = leg
                with contextlib.suppress(ConnectionError):  # TLS 1.3: a refusal may come late
                    leg.send(memoryview(b"hello"))
                    await receive(leg)
                    leg.shutdown_write()
    return outcome, seen[0]


@pytest.fixture(scope="module")
def ca(new_authority):
    return new_authority("the outside")


GOOD = [
    ({"dns": ["db.example.com"]}, "db.example.com"),
    ({"dns": ["*.example.com"]}, "db.example.com"),
    ({"dns": ["other", "db.example.com"]}, "DB.example.com."),
    ({"ips": ["127.0.0.1"]}, "127.0.0.1"),
    ({"ips": ["::1"]}, "::1"),
    ({"uris": [DB]}, DB),
    ({"emails": ["ops@example.com"]}, "ops@example.com"),
]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(("sans", "name"), GOOD)
async def test_a_server_that_is_the_one_meant(meet, ca, sans, name, version):
    server = stdlib_server(ca.issue(**sans), version=version)
    leg, seen = await meet(server, origination_context(ca.pem), name)
    assert seen == b"hello"
    assert leg.peer.not_after > 0
    is_host = name[0].isalpha() and ":" not in name and "@" not in name
    assert server.asked_for == (name.removesuffix(".") if is_host else None)


BAD = [
    ({"dns": ["other.example.com"]}, "db.example.com"),
    ({"dns": ["*.example.com"]}, "a.db.example.com"),
    ({"dns": ["127.0.0.1"]}, "127.0.0.1"),
    ({"ips": ["127.0.0.2"]}, "127.0.0.1"),
    ({"common_name": "db.example.com"}, "db.example.com"),
    ({"uris": [DB + "x"]}, DB),
]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(("sans", "name"), BAD)
async def test_another_server_hears_not_a_byte(meet, ca, sans, name, version):
    server = stdlib_server(ca.issue(**sans), version=version)
    fault, seen = await meet(server, origination_context(ca.pem), name)
    assert fault.end is End.UPSTREAM_TLS
    assert f"not for {name}" in fault.detail
    assert seen == "SSLV3_ALERT_BAD_CERTIFICATE"


@pytest.mark.parametrize("made", ["expired", "of another ca", "for clients only"])
async def test_a_server_that_is_not_trusted(meet, ca, new_authority, made):
    issued, words = {
        "expired": lambda: (ca.issue(dns=["db"], expired=True), "expired"),
        "of another ca": lambda: (new_authority("x").issue(dns=["db"]), "local issuer"),
        "for clients only": lambda: (
            ca.issue(dns=["db"], usages=[ExtendedKeyUsageOID.CLIENT_AUTH]),
            "unsuitable certificate purpose",
        ),
    }[made]()
    fault, seen = await meet(stdlib_server(issued), origination_context(ca.pem), "db")
    assert fault.end is End.UPSTREAM_TLS
    assert words in fault.detail
    assert "ALERT" in seen


async def test_without_a_ca_the_system_decides(meet, ca, monkeypatch, tmp_path):
    server = stdlib_server(ca.issue(dns=["db"]))
    fault, _ = await meet(server, origination_context(), "db")
    assert "local issuer" in fault.detail
    (tmp_path / "roots.pem").write_bytes(ca.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    _, seen = await meet(server, origination_context(), "db")
    assert seen == b"hello"


async def test_an_intermediate_or_the_certificate_itself_may_be_the_ca(meet, ca, new_authority):
    below = new_authority("below", parent=ca)
    issued = below.issue(dns=["db"])
    server = stdlib_server(issued)
    for trusted in (below.pem, issued.chain_pem, ca.pem):
        _, seen = await meet(server, origination_context(trusted), "db")
        assert seen == b"hello"


async def test_a_client_certificate_is_presented(meet, ca):
    server = stdlib_server(ca.issue(dns=["db"]), client_ca=ca)
    ours = ca.issue(dns=["gateway"])
    with_ours = origination_context(ca.pem, ours.chain_pem, ours.key_pem)
    _, seen = await meet(server, with_ours, "db")
    assert seen == b"hello"
    _, seen = await meet(server, origination_context(ca.pem), "db")
    assert seen == "PEER_DID_NOT_RETURN_A_CERTIFICATE"


async def test_a_refusal_of_our_certificate_that_comes_late_is_a_reset(tcp_pair, receive, ca):
    """In TLS 1.3 our handshake is over before the server has judged our certificate."""
    ours, there = tcp_pair()
    server = stdlib_server(ca.issue(dns=["db"]), client_ca=ca)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, answer, there, server)
        leg = await connect(ours, origination_context(ca.pem), server_name="db", timeout_seconds=30)
        with pytest.raises(ConnectionResetError, match="certificate required"):
            await receive(leg)
        ours.close()


# ---------------------------------------------------------------- into the mesh


async def test_a_mesh_server_is_known_by_its_uri(meet, mesh):
    web = mesh.issue(uris=["spiffe://a.consul/ns/default/dc/dc1/svc/web"])
    client = mesh_client_context(web.chain_pem, web.key_pem, [mesh.pem])
    server = stdlib_server(mesh.issue(uris=[DB]), client_ca=mesh)
    sni = "db.default.dc1.internal.a.consul"
    leg, seen = await meet(server, client, sni, check_peer=with_uri(DB))
    assert (leg.peer_uri, seen, server.asked_for) == (DB, b"hello", sni)
    fault, seen = await meet(server, client, sni, check_peer=with_uri(DB + "2"))
    assert f"not for {DB}2" in fault.detail
    assert seen == "SSLV3_ALERT_BAD_CERTIFICATE"


async def test_nobody_connects_into_the_mesh_without_saying_to_whom(tcp_pair, mesh):
    web = mesh.issue(uris=["spiffe://a.consul/ns/default/dc/dc1/svc/web"])
    client = mesh_client_context(web.chain_pem, web.key_pem, [mesh.pem])
    ours, _ = tcp_pair()
    with pytest.raises(TypeError, match="whom to expect"):
        await connect(ours, client, server_name="db", timeout_seconds=1)


# ---------------------------------------------------------------- servers that do not behave


async def test_a_server_that_is_silent_runs_into_the_deadline(tcp_pair, ca):
    ours, _ = tcp_pair()
    with pytest.raises(UpstreamFault, match=r"0\.05 s") as caught:
        await connect(ours, origination_context(ca.pem), server_name="db", timeout_seconds=0.05)
    assert caught.value.end is End.UPSTREAM_TLS


@pytest.mark.parametrize(
    ("sent", "words"),
    [(b"", "closed"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "wrong version|packet|http")],
)
async def test_a_server_that_speaks_no_tls(tcp_pair, ca, sent, words):
    ours, there = tcp_pair()
    there.send(sent)
    there.shutdown(socket.SHUT_WR)
    with pytest.raises(UpstreamFault, match=words) as caught:
        await connect(ours, origination_context(ca.pem), server_name="db", timeout_seconds=30)
    assert caught.value.end is End.UPSTREAM_TLS


async def test_a_server_that_resets(tcp_pair, ca):
    ours, there = tcp_pair()
    there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    there.close()
    with pytest.raises(UpstreamFault, match="Connection reset by peer"):
        await connect(ours, origination_context(ca.pem), server_name="db", timeout_seconds=30)


# ---------------------------------------------------------------- the openssl program


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_s_server(receive, ca, tmp_path, version):
    chain, key = ca.issue(dns=["db.example.com"]).files(tmp_path, "server")
    port = free_port()
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", chain, "-key", key]
    server = await trio.lowlevel.open_process(
        [*command, version, "-rev", "-naccept", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        with trio.fail_after(30):
            async for chunk in server.stdout:
                if b"ACCEPT" in chunk:
                    break
            ours = socket.create_connection(("127.0.0.1", port))
            ours.setblocking(False)
            context = origination_context(ca.pem)
            with ours:
                leg = await connect(ours, context, server_name="db.example.com", timeout_seconds=30)
                leg.send(memoryview(b"hello\n"))
                assert await receive(leg) == b"olleh\n"
    finally:
        server.kill()
        await server.wait()
        await server.stdout.aclose()
