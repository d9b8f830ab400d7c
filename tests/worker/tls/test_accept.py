"""Being a server in the mesh: who gets in, and what the others read, with clients of another library."""

import select
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path

import pytest
import trio
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

from cluster.errors import ClientFault
from cluster.reasons import End
from worker.net.leg import WouldBlockRead
from worker.tls.contexts import TlsVersions, mesh_client_context, server_context
from worker.tls.handshake import accept, connect
from worker.tls.peer import fingerprint_of

DOMAIN = "11111111-2222-3333-4444-555555555555.consul"
WEB = f"spiffe://{DOMAIN}/ns/default/dc/dc1/svc/web"
DB = f"spiffe://{DOMAIN}/ns/default/dc/dc1/svc/db"
FOREIGN = "spiffe://other.consul/ns/default/dc/dc1/svc/web"
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def check_peer(uris):
    if len(uris) != 1:
        return f"{len(uris)} URI SANs"
    return None if uris[0].startswith(f"spiffe://{DOMAIN}/") else f"{uris[0]} is of another domain"


def anybody(peer):
    return None


@pytest.fixture(scope="module")
def leaf(mesh):
    return mesh.issue(uris=[DB])


@pytest.fixture(scope="module")
def server(mesh, leaf):
    return server_context(leaf.chain_pem, leaf.key_pem, [mesh.pem], check_peer=check_peer)


