"""The bus without CURVE, over real sockets: order, back-pressure, absent peers, restarts."""

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
import zmq

from cluster.bus import BusLimits, MessageTooLarge, PeerGone, connect, serve
from tests.harness.programs import free_port

TINY = BusLimits(high_water_mark=5, incoming_messages=5, outbox_messages=5)
LINGERING = BusLimits(linger_seconds=30)  # at most: as long as it takes
LOOPBACK = "tcp://127.0.0.1:0"
# More than the kernel buffers for a connection that nobody reads, so that the queues fill.
LARGE = bytes(64 * 1024)


@asynccontextmanager
async def bus_and_client(endpoint=LOOPBACK, limits=None):
    with trio.fail_after(30):
        async with (
            serve(endpoint, limits=limits) as bus,
            connect(bus.endpoint, limits=limits) as client,
        ):
            yield bus, client


@asynccontextmanager
async def raw_dealer(endpoint):
    """A client that may send what ours never would."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(endpoint)
        yield socket


@asynccontextmanager
async def handmade_dealer(endpoint, properties=b""):
    """A DEALER of a few bytes (ZMTP 3.0, NULL), after its handshake: yields the TCP stream."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
    ready = b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER" + properties
    port = int(endpoint.rpartition(":")[2])
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(greeting + b"\x04" + bytes([len(ready)]) + ready)
        answer = b""
        while b"READY" not in answer:
            answer += await stream.receive_some()
        yield stream


async def echo(bus):
    async for incoming in bus.incoming:
        await bus.send(incoming.peer, incoming.body)


async def meet(bus, client):
    """The peer that the server knows this client by."""
    await client.send(b"hello")
    return (await bus.incoming.receive()).peer


async def fill(bus, peer):
    """Send until this peer's queues are full; returns how many messages it took."""
    sent = 0
    while True:
        with trio.move_on_after(0.5) as patience:
            await bus.send(peer, b"%d " % sent + LARGE)
        if patience.cancelled_caught:
            return sent
        sent += 1


async def until(condition):
    while not condition():  # noqa: ASYNC110 - a counter of ZeroMQ has no event
        await trio.sleep(0.005)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
async def test_echo(transport, tmp_path):
    endpoint = LOOPBACK if transport == "tcp" else f"ipc://{tmp_path}/bus"
    async with bus_and_client(endpoint) as (bus, client), trio.open_nursery() as nursery:
        nursery.start_soon(echo, bus)
        for body in (b"", b"x", b"\x00\xff", LARGE):
            await client.send(body)
            assert await client.receive() == body
        nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_thousands_of_messages_keep_their_order_through_queues_of_five():
    async with bus_and_client(limits=TINY) as (bus, client), trio.open_nursery() as nursery:

        async def send_all():
            for number in range(3000):
                await client.send(b"%d" % number)

        nursery.start_soon(echo, bus)
        nursery.start_soon(send_all)
        for number in range(3000):
            assert await client.receive() == b"%d" % number
        nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_a_peer_that_does_not_read_holds_up_nobody_else_and_loses_nothing():
    async with (
        bus_and_client(limits=TINY) as (bus, stalled),
        connect(bus.endpoint, limits=TINY) as lively,
    ):
        stalled_peer, lively_peer = await meet(bus, stalled), await meet(bus, lively)
        sent = await fill(bus, stalled_peer)
        for number in range(500):
            await bus.send(lively_peer, b"%d" % number)
            assert await lively.receive() == b"%d" % number
        for number in range(sent):
            assert (await stalled.receive()).startswith(b"%d " % number)


@pytest.mark.slow
async def test_a_reader_that_stops_stops_the_sender_and_loses_nothing():
    async with bus_and_client(limits=TINY) as (bus, client):
        sent = 0
        with trio.move_on_after(1):
            while True:
                await client.send(b"%d " % sent + LARGE)
                sent += 1
        assert sent < 1000  # had there been no bound, thousands would have fitted into a second
        for number in range(sent):
            assert (await bus.incoming.receive()).body.startswith(b"%d " % number)


@pytest.mark.slow
async def test_cancelled_send_is_not_sent():
    async with bus_and_client(limits=TINY) as (bus, client):
        peer = await meet(bus, client)
        sent = await fill(bus, peer)  # ends with a cancelled one
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bus.send, peer, b"last")
            bodies = [await client.receive() for _ in range(sent + 1)]
        assert bodies[-1] == b"last"


async def test_several_senders_to_one_full_peer_all_get_through():
    async with bus_and_client(limits=TINY) as (bus, client), trio.open_nursery() as nursery:
        peer = await meet(bus, client)

        async def send_all(sender):
            for number in range(100):
                await bus.send(peer, b"%d %d" % (sender, number))

        for sender in range(20):
            nursery.start_soon(send_all, sender)
        seen = {sender: [] for sender in range(20)}
        for _ in range(2000):
            sender, number = map(int, (await client.receive()).split())
            seen[sender].append(number)
        assert all(numbers == list(range(100)) for numbers in seen.values())


