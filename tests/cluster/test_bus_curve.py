"""Who is let onto a bus with CURVE, under which name, and for how long. Real sockets."""

from contextlib import asynccontextmanager

import pytest
import trio
import zmq

from cluster.bus import (
    BusLimits,
    CurveClient,
    CurveServer,
    Peer,
    PeerGone,
    connect,
    keygen,
    public_key,
    serve,
)
from cluster.bus.curve import PUBLIC_KEY, USER_ID, ZAP_ENDPOINT, _property, zap_answer
from cluster.errors import ConfigError

LOOPBACK = "tcp://127.0.0.1:0"
HASTY = BusLimits(reconnect_max_seconds=0.1)


class Club:
    """A server's key, and a list of members that a test may change; it remembers who asked."""

    def __init__(self):
        self.server = keygen()
        self.names = {}
        self.asked = []

    def member(self, name):
        keys = keygen()
        if name:
            self.names[keys.public_key] = name
        return CurveClient(
            secret_key=keys.secret_key,
            public_key=keys.public_key,
            server_key=self.server.public_key,
        )

    def allow(self, key):
        self.asked.append(key)
        return self.names.get(key)

    @asynccontextmanager
    async def serve(self, endpoint=LOOPBACK, limits=None):
        with trio.fail_after(30):
            curve = CurveServer(secret_key=self.server.secret_key, allow=self.allow)
            async with serve(endpoint, curve=curve, limits=limits) as bus:
                yield bus


async def meet(bus, client, body=b"hello"):
    await client.send(body)
    incoming = await bus.incoming.receive()
    assert incoming.body == body
    return incoming.peer


async def until(condition):
    while not condition():  # noqa: ASYNC110 - a counter of ZeroMQ has no event
        await trio.sleep(0.005)


async def assert_hears_only(bus, club):
    """A member's message is the first that comes through."""
    async with connect(bus.endpoint, curve=club.member("node-a")) as client:
        assert (await meet(bus, client)).identity == "node-a"


async def test_a_peer_is_known_by_the_name_that_the_list_gives_its_key():
    club = Club()
    a, b = club.member("node-a"), club.member("node-b")
    async with (
        club.serve() as bus,
        connect(bus.endpoint, curve=a) as first,
        connect(bus.endpoint, curve=b) as second,
    ):
        assert (await meet(bus, second)).identity == "node-b"
        peer = await meet(bus, first)
        assert peer == Peer(identity="node-a", routing_id=peer.routing_id, public_key=a.public_key)
        assert str(peer) == "node-a"
        await bus.send(peer, b"for a")
        assert await first.receive() == b"for a"


@pytest.mark.slow
async def test_a_key_that_is_not_on_the_list_gets_nothing_through():
    club = Club()
    stranger = club.member("")
    async with club.serve() as bus, connect(bus.endpoint, curve=stranger, limits=HASTY) as client:
        await client.send(b"let me in")
        await until(lambda: client.link.refusals >= 2)
        assert stranger.public_key in club.asked
        await assert_hears_only(bus, club)


async def test_why_there_is_no_connection_is_known():
    club = Club()
    stranger = club.member("")
    async with club.serve() as bus:
        async with connect(bus.endpoint, curve=stranger, limits=HASTY) as client:
            await until(lambda: client.link.is_refused)
            assert client.link.trouble == "it refuses our key"
            club.names[stranger.public_key] = "node-late"
            await client.link.wait_connected(0)
            assert (client.link.trouble, client.link.is_refused) == ("", False)
        club.server = keygen()  # what a node would be told of another coordinator
        misled = club.member("node-a")
        async with connect(bus.endpoint, curve=misled, limits=HASTY) as client:
            await until(lambda: client.link.trouble)
            assert "perhaps its key is another" in client.link.trouble
        endpoint = bus.endpoint
    async with connect(endpoint, curve=stranger, limits=HASTY) as client:
        with trio.fail_after(30):
            await until(lambda: client.link.trouble)
        assert client.link.trouble == "no connection can be made"


async def test_a_key_put_on_the_list_later_gets_in_by_itself():
    club = Club()
    late = club.member("")
    async with club.serve() as bus, connect(bus.endpoint, curve=late, limits=HASTY) as client:
        await until(lambda: client.link.refusals)
        club.names[late.public_key] = "node-late"
        assert (await meet(bus, client)).identity == "node-late"


