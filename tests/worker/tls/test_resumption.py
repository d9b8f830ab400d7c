"""Coming back without a certificate: what is still asked, and when it ends.

The clients are of another library, so that tickets are used as the world uses them.
"""

import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from OpenSSL import SSL

from cluster.errors import ClientFault
from cluster.reasons import End
from worker.tls import verification
from worker.tls.contexts import (
    SESSION_SECONDS,
    mesh_client_context,
    origination_context,
    server_context,
)
from worker.tls.handshake import accept, connect
from worker.tls.openssl import do_handshake, ffi, lib
from worker.tls.peer import fingerprint_of
from worker.tls.stepping import Want, server_handshake
from worker.tls.verification import UNKNOWN, Verification

DB, WEB = (
    "spiffe://a.consul/ns/default/dc/dc1/svc/db",
    "spiffe://a.consul/ns/default/dc/dc1/svc/web",
)
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

both_versions = pytest.mark.parametrize("version", [TLS13, TLS12])


@dataclass
class Server:
    """A server context whose check and clock a test moves."""

    mesh: object
    roots: list
    leaf: object
    now: float = 0.0
    problem: str | None = None
    asked: list = field(default_factory=list)

    def __post_init__(self):
        self.context = self.made()

    def made(self):
        return server_context(
            self.leaf.chain_pem,
            self.leaf.key_pem,
            self.roots,
            check_peer=self.check,
            wall_clock=lambda: self.now,
        )

    def check(self, uris):
        self.asked.append(uris)
        if isinstance(self.problem, Exception):
            raise self.problem
        return self.problem


@pytest.fixture
def server(mesh):
    return Server(mesh, [mesh.pem], mesh.issue(uris=[DB]))


def a_client(issued, root, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=root.pem.decode())
    context.minimum_version = context.maximum_version = version
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(*issued.files(Path(folder), "client"))
    return context


def call(sock, context, session, name):
    """Shake hands, read the greeting: the session to come back with, and whether one was resumed."""
    sock.settimeout(30)
    try:
        with context.wrap_socket(sock, server_hostname=name, session=session) as tls:
            assert tls.recv(100) == b"hi"
            return tls.session, tls.session_reused
    except ssl.SSLError as error:
        return error.reason


@pytest.fixture
def visit(tcp_pair):
    """A function that has a client call a server: our leg, or what was raised; what the client got."""

    async def visit(server_context, client, session=None, name="db"):
        outer, inner = tcp_pair()
        seen = []
        async with trio.open_nursery() as nursery:

            async def be_client():
                seen.append(await trio.to_thread.run_sync(call, outer, client, session, name))

            nursery.start_soon(be_client)
            with inner:
                try:
                    outcome = await accept(inner, server_context, timeout_seconds=30)
                except (ClientFault, ZeroDivisionError, TypeError) as fault:
                    outcome = fault
                else:
                    outcome.send(memoryview(b"hi"))
                    outcome.shutdown_write()
        return outcome, seen[0]

    return visit


@both_versions
async def test_a_caller_that_comes_back_is_known_and_asked_about_again(visit, server, version):
    issued = server.mesh.issue(uris=[WEB])
    client = a_client(issued, server.mesh, version)
    first, (session, reused) = await visit(server.context, client)
    assert not reused
    assert not first.resumed
    assert server.asked == [(WEB,)]
    for times in (2, 3):
        leg, (session, reused) = await visit(server.context, client, session)
        assert reused
        assert leg.resumed
        assert server.asked == [(WEB,)] * times
        assert (leg.peer_uri, leg.peer_not_after) == (WEB, issued.not_after)
        assert leg.peer is first.peer


@both_versions
async def test_also_without_a_server_name(visit, server, version):
    client = a_client(server.mesh.issue(uris=[WEB]), server.mesh, version)
    _, (session, _) = await visit(server.context, client, name=None)
    server.problem = "no longer"
    fault, seen = await visit(server.context, client, session, name=None)
    assert fault.end is End.CLIENT_CERTIFICATE
    assert seen == "SSLV3_ALERT_BAD_CERTIFICATE"