async def test_sending_to_a_peer_that_has_left_says_so():
    with trio.fail_after(30):
        async with serve(LOOPBACK) as bus:
            async with connect(bus.endpoint) as client:
                peer = await meet(bus, client)

            async def send_until_noticed():
                while True:
                    await bus.send(peer, b"anybody?")

            with pytest.raises(PeerGone, match=f"peer {peer.routing_id.hex()} is gone") as gone:
                await send_until_noticed()
            assert gone.value.peer == peer


@pytest.mark.slow
async def test_a_sender_that_waits_learns_that_the_peer_has_left():
    with trio.fail_after(30):
        async with serve(LOOPBACK, limits=TINY) as bus, trio.open_nursery() as nursery:

            async def send_for_ever(peer):
                while True:
                    await bus.send(peer, b"one too many")

            async def wait_for_room(peer):
                with pytest.raises(PeerGone):
                    await send_for_ever(peer)

            async with connect(bus.endpoint, limits=TINY) as client:
                peer = await meet(bus, client)
                await fill(bus, peer)
                nursery.start_soon(wait_for_room, peer)
                await trio.testing.wait_all_tasks_blocked()


@pytest.mark.slow
async def test_clients_reach_a_server_that_starts_late_and_one_that_restarts(tmp_path):
    endpoint = f"ipc://{tmp_path}/bus"
    with trio.fail_after(30):
        async with connect(endpoint) as client:
            await client.send(b"early")
            for before in range(3):
                async with serve(endpoint) as bus:
                    if before:  # what is said while a connection breaks may be lost with it
                        await client.wait_connected(after=before)
                        await client.send(b"later")
                    incoming = await bus.incoming.receive()
                    await bus.send(incoming.peer, b"answer")
                    assert await client.receive() == b"answer"
                await until(lambda: not client.link.is_connected)


async def test_a_client_is_told_of_each_connection(tmp_path):
    endpoint = f"ipc://{tmp_path}/bus"
    with trio.fail_after(30):
        async with connect(endpoint) as client:
            assert not client.link.is_connected
            async with serve(endpoint):
                assert await client.wait_connected() == 1
                assert client.link.is_connected
            await until(lambda: not client.link.is_connected)
            async with serve(endpoint):
                assert await client.wait_connected(after=1) == 2
                assert client.link.is_connected


async def test_the_last_of_two_clients_with_one_routing_id_has_it():
    with trio.fail_after(30):
        async with serve(LOOPBACK) as bus, connect(bus.endpoint, identity=b"worker-1") as first:
            assert (await meet(bus, first)).routing_id == b"worker-1"
            async with connect(bus.endpoint, identity=b"worker-1") as second:
                peer = await meet(bus, second)
                await bus.send(peer, b"for the second")
                assert await second.receive() == b"for the second"


async def test_a_body_over_the_limit_is_refused_before_it_is_sent():
    limits = BusLimits(max_message_bytes=1000)
    async with bus_and_client(limits=limits) as (bus, client):
        with pytest.raises(MessageTooLarge, match="1001 bytes is over the bus's limit of 1000"):
            await client.send(bytes(1001))
        await client.send(bytes(1000))
        assert (await bus.incoming.receive()).body == bytes(1000)


async def test_a_body_over_the_receivers_limit_does_not_get_through():
    with trio.fail_after(30):
        limits = BusLimits(max_message_bytes=1000)
        async with serve(LOOPBACK, limits=limits) as bus, connect(bus.endpoint) as client:
            await client.send(bytes(2000))
            await client.wait_connected(after=1)  # it was cut off, and has come back
            await client.send(b"smaller")
            assert (await bus.incoming.receive()).body == b"smaller"


async def test_a_client_comes_back_after_a_message_over_its_own_limit():
    """libzmq alone would not: it takes the message for a protocol error and gives the server up."""
    limits = BusLimits(max_message_bytes=1000, reconnect_max_seconds=0.1)
    with trio.fail_after(30):
        async with serve(LOOPBACK) as bus, connect(bus.endpoint, limits=limits) as client:
            await bus.send(await meet(bus, client), bytes(2000))
            await client.wait_connected(after=1)
            await bus.send(await meet(bus, client), b"smaller")
            assert await client.receive() == b"smaller"


@pytest.mark.slow
async def test_a_client_finds_the_server_after_something_else_had_its_port():
    limits = BusLimits(reconnect_max_seconds=0.1)
    port = free_port()  # nobody's outgoing connection takes it in between
    with trio.fail_after(30), trio.socket.socket() as other:
        # So that what is left of its connections does not hold the port.
        other.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        await other.bind(("127.0.0.1", port))
        other.listen()
        endpoint = f"tcp://127.0.0.1:{port}"
        async with connect(endpoint, limits=limits) as client:
            for _ in range(3):  # had it given up after the first, this would wait for ever
                stream, _ = await other.accept()
                await trio.SocketStream(stream).send_all(b"220 mail.example ESMTP ready\r\n" * 10)
                stream.close()
            other.close()
            async with serve(endpoint) as bus:
                assert await client.wait_connected() == 1
                await meet(bus, client)