@pytest.mark.slow
async def test_a_client_without_curve_gets_nothing_through():
    club = Club()
    async with club.serve() as bus, connect(bus.endpoint) as client:
        await client.send(b"let me in")
        await until(lambda: client.link.refusals >= 2)
        await assert_hears_only(bus, club)


@pytest.mark.slow
async def test_a_client_that_expects_another_server_gets_nothing_through():
    club = Club()
    misled = club.member("node-b")
    wrong = CurveClient(
        secret_key=misled.secret_key,
        public_key=misled.public_key,
        server_key=keygen().public_key,
    )
    async with club.serve() as bus, connect(bus.endpoint, curve=wrong, limits=HASTY) as client:
        await client.send(b"my secret")
        await until(lambda: client.link.refusals >= 2)
        assert club.asked == []
        await assert_hears_only(bus, club)


@pytest.mark.slow
async def test_a_server_without_curve_gets_nothing_from_a_client_with_it():
    club = Club()
    with trio.fail_after(30):
        curve = club.member("node-a")
        async with serve(LOOPBACK) as bus, connect(bus.endpoint, curve=curve) as careful:
            await careful.send(b"my secret")
            await until(lambda: careful.link.refusals >= 2)
            async with connect(bus.endpoint) as careless:
                assert (await meet(bus, careless)).identity == ""


async def test_a_revoked_key_is_neither_heard_nor_told_anything():
    club = Club()
    a, b = club.member("node-a"), club.member("node-b")
    async with (
        club.serve() as bus,
        connect(bus.endpoint, curve=a) as revoked,
        connect(bus.endpoint, curve=b) as other,
    ):
        peer = await meet(bus, revoked)
        del club.names[a.public_key]
        await revoked.send(b"still here")
        await until(lambda: bus.dropped_revoked == 1)
        with pytest.raises(PeerGone, match="node-a is gone"):
            await bus.send(peer, b"a secret")
        assert (await meet(bus, other)).identity == "node-b"
        club.names[a.public_key] = "node-a"
        assert await meet(bus, revoked) == peer
        await bus.send(peer, b"welcome back")
        assert await revoked.receive() == b"welcome back"


async def test_a_key_that_changes_hands_is_no_longer_the_old_peer():
    club = Club()
    a = club.member("node-a")
    async with club.serve() as bus, connect(bus.endpoint, curve=a) as client:
        peer = await meet(bus, client)
        club.names[a.public_key] = "node-z"
        await client.send(b"who am I?")
        await until(lambda: bus.dropped_revoked == 1)
        with pytest.raises(PeerGone):
            await bus.send(peer, b"for node-a only")