def stdlib_client(mesh, issued, version=TLS13):
    """A context of the standard library, which brings an OpenSSL of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=mesh.pem.decode())
    context.minimum_version = context.maximum_version = version
    if issued is not None:
        with tempfile.TemporaryDirectory() as folder:
            context.load_cert_chain(*issued.files(Path(folder), "client"))
    return context


def talk(sock, context):
    """Shake hands, write at once as clients do, and read: the bytes that came, or the alert."""
    sock.settimeout(30)
    try:
        with context.wrap_socket(sock, server_hostname="db") as tls:
            tls.sendall(b"hello")
            return tls.recv(100)
    except ssl.SSLError as error:
        return error.reason


async def serve_once(sock, context, timeout_seconds=30):
    """Accept, answer one message and close: the leg, or the fault."""
    with sock:
        try:
            leg = await accept(sock, context, timeout_seconds=timeout_seconds)
        except ClientFault as fault:
            return fault
        await trio.lowlevel.wait_readable(sock)
        assert leg.recv_into(memoryview(bytearray(100))) == 5
        assert leg.send(memoryview(b"welcome")) == 7
        leg.shutdown_write()
        return leg


async def meet(tcp_pair, server, client_context):
    """What the server made of the client, and what the client saw."""
    client, ours = tcp_pair()
    seen = []
    async with trio.open_nursery() as nursery:

        async def be_client():
            seen.append(await trio.to_thread.run_sync(talk, client, client_context))

        nursery.start_soon(be_client)
        outcome = await serve_once(ours, server)
    return outcome, seen[0]


@pytest.mark.parametrize("version", [TLS12, TLS13])
async def test_a_client_of_the_mesh_gets_in_and_is_known(tcp_pair, mesh, server, version):
    issued = mesh.issue(uris=[WEB])
    leg, seen = await meet(tcp_pair, server, stdlib_client(mesh, issued, version))
    assert seen == b"welcome"
    assert leg.peer_uri == WEB
    assert leg.peer.uris == (WEB,)
    assert leg.peer_not_after == issued.not_after
    assert leg.alpn == b""
    assert "AES_128_GCM" in leg.connection.get_cipher_name().replace("AES128-GCM", "AES_128_GCM")


async def test_an_intermediate_in_the_chain_is_followed_and_presented(
    tcp_pair, mesh, new_authority
):
    below = new_authority("intermediate", parent=mesh)
    leaf = below.issue(uris=[DB])
    context = server_context(leaf.chain_pem, leaf.key_pem, [mesh.pem], check_peer=check_peer)
    leg, seen = await meet(tcp_pair, context, stdlib_client(mesh, below.issue(uris=[WEB])))
    assert (seen, leg.peer_uri) == (b"welcome", WEB)
    assert leg.anchor == fingerprint_of(mesh.pem)


async def test_every_root_is_trusted(tcp_pair, mesh, new_authority):
    older = new_authority("older root")
    leaf = mesh.issue(uris=[DB])
    roots = [mesh.pem, older.pem]
    context = server_context(leaf.chain_pem, leaf.key_pem, roots, check_peer=check_peer)
    for issuer in (mesh, older):
        leg, _ = await meet(tcp_pair, context, stdlib_client(mesh, issuer.issue(uris=[WEB])))
        assert (leg.peer_uri, leg.anchor) == (WEB, fingerprint_of(issuer.pem))


# ---------------------------------------------------------------- certificates that do not do

CERTIFICATES = {
    "none": lambda mesh, other: None,
    "expired": lambda mesh, other: mesh.issue(uris=[WEB], expired=True),
    "of a foreign root": lambda mesh, other: other.issue(uris=[WEB]),
    "no uri": lambda mesh, other: mesh.issue(dns=["web"]),
    "no names at all": lambda mesh, other: mesh.issue(common_name="spiffe://web"),
    "two uris": lambda mesh, other: mesh.issue(uris=[WEB, DB]),
    "another trust domain": lambda mesh, other: mesh.issue(uris=[FOREIGN]),
    "for servers only": lambda mesh, other: mesh.issue(
        uris=[WEB], usages=[ExtendedKeyUsageOID.SERVER_AUTH]
    ),
    "self-signed": lambda mesh, other: other.as_issued(),
}


#: (certificate, what a TLS 1.3 client reads, what a TLS 1.2 client reads, words of the fault)
REFUSED = [
    (
        "none",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "no certificate",
    ),
    ("expired", *["SSLV3_ALERT_CERTIFICATE_EXPIRED"] * 2, "expired"),
    ("of a foreign root", *["TLSV1_ALERT_UNKNOWN_CA"] * 2, "unable to get local issuer"),
    ("self-signed", *["TLSV1_ALERT_UNKNOWN_CA"] * 2, "self-signed certificate"),
    ("no uri", *["SSLV3_ALERT_BAD_CERTIFICATE"] * 2, "0 URI SANs"),
    ("no names at all", *["SSLV3_ALERT_BAD_CERTIFICATE"] * 2, "0 URI SANs"),
    ("two uris", *["SSLV3_ALERT_BAD_CERTIFICATE"] * 2, "2 URI SANs"),
    ("another trust domain", *["SSLV3_ALERT_BAD_CERTIFICATE"] * 2, "another domain"),
    ("for servers only", *["SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"] * 2, "unsuitable certificate"),
]


@pytest.mark.parametrize("version", [TLS13, TLS12])
@pytest.mark.parametrize(("which", "alert13", "alert12", "words"), REFUSED)
async def test_a_client_that_does_not_belong_reads_why(
    tcp_pair, mesh, new_authority, server, which, alert13, alert12, words, version
):
    issued = CERTIFICATES[which](mesh, new_authority("foreign root"))
    fault, seen = await meet(tcp_pair, server, stdlib_client(mesh, issued, version))
    assert isinstance(fault, ClientFault)
    assert fault.end is End.CLIENT_CERTIFICATE
    assert words in fault.detail
    assert seen == (alert13 if version is TLS13 else alert12)


async def test_a_refused_client_that_writes_first_and_reads_late_still_reads_why(
    tcp_pair, mesh, server
):
    """Closing at once would reset: its next write would fail, and few clients read after that."""
    client, ours = tcp_pair()

    def talk_late():
        client.settimeout(30)
        with stdlib_client(mesh, None).wrap_socket(client, server_hostname="db") as tls:
            select.select([tls], [], [], 5)  # the alert is there
            select.select([], [], [], 0.05)  # and whatever follows on its heels
            for _ in range(10):
                tls.sendall(b"hello")
            with pytest.raises(ssl.SSLError) as caught:
                tls.recv(100)
            return caught.value.reason

    seen = []
    async with trio.open_nursery() as nursery:

        async def be_client():
            seen.append(await trio.to_thread.run_sync(talk_late))

        nursery.start_soon(be_client)
        fault = await serve_once(ours, server)
    assert fault.end is End.CLIENT_CERTIFICATE
    assert seen == ["TLSV13_ALERT_CERTIFICATE_REQUIRED"]


async def test_a_bug_in_the_check_lets_nobody_in_and_is_not_hidden(tcp_pair, mesh, leaf):
    def broken(uris):
        raise ZeroDivisionError("a bug")

    context = server_context(leaf.chain_pem, leaf.key_pem, [mesh.pem], check_peer=broken)
    client, ours = tcp_pair()
    async with trio.open_nursery() as nursery:
        issued = mesh.issue(uris=[WEB])
        nursery.start_soon(trio.to_thread.run_sync, talk, client, stdlib_client(mesh, issued))
        with pytest.raises(ZeroDivisionError):
            await accept(ours, context, timeout_seconds=30)
        ours.close()


# ---------------------------------------------------------------- clients that do not behave


async def test_a_client_that_distrusts_us_is_a_failed_handshake(
    tcp_pair, mesh, new_authority, server
):
    stranger = new_authority("stranger")
    fault, seen = await meet(tcp_pair, server, stdlib_client(stranger, mesh.issue(uris=[WEB])))
    assert fault.end is End.HANDSHAKE_FAILED
    assert "unknown ca" in fault.detail
    assert seen == "CERTIFICATE_VERIFY_FAILED"


async def test_a_client_that_stops_half_way_runs_into_the_deadline(tcp_pair, server):
    client, ours = tcp_pair()
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    fault = await serve_once(ours, server, timeout_seconds=0.05)
    assert fault.end is End.HANDSHAKE_TIMEOUT


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_a_client_that_goes_away(tcp_pair, server, sent):
    client, ours = tcp_pair()
    client.send(sent)
    client.close()
    fault = await serve_once(ours, server)
    assert fault.end is End.HANDSHAKE_FAILED
    assert fault.detail == "the peer closed the connection"


async def test_garbage_is_a_failed_handshake_and_leaves_no_error_for_the_next(
    tcp_pair, mesh, server
):
    client, ours = tcp_pair()
    client.send(b"\x16\x03\x01\0\x04\x0e\0\0\0")
    client.shutdown(socket.SHUT_WR)
    assert (await serve_once(ours, server)).end is End.HANDSHAKE_FAILED
    _, seen = await meet(tcp_pair, server, stdlib_client(mesh, mesh.issue(uris=[WEB])))
    assert seen == b"welcome"


# ---------------------------------------------------------------- what is spoken


async def both(tcp_pair, server, client, **arguments):
    """Legs of a handshake between two contexts of ours."""
    there, here = tcp_pair()
    legs = {}
    async with trio.open_nursery() as nursery:

        async def accepting():
            legs["server"] = await accept(here, server, timeout_seconds=30)

        nursery.start_soon(accepting)
        legs["client"] = await connect(
            there, client, server_name="db", timeout_seconds=30, check_peer=anybody, **arguments
        )
    return legs["client"], legs["server"]


@pytest.fixture
def client_context(mesh):
    web = mesh.issue(uris=[WEB])
    return mesh_client_context(web.chain_pem, web.key_pem, [mesh.pem])


async def test_two_of_ours_agree_on_post_quantum_key_exchange(tcp_pair, server, client_context):
    client, ours = await both(tcp_pair, server, client_context)
    assert client.connection.get_group_name() == "X25519MLKEM768"
    assert ours.connection.get_protocol_version_name() == "TLSv1.3"
    assert ours.connection.get_cipher_name() == "TLS_AES_128_GCM_SHA256"
    assert ours.connection.get_servername() == b"db"


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [((b"http/1.1", b"h2"), b"h2"), ((b"http/1.1",), b"http/1.1"), ((b"spdy",), b""), ((), b"")],
)
async def test_alpn_in_our_order_and_never_a_reason_to_fail(tcp_pair, mesh, leaf, offered, agreed):
    server = server_context(
        leaf.chain_pem,
        leaf.key_pem,
        [mesh.pem],
        check_peer=check_peer,
        alpn=(b"h2", b"http/1.1"),
    )
    web = mesh.issue(uris=[WEB])
    client = mesh_client_context(web.chain_pem, web.key_pem, [mesh.pem], alpn=offered)
    legs = await both(tcp_pair, server, client)
    assert [leg.alpn for leg in legs] == [agreed, agreed]


async def test_versions_can_be_limited(tcp_pair, mesh, leaf, client_context):
    server = server_context(
        leaf.chain_pem,
        leaf.key_pem,
        [mesh.pem],
        check_peer=check_peer,
        versions=TlsVersions(
            highest=SSL.TLS1_2_VERSION, tls12_suites=b"ECDHE-ECDSA-AES256-GCM-SHA384"
        ),
    )
    _, ours = await both(tcp_pair, server, client_context)
    assert ours.connection.get_protocol_version_name() == "TLSv1.2"
    assert ours.connection.get_cipher_name() == "ECDHE-ECDSA-AES256-GCM-SHA384"


async def test_the_lowest_version_can_be_raised(tcp_pair, mesh, leaf):
    server = server_context(
        leaf.chain_pem,
        leaf.key_pem,
        [mesh.pem],
        check_peer=check_peer,
        versions=TlsVersions(lowest=SSL.TLS1_3_VERSION),
    )
    fault, seen = await meet(tcp_pair, server, stdlib_client(mesh, None, TLS12))
    assert fault.end is End.HANDSHAKE_FAILED
    assert seen == "TLSV1_ALERT_PROTOCOL_VERSION"


# ---------------------------------------------------------------- the openssl program


async def with_s_client(server, *arguments, text=b""):
    """Our outcome, and the output of `openssl s_client`, which sends `text` and keeps its input open."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        at = f"127.0.0.1:{listener.getsockname()[1]}"
        command = ["openssl", "s_client", "-connect", at, "-servername", "db", *arguments]
        client = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        async with client.stdin, client.stdout:
            await client.stdin.send_all(text)
            await trio.lowlevel.wait_readable(listener)
            ours, _ = listener.accept()
            with ours, trio.fail_after(30):
                ours.setblocking(False)
                outcome = await serve_words(ours, server)
            output = b"".join([chunk async for chunk in client.stdout])
        await client.wait()
    return outcome, output.decode()