@both_versions
async def test_whom_the_check_refuses_now_does_not_come_back(visit, server, version):
    client = a_client(server.mesh.issue(uris=[WEB]), server.mesh, version)
    _, (session, _) = await visit(server.context, client)
    server.problem = "of a trust domain that was given up"
    fault, seen = await visit(server.context, client, session)
    assert (fault.end, fault.detail) == (End.CLIENT_CERTIFICATE, server.problem)
    assert seen == "SSLV3_ALERT_BAD_CERTIFICATE"


@both_versions
async def test_a_session_does_not_outlive_the_certificate(visit, server, version):
    issued = server.mesh.issue(uris=[WEB])
    client = a_client(issued, server.mesh, version)
    _, (session, _) = await visit(server.context, client)
    server.now = issued.not_after
    _, (session, reused) = await visit(server.context, client, session)
    assert reused
    server.now += 0.001
    fault, seen = await visit(server.context, client, session)
    assert fault.end is End.CLIENT_CERTIFICATE
    assert "expired" in fault.detail
    assert seen == "SSLV3_ALERT_CERTIFICATE_EXPIRED"


@both_versions
async def test_who_has_a_new_certificate_gets_in_after_such_a_refusal(visit, server, version):
    """No dead end: without the session there is a full handshake, which OpenSSL judges."""
    issued = server.mesh.issue(uris=[WEB])
    await visit(server.context, a_client(issued, server.mesh, version))
    server.now = issued.not_after + 1
    leg, (_, reused) = await visit(
        server.context, a_client(server.mesh.issue(uris=[WEB]), server.mesh, version)
    )
    assert leg.peer_uri == WEB
    assert not reused


@both_versions
async def test_a_removed_root_ends_its_sessions(visit, mesh, new_authority, version):
    leaving = new_authority("leaving root")
    server = Server(mesh, [mesh.pem, leaving.pem], mesh.issue(uris=[DB]))
    client = a_client(leaving.issue(uris=[WEB]), mesh, version)
    _, (session, _) = await visit(server.context, client)
    _, (session, reused) = await visit(server.context, client, session)
    assert reused
    server.roots = [mesh.pem]
    fault, seen = await visit(server.made(), client, session)
    assert fault.end is End.CLIENT_CERTIFICATE
    assert "unable to get local issuer" in fault.detail
    assert seen == "TLSV1_ALERT_UNKNOWN_CA"


@both_versions
async def test_another_context_of_the_same_material_knows_no_session_of_the_first(
    visit, server, version
):
    """So another leaf's context does not either: tickets are encrypted with keys of one context."""
    client = a_client(server.mesh.issue(uris=[WEB]), server.mesh, version)
    _, (session, _) = await visit(server.context, client)
    leg, (_, reused) = await visit(server.made(), client, session)
    assert not reused
    assert not leg.resumed
    assert leg.peer_uri == WEB


@both_versions
async def test_a_bug_in_the_check_lets_nobody_back(visit, server, version):
    client = a_client(server.mesh.issue(uris=[WEB]), server.mesh, version)
    _, (session, _) = await visit(server.context, client)
    server.problem = ZeroDivisionError("a bug")
    bug, seen = await visit(server.context, client, session)
    assert bug is server.problem
    assert seen == "TLSV1_ALERT_INTERNAL_ERROR"


@both_versions
async def test_a_broken_clock_lets_nobody_back(visit, server, version):
    client = a_client(server.mesh.issue(uris=[WEB]), server.mesh, version)
    _, (session, _) = await visit(server.context, client)
    server.now = None
    bug, seen = await visit(server.context, client, session)
    assert isinstance(bug, TypeError)
    assert seen == "TLSV1_ALERT_INTERNAL_ERROR"