async def test_what_zap_says_precedes_what_the_peer_says_of_itself():
    """Of libzmq, and CURVE's safety here rests on it. NULL shows it without a CURVE stack of ours."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
    claims = b"\x07User-Id\0\0\0\x04root" + _property(PUBLIC_KEY, "forged")
    ready = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER" + claims
    with zmq.Context() as context, context.socket(zmq.REP) as zap, trio.fail_after(30):
        zap.bind(ZAP_ENDPOINT)
        with context.socket(zmq.ROUTER) as server:
            server.zap_domain = b"test"
            port = server.bind_to_random_port("tcp://127.0.0.1")
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(greeting + b"\x04" + bytes([len(ready)]) + ready)
                assert zap.poll(10_000)
                version, request_id, *_ = zap.recv_multipart()
                known = _property(PUBLIC_KEY, "true")
                zap.send_multipart([version, request_id, b"200", b"", b"node-a", known])
                answer = b""
                while b"READY" not in answer:
                    answer += await stream.receive_some()
                await stream.send_all(b"\x00\x05trust")
                assert server.poll(10_000)
                _, body = server.recv_multipart(copy=False)
                assert body.bytes == b"trust"
                assert body.get(USER_ID) == "node-a"
                assert body.get(PUBLIC_KEY) == "true"


async def test_one_node_cannot_take_over_the_routing_id_of_another():
    """With ROUTER_HANDOVER whoever claims a routing id would get what is sent to it."""
    club = Club()
    a = club.member("node-a")
    with zmq.Context() as context:
        async with club.serve() as bus, connect(bus.endpoint, curve=club.member("node-b")) as b:

            def claim(curve):
                socket = context.socket(zmq.DEALER)
                socket.linger = 0
                socket.routing_id = b"node-b"
                socket.curve_secretkey = curve.secret_key.encode()
                socket.curve_publickey = curve.public_key.encode()
                socket.curve_serverkey = curve.server_key.encode()
                socket.connect(bus.endpoint)
                return socket

            with claim(club.member("node-b")) as victim:
                victim.send(b"hello")
                peer = (await bus.incoming.receive()).peer
                club.asked.clear()
                with claim(a) as thief:
                    await until(lambda: a.public_key in club.asked)
                    thief.send(b"now I am node-b")
                    await meet(bus, b)  # the thief has had the time of a round trip
                    await bus.send(peer, b"for node-b only")
                    await until(lambda: victim.poll(0))
                    assert victim.recv() == b"for node-b only"
                    assert not thief.poll(0)


async def test_curve_and_a_routing_id_of_ones_own_exclude_each_other():
    with pytest.raises(ValueError, match="the key is the identity"):
        async with connect(LOOPBACK, curve=Club().member("a"), identity=b"a"):
            pass


async def test_two_buses_in_one_process_keep_their_lists_apart():
    first, second = Club(), Club()
    a = first.member("node-a")
    async with first.serve() as bus, second.serve(), connect(bus.endpoint, curve=a) as client:
        assert (await meet(bus, client)).identity == "node-a"
    assert second.asked == []


def test_a_public_key_is_made_from_the_secret_one():
    keys = keygen()
    assert public_key(keys.secret_key) == keys.public_key
    assert keygen() != keys


@pytest.mark.parametrize("text", ["", "x" * 39, "x" * 41, "x" * 39 + " ", "x" * 39 + "é"])
def test_what_is_not_a_key_is_refused_without_being_quoted(text):
    with pytest.raises(ConfigError, match="a CURVE key has 40 characters of the Z85") as error:
        public_key(text)
    assert not text or text not in str(error.value)


async def test_a_malformed_key_is_refused_before_anything_is_bound():
    with pytest.raises(ConfigError):
        async with serve(LOOPBACK, curve=CurveServer(secret_key="short", allow={}.get)):
            pass


def test_secrets_are_not_in_the_repr():
    keys = keygen()
    curve = CurveServer(secret_key=keys.secret_key, allow={}.get)
    member = Club().member("node-a")
    assert keys.secret_key not in repr(keys) + repr(curve)
    assert member.secret_key not in repr(member)


@pytest.mark.parametrize(
    "request_frames",
    [
        (b"1.0", b"7"),
        (b"1.0", b"7", b"domain", b"127.0.0.1", b"", b"NULL"),
        (b"1.0", b"7", b"domain", b"127.0.0.1", b"", b"PLAIN", b"node-a", b"password"),
    ],
)
def test_zap_refuses_every_other_mechanism(request_frames):
    answer = zap_answer(request_frames, {}.get)
    assert answer[:3] == (b"1.0", b"7", b"400")


def test_zap_refuses_an_empty_name():
    frames = (b"1.0", b"7", b"domain", b"127.0.0.1", b"", b"CURVE", bytes(32))
    assert zap_answer(frames, lambda key: "")[2] == b"400"
    assert zap_answer(frames, lambda key: "node-a")[2:5] == (b"200", b"", b"node-a")


async def test_the_size_limit_is_the_bodys_and_not_the_encrypted_messages():
    club = Club()
    limits = BusLimits(max_message_bytes=1024 * 1024)
    curve = club.member("node-a")
    async with (
        club.serve(limits=limits) as bus,
        connect(bus.endpoint, curve=curve, limits=limits) as client,
    ):
        peer = await meet(bus, client, bytes(1024 * 1024))
        await bus.send(peer, bytes(1024 * 1024))
        assert len(await client.receive()) == 1024 * 1024


@pytest.mark.parametrize("key", ["-abc", "ab${c", "ab%{c"])
def test_a_key_that_people_cannot_paste_is_drawn_again(key, monkeypatch):
    fine = b"a" * 40
    drawn = [(key.encode(), fine), (fine, fine)]
    monkeypatch.setattr(zmq, "curve_keypair", lambda: drawn.pop(0))
    assert keygen().public_key == fine.decode()
    assert not drawn