async def serve_words(sock, server):
    """Accept and read until the client ends or breaks off, or has said a word: the leg, or the fault."""
    try:
        leg = await accept(sock, server, timeout_seconds=30)
    except ClientFault as fault:
        return fault
    buffer = memoryview(bytearray(1000))
    while True:
        await trio.lowlevel.wait_readable(sock)
        try:
            leg.recv_into(buffer)
        except WouldBlockRead:
            continue
        except ConnectionResetError:
            return leg
        leg.shutdown_write()
        return leg


async def test_s_client_without_a_certificate(server):
    fault, output = await with_s_client(server)
    assert fault.end is End.CLIENT_CERTIFICATE
    assert "alert certificate required" in output


async def test_s_client_with_one(server, mesh, tmp_path):
    chain, key = mesh.issue(uris=[WEB]).files(tmp_path, "web")
    leg, output = await with_s_client(server, "-cert", chain, "-key", key, text=b"hello\n")
    assert leg.peer_uri == WEB
    assert "Peer Temp Key" in output or "Server Temp Key" in output
    assert "closed" in output  # by our close_notify


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
async def test_old_versions_are_refused(server, version):
    fault, output = await with_s_client(server, version, "-cipher", "ALL:@SECLEVEL=0")
    assert fault.end is End.HANDSHAKE_FAILED
    assert "alert protocol version" in output


async def test_renegotiation_is_refused(server, mesh, tmp_path):
    chain, key = mesh.issue(uris=[WEB]).files(tmp_path, "web")
    leg, output = await with_s_client(server, "-tls1_2", "-cert", chain, "-key", key, text=b"R\n")
    assert leg.peer_uri == WEB
    assert "RENEGOTIATING" in output
    assert "no renegotiation" in output
    assert leg.connection.total_renegotiations() == 0