@both_versions
async def test_a_ticket_is_good_for_an_hour(visit, server, version):
    client = a_client(server.mesh.issue(uris=[WEB]), server.mesh, version)
    _, (session, _) = await visit(server.context, client)
    assert session.has_ticket
    assert session.ticket_lifetime_hint == SESSION_SECONDS == 3600


@both_versions
async def test_a_ticket_that_was_tampered_with_costs_a_full_handshake(visit, server, version):
    """Nobody makes a ticket but us: it is authenticated before it is read."""
    client = a_client(server.mesh.issue(uris=[WEB]), server.mesh, version)
    await visit(server.context, client)
    server.asked.clear()
    stranger = server.made()
    _, (session, _) = await visit(stranger, client)
    _, (_, reused) = await visit(server.context, client, session)
    assert not reused


async def test_a_session_is_resumed_after_another_group_was_asked_for(tcp_pair, server, mesh):
    """HelloRetryRequest: the hello comes twice, and the callback runs twice."""
    web = mesh.issue(uris=[WEB])
    client = mesh_client_context(web.chain_pem, web.key_pem, [mesh.pem])
    session = await a_session(tcp_pair, server, client)
    assert lib.SSL_CTX_set1_curves_list(client._context, b"P-521:P-384") == 1
    assert lib.SSL_CTX_set1_curves_list(server.context._context, b"P-384") == 1
    server.asked.clear()
    connection, leg = meet(tcp_pair, server.context, client, session)
    assert leg.resumed
    assert leg.peer_uri == WEB
    assert connection.get_group_name() == "secp384r1"
    assert server.asked == [(WEB,)] * 2


# ---------------------------------------------------------------- early data


async def a_session(tcp_pair, server, client):
    """A session of `client`, an OpenSSL context of ours."""
    connection, leg = meet(tcp_pair, server.context, client, None)
    leg.send(memoryview(b"hi"))
    await trio.lowlevel.wait_readable(connection.fileno())
    assert connection.recv(10) == b"hi"
    # A connection that is freed without an end in order takes its session with it.
    connection.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)
    return connection.get_session()


def meet(tcp_pair, context, client, session, early=b""):
    """A handshake, with early data where the session allows it: the client's connection, our leg."""
    outer, inner = tcp_pair()
    theirs, ours = SSL.Connection(client, outer), server_handshake(inner, context)
    theirs.set_app_data(Verification(lambda peer: None))
    theirs.set_connect_state()
    if session is not None:
        theirs.set_session(session)
    if early:
        assert lib.SSL_write_early_data(theirs._ssl, early, len(early), ffi.new("size_t *")) == 1
    done = [False, False]
    for _ in range(1000):
        for at, step in enumerate((lambda: do_handshake(theirs), ours.step)):
            done[at] = done[at] or step() is Want.NOTHING
        if all(done):
            return theirs, ours.leg()
    raise AssertionError("the handshake does not end")


def allowing_early_data(session):
    """The same session with max_early_data (context tag 15) of 16384, as a server never said."""
    size = lib.i2d_SSL_SESSION(session._session, ffi.NULL)
    der = ffi.new("unsigned char[]", size)
    lib.i2d_SSL_SESSION(session._session, ffi.new("unsigned char **", der))
    fields = list(elements(contents(bytes(der))[1]))
    assert not any(tag == 0xAF for tag, _ in fields)
    fields.append((0xAF, b"\xaf\x04\x02\x02\x40\x00"))
    universal = [raw for tag, raw in fields if tag < 0xA0]
    tagged = [raw for tag, raw in sorted(fields) if tag >= 0xA0]
    body = b"".join(universal + tagged)
    changed = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    made = SSL.Session()
    made._context = session._context
    start = ffi.new("unsigned char[]", changed)
    pointer = ffi.new("const unsigned char **", start)
    made._session = ffi.gc(
        lib.d2i_SSL_SESSION(ffi.NULL, pointer, len(changed)), lib.SSL_SESSION_free
    )
    assert lib.SSL_SESSION_get_max_early_data(made._session) == 16384
    return made