async def test_a_server_is_not_shaken_by_what_is_not_zeromq():
    async with bus_and_client() as (bus, client):
        port = int(bus.endpoint.rpartition(":")[2])
        for rubbish in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 1000, bytes(1000), b"\x16\x03\x01"):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(rubbish)
        await meet(bus, client)
        assert bus.dropped_malformed == 0


async def test_messages_of_more_or_fewer_frames_are_counted_and_dropped():
    with trio.fail_after(30):
        async with serve(LOOPBACK) as bus, raw_dealer(bus.endpoint) as client:
            client.send_multipart([b"two", b"frames"])
            client.send_multipart([b""] * 1000)
            client.send(b"one")
            assert (await bus.incoming.receive()).body == b"one"
            assert bus.dropped_malformed == 2


async def test_a_user_id_that_a_client_claims_without_curve_is_not_believed():
    """ZMTP (RFC 23) lets a peer put any property into its READY, User-Id too."""
    claim = b"\x07User-Id\0\0\0\x04root"
    async with bus_and_client() as (bus, _), handmade_dealer(bus.endpoint, claim) as stream:
        await stream.send_all(b"\x00\x05trust")
        incoming = await bus.incoming.receive()
        assert incoming.body == b"trust"
        assert incoming.peer.identity == ""


async def test_a_peer_that_has_fallen_silent_is_gone():
    """This one answers no heartbeat, as a host that lost its power; its connection stays open.

    Who is idle but alive is left alone, unless the machine pauses for three heartbeats.
    """
    for seconds in (0.05, 0.5, 4.0):
        if await _connections_of_the_idle(seconds) == 1:
            return
    pytest.fail("who was idle was cut off")


async def _connections_of_the_idle(heartbeat_seconds):
    limits = BusLimits(heartbeat_seconds=heartbeat_seconds)
    async with bus_and_client(limits=limits) as (bus, client):
        async with handmade_dealer(bus.endpoint) as stream:
            await stream.send_all(b"\x00\x05hello")
            silent = (await bus.incoming.receive()).peer

            async def send_until_noticed():
                while True:
                    await bus.send(silent, b"anybody?")

            with pytest.raises(PeerGone):
                await send_until_noticed()
        await meet(bus, client)
        return client.link.connections


async def test_a_goodbye_sent_just_before_the_end_arrives():
    with trio.fail_after(30):
        async with serve(LOOPBACK) as bus:
            async with connect(bus.endpoint, limits=LINGERING) as client:
                await client.wait_connected()
                await client.send(LARGE)
                await client.send(b"goodbye")
            await bus.incoming.receive()
            assert (await bus.incoming.receive()).body == b"goodbye"


@pytest.mark.slow
async def test_what_waits_in_every_queue_at_the_end_still_goes_out_to_who_reads():
    limits = BusLimits(high_water_mark=5, incoming_messages=5, outbox_messages=5, linger_seconds=10)
    with trio.fail_after(30):
        async with serve(LOOPBACK, limits=TINY) as bus, trio.open_nursery() as nursery:
            read = []

            async def read_all(count):
                for _ in range(count):
                    incoming = await bus.incoming.receive()
                    read.append(incoming.body)

            async with connect(bus.endpoint, limits=limits) as client:
                sent = 0
                with trio.move_on_after(0.5):
                    while True:
                        await client.send(LARGE)
                        sent += 1
                nursery.start_soon(read_all, sent)
        assert read == [LARGE] * sent


async def test_a_goodbye_that_is_sent_while_being_cancelled_arrives():
    with trio.fail_after(30):
        async with serve(LOOPBACK) as bus:
            with trio.CancelScope() as scope:
                async with connect(bus.endpoint, limits=LINGERING) as client:
                    await client.wait_connected()
                    scope.cancel()
                    with trio.CancelScope(shield=True):
                        await client.send(b"goodbye")
                    await trio.sleep_forever()
            assert (await bus.incoming.receive()).body == b"goodbye"


async def test_the_end_is_bounded_with_nobody_there(tmp_path):
    limits = BusLimits(linger_seconds=0.1)
    with trio.fail_after(30):
        async with connect(f"ipc://{tmp_path}/nobody", limits=limits) as client:
            await client.send(b"is this on?")


async def test_after_the_end_both_directions_say_so():
    async with bus_and_client() as (bus, client):
        peer = await meet(bus, client)
    with pytest.raises(trio.ClosedResourceError):
        await client.send(b"late")
    with pytest.raises(trio.ClosedResourceError):
        await client.receive()
    with pytest.raises(trio.ClosedResourceError):
        await bus.send(peer, b"late")


async def test_an_error_in_the_body_comes_out_bare():
    with pytest.raises(KeyError):
        async with bus_and_client():
            raise KeyError("mine")


@pytest.mark.parametrize(
    "name", ["max_message_bytes", "high_water_mark", "incoming_messages", "outbox_messages"]
)
def test_a_limit_of_zero_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        BusLimits(**{name: 0})
