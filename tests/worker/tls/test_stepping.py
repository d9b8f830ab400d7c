"""A handshake without a task: what each step wants, and what each way to fail is called."""

import socket

import pytest
from OpenSSL import SSL

from cluster.errors import ClientFault, UpstreamFault
from cluster.reasons import End
from worker.tls.contexts import TlsVersions, mesh_client_context, server_context
from worker.tls.names_match import with_uri
from worker.tls.stepping import Want, client_handshake, server_handshake

DB, WEB = (
    "spiffe://a.consul/ns/default/dc/dc1/svc/db",
    "spiffe://a.consul/ns/default/dc/dc1/svc/web",
)


@pytest.fixture(scope="module", params=[SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def versions(request):
    return TlsVersions(highest=request.param)


@pytest.fixture(scope="module")
def server(mesh, versions):
    leaf = mesh.issue(uris=[DB])
    return server_context(
        leaf.chain_pem,
        leaf.key_pem,
        [mesh.pem],
        check_peer=lambda uris: None if uris == (WEB,) else "a stranger",
        versions=versions,
    )


@pytest.fixture(scope="module")
def client_of(mesh, versions):
    """A function from a URI to a context that presents it."""

    def made(uri=WEB):
        web = mesh.issue(uris=[uri])
        return mesh_client_context(web.chain_pem, web.key_pem, [mesh.pem], versions=versions)

    return made


@pytest.fixture
def meet(tcp_pair, server, client_of):
    """A function that makes the handshakes of both sides: the server's, the client's."""

    def both(uri=WEB, expected=DB):
        outer, inner = tcp_pair()
        context = client_of(uri)
        check = with_uri(expected)
        return (
            server_handshake(inner, server),
            client_handshake(outer, context, server_name="db", check_peer=check),
        )

    return both


def finish(*handshakes):
    """Step all in turn until they are over; everything that they wanted."""
    wanted, left = [], list(handshakes)
    for _ in range(1000):
        for handshake in tuple(left):
            wanted.append(handshake.step())
            if wanted[-1] is Want.NOTHING:
                left.remove(handshake)
        if not left:
            return wanted
    raise AssertionError(f"no end after {wanted[-10:]}")


def test_it_waits_for_the_other_side_and_ends_with_a_known_peer(meet):
    server, client = meet()
    assert server.step() is Want.READ
    assert client.step() is Want.READ
    assert set(finish(server, client)) <= {Want.READ, Want.NOTHING}
    ours, theirs = server.leg(), client.leg()
    assert (ours.peer_uri, theirs.peer_uri) == (WEB, DB)
    assert (ours.sock, theirs.sock) == (server.sock, client.sock)
    theirs.send(memoryview(b"hello"))
    assert ours.recv_into(memoryview(bytearray(9))) == 5
    assert not ours.resumed


def test_the_leg_holds_nothing_of_the_handshake_but_its_peer(meet):
    server, client = meet()
    finish(server, client)
    assert server.leg().connection.get_app_data() is None


def test_it_waits_for_room_and_goes_on_when_there_is_some(server, client_of):
    """Our first answer does not fit into a socket that is full already."""
    outer, inner = socket.socketpair()
    with outer, inner:
        for sock in (outer, inner):
            sock.setblocking(False)
        client = client_handshake(outer, client_of(), server_name="db", check_peer=with_uri(DB))
        ours = server_handshake(inner, server)
        assert client.step() is Want.READ
        junk = fill(inner)
        assert [ours.step(), ours.step()] == [Want.WRITE, Want.WRITE]
        while junk > 0:
            junk -= len(outer.recv(min(junk, 65536)))
        finish(ours, client)
        assert ours.leg().peer_uri == WEB


def fill(sock):
    """Send until nothing more is taken; how many bytes were."""
    sent = 0
    for size in (65536, 1):
        try:
            while True:
                sent += sock.send(bytes(size))
        except BlockingIOError:
            continue
    return sent


def test_a_client_that_the_check_refuses(meet):
    server, client = meet(uri="spiffe://a.consul/ns/default/dc/dc1/svc/other")
    with pytest.raises(ClientFault, match="a stranger") as caught:
        finish(client, server)
    assert caught.value.end is End.CLIENT_CERTIFICATE
    assert caught.value.__suppress_context__


def test_a_server_that_is_another_one(meet):
    server, client = meet(expected=WEB)
    with pytest.raises(UpstreamFault, match=f"not for {WEB}") as caught:
        finish(client, server)
    assert caught.value.end is End.UPSTREAM_TLS


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.0\r\n\r\n"])
def test_who_goes_away_or_speaks_something_else(meet, sent):
    server, client = meet()
    client.sock.send(sent)
    client.sock.shutdown(socket.SHUT_WR)
    with pytest.raises(ClientFault) as caught:
        finish(server)
    assert caught.value.end is End.HANDSHAKE_FAILED
    assert (caught.value.detail == "the peer closed the connection") == (not sent)


def test_a_bug_in_a_check_is_raised_as_it_is(tcp_pair, server, client_of):
    def broken(peer):
        raise ZeroDivisionError("a bug")

    outer, inner = tcp_pair()
    client = client_handshake(outer, client_of(), server_name="db", check_peer=broken)
    with pytest.raises(ZeroDivisionError):
        finish(client, server_handshake(inner, server))


def test_a_leg_before_the_peer_is_known_is_refused(meet):
    server, _ = meet()
    server.step()
    with pytest.raises(AssertionError, match="without asking"):
        server.leg()