def contents(der):
    """The bytes of the first DER element, whole and without its head."""
    length, head = der[1], 2
    if length & 0x80:
        head += length & 0x7F
        length = int.from_bytes(der[2:head], "big")
    return der[: head + length], der[head : head + length]


def elements(body):
    while body:
        whole, _ = contents(body)
        yield whole[0], whole
        body = body[len(whole) :]


async def test_no_ticket_allows_early_data(tcp_pair, server, mesh):
    web = mesh.issue(uris=[WEB])
    client = mesh_client_context(web.chain_pem, web.key_pem, [mesh.pem])
    session = await a_session(tcp_pair, server, client)
    assert lib.SSL_SESSION_get_max_early_data(session._session) == 0


async def test_early_data_that_comes_nevertheless_is_never_heard(tcp_pair, server, mesh):
    """It can be replayed by anybody (RFC 8446 section 8), so it must not reach a service."""
    web = mesh.issue(uris=[WEB])
    client = mesh_client_context(web.chain_pem, web.key_pem, [mesh.pem])
    session = allowing_early_data(await a_session(tcp_pair, server, client))
    theirs, leg = meet(tcp_pair, server.context, client, session, early=b"pay twice")
    assert leg.resumed
    theirs.send(b"pay once")
    await trio.lowlevel.wait_readable(leg.sock)
    buffer = bytearray(100)
    assert buffer[: leg.recv_into(memoryview(buffer))] == b"pay once"


# ---------------------------------------------------------------- our own clients


@pytest.fixture
def outside(new_authority):
    """A server of the standard library that offers sessions, and a function that calls it by us."""
    ca = new_authority("the outside")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        server.load_cert_chain(*ca.issue(dns=["a.test", "b.test"]).files(Path(folder), "server"))
    return ca, server


def greet(sock, context):
    sock.settimeout(30)
    with context.wrap_socket(sock, server_side=True) as tls:
        tls.sendall(b"hi")
        assert tls.recv(10) == b"bye"
        return tls.session_reused


@both_versions
@pytest.mark.parametrize("kind", ["origination", "mesh"])
async def test_our_own_clients_never_resume(tcp_pair, receive, outside, mesh, version, kind):
    """A session made with one server name must not vouch for another; no session vouches for any."""
    ca, server = outside
    server.minimum_version = server.maximum_version = version
    leaf = mesh.issue(uris=[WEB])
    client = (
        origination_context(ca.pem)
        if kind == "origination"
        else mesh_client_context(leaf.chain_pem, leaf.key_pem, [ca.pem])
    )
    asked, reused = [], []

    def check(peer):
        asked.append(peer.dns_names)

    async def serve(sock):
        reused.append(await trio.to_thread.run_sync(greet, sock, server))

    for name in ("a.test", "a.test", "b.test"):
        outer, inner = tcp_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, inner)
            leg = await connect(
                outer, client, server_name=name, timeout_seconds=30, check_peer=check
            )
            assert await receive(leg) == b"hi"
            leg.send(memoryview(b"bye"))
            assert not leg.resumed
            leg.shutdown_write()
    assert reused == [False] * 3
    assert len(asked) == 3


@both_versions
async def test_who_comes_back_rests_on_the_root_that_was_found_before(visit, server, version):
    client = a_client(server.mesh.issue(uris=[WEB]), server.mesh, version)
    first, (session, _) = await visit(server.context, client)
    again, (_, reused) = await visit(server.context, client, session)
    assert reused
    assert again.anchor == first.anchor == fingerprint_of(server.mesh.pem)


async def test_of_whom_nothing_is_remembered_the_root_is_unknown(visit, server, monkeypatch):
    monkeypatch.setattr(verification, "REMEMBERED", 1)
    first, second = (a_client(server.mesh.issue(uris=[WEB]), server.mesh, TLS13) for _ in range(2))
    _, (session, _) = await visit(server.context, first)
    await visit(server.context, second)
    leg, (_, reused) = await visit(server.context, first, session)
    assert (reused, leg.anchor) == (True, UNKNOWN)
