import socket
import struct

import pytest
import trio

from cluster.errors import ClientFault, Refused, UpstreamFault
from cluster.names import ServiceName
from cluster.reasons import End
from tests.fakes.rig import eventually, make_world
from tests.harness.descriptors import open_descriptors
from worker import connection
from worker.net.leg import PlainLeg
from worker.relay.engine import RelayLimits


class Frame:
    """One connection in its frame: `serve` is what the gateway does."""

    def __init__(self, nursery, serve):
        self.world = make_world()
        self.metrics = self.world.metrics
        self.nursery = nursery
        unrouted = self.metrics.service("egress", "terminating", "")
        self.entrance = connection.Entrance(
            gateway="egress", kind="terminating", unrouted=unrouted, serve=serve
        )

    def connect(self):
        """The client's socket."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
        client.settimeout(30)
        connection.Frame(self.nursery, self.entrance, self.world).start(server.detach())
        return client

    @property
    def entry(self):
        (entry,) = self.world.live
        return entry

    async def over(self):
        await eventually(lambda: len(self.world.live) == 0)

    def accounts(self):
        """Every account made: (service, end) to count."""
        found = {}
        for metric in self.metrics.registry.collect():
            for sample in metric.samples:
                if sample.name == "lockgate_connections_closed_total" and sample.value:
                    labels = sample.labels
                    found[labels["service"], labels["end"]] = sample.value
        return found

    def value(self, name, service):
        labels = {"gateway": "egress", "kind": "terminating", "service": service}
        return self.metrics.registry.get_sample_value(name, labels)


def open_sockets():
    """Of this process, by inode."""
    return {target for _, target in open_descriptors() if target.startswith("socket:")}


@pytest.fixture
async def frame(request):
    if "far" in request.fixturenames:  # its sockets are not the frame's to close
        request.getfixturevalue("far")
    before = open_sockets()
    async with trio.open_nursery() as nursery:
        yield lambda serve: Frame(nursery, serve)
        nursery.cancel_scope.cancel()
    assert open_sockets() <= before


def routed(inbound):
    """As a gateway does once it knows the service."""
    meters = inbound.world.metrics.service("egress", "terminating", "billing")
    inbound.entry.routed(ServiceName(name="billing"), "sni", meters)


async def read(client):
    try:
        return await trio.to_thread.run_sync(client.recv, 100)
    finally:
        client.close()


FAULTS = [
    *(
        ClientFault(end)
        for end in (
            End.BAD_HELLO,
            End.HELLO_TIMEOUT,
            End.HANDSHAKE_FAILED,
            End.HANDSHAKE_TIMEOUT,
            End.CLIENT_CERTIFICATE,
        )
    ),
    *(
        UpstreamFault(end)
        for end in (End.NO_ENDPOINT, End.DIAL_REFUSED, End.DIAL_TIMEOUT, End.UPSTREAM_TLS)
    ),
    *(Refused(end) for end in (End.NO_ROUTE, End.DENIED, End.OVERLOAD)),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.end)
async def test_a_known_fault_is_one_ending_and_one_account(frame, fault):
    async def serve(inbound):
        routed(inbound)
        raise fault

    made = frame(serve)
    client = made.connect()
    await made.over()
    assert made.accounts() == {("billing", fault.end.value): 1}
    assert made.value("lockgate_connections_active", "billing") == 0
    if fault.end in connection._ABORT:
        with pytest.raises(ConnectionResetError):
            await read(client)
    else:
        assert await read(client) == b""


async def test_a_service_that_stays_unknown_is_accounted_as_such(frame):
    async def serve(inbound):
        raise ClientFault(End.BAD_HELLO)

    made = frame(serve)
    made.connect().close()
    await made.over()
    assert made.accounts() == {("", "bad_hello"): 1}
    assert made.value("lockgate_connections_opened_total", "") == 1
    assert made.value("lockgate_connection_duration_seconds_count", "") == 1


@pytest.mark.parametrize("in_nursery", [False, True])
async def test_a_bug_costs_one_connection_and_looks_like_no_answer(frame, in_nursery, capsys):
    async def fail():
        raise ZeroDivisionError

    async def serve(inbound):
        routed(inbound)
        if not in_nursery:
            await fail()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
        return End.FINISHED

    made = frame(serve)
    client = made.connect()
    with pytest.raises(ConnectionResetError):
        await read(client)
    await made.over()
    assert made.accounts() == {("billing", "internal"): 1}
    assert "a bug ended this connection" in capsys.readouterr().out


REASONS = [
    End.INTENTION_REVOKED,
    End.CERTIFICATE_EXPIRED,
    End.ROOT_DISTRUSTED,
    End.CLOSED_BY_OPERATOR,
    End.MAX_AGE,
]


@pytest.mark.parametrize("reason", REASONS)
async def test_ended_from_outside_while_it_waits(frame, reason):
    async def serve(inbound):
        routed(inbound)
        inbound.entry.state = "dial"
        await trio.sleep_forever()

    made = frame(serve)
    client = made.connect()
    await trio.testing.wait_all_tasks_blocked()
    assert made.entry.end(reason)
    await made.over()
    assert made.accounts() == {("billing", reason.value): 1}
    client.close()


async def test_ended_from_outside_before_its_task_began(frame):
    async def serve(inbound):
        await trio.sleep_forever()

    made = frame(serve)
    client = made.connect()
    assert made.entry.end(End.CLOSED_BY_OPERATOR)
    with pytest.raises(ConnectionResetError):
        await read(client)
    await made.over()
    assert made.accounts() == {("", "closed_by_operator"): 1}


async def test_whoever_ended_it_is_right_although_something_else_broke_on_the_way(frame):
    async def serve(inbound):
        try:
            await trio.sleep_forever()
        finally:
            raise UpstreamFault(End.UPSTREAM_TLS)

    made = frame(serve)
    made.connect().close()
    await trio.testing.wait_all_tasks_blocked()
    made.entry.end(End.INTENTION_REVOKED)
    await made.over()
    assert made.accounts() == {("", "intention_revoked"): 1}


async def test_cancelled_with_the_worker_it_was_drained(frame):
    async def serve(inbound):
        routed(inbound)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        made = frame(serve)
        made.nursery = nursery
        client = made.connect()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with pytest.raises(ConnectionResetError):
        await read(client)
    assert made.accounts() == {("billing", "drained"): 1}
    assert made.value("lockgate_connections_active", "billing") == 0


def relaying(upstream, limits=None):
    """A gateway that relays to `upstream` at once."""

    async def serve(inbound):
        routed(inbound)
        inbound.entry.state = "relay"
        leg = PlainLeg(upstream)
        try:
            return await inbound.world.engine.run(
                PlainLeg(inbound.sock), leg, inbound.entry.flow, limits or RelayLimits()
            )
        finally:
            leg.close()

    return serve


@pytest.fixture
def far():
    """A connected pair: the gateway's upstream socket, and the server behind it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with near, server:
        yield near, server


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def test_what_a_relay_says_is_the_ending_and_its_bytes_are_counted(frame, far):
    near, server = far
    made = frame(relaying(near))
    client = made.connect()
    client.sendall(b"12345")
    client.shutdown(socket.SHUT_WR)
    assert await trio.to_thread.run_sync(server.recv, 10) == b"12345"
    server.sendall(b"678")
    server.close()
    assert await read(client) == b"678"
    await made.over()
    assert made.accounts() == {("billing", "finished"): 1}
    labels = {"gateway": "egress", "kind": "terminating", "service": "billing"}
    counted = [
        made.metrics.registry.get_sample_value(
            "lockgate_connection_bytes_total", labels | {"direction": direction}
        )
        for direction in ("up", "down")
    ]
    assert counted == [5, 3]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("TLS files: '/no/ca.pem' is not there", "TLS files: '/no/ca.pem' is not there"),
        ("x" * 999, "x" * 300),
    ],
)
async def test_what_was_said_of_the_end_is_kept_with_it(frame, words, kept):
    async def serve(inbound):
        routed(inbound)
        await trio.lowlevel.checkpoint()
        raise UpstreamFault(End.UPSTREAM_TLS, words)

    made = frame(serve)
    made.connect().close()
    await made.over()
    (closed,) = made.world.recent.page(0, 10)
    assert closed.describe(0.0, 0.0)["detail"] == kept


async def test_who_was_ended_from_outside_has_that_reason_alone(frame):
    async def serve(inbound):
        routed(inbound)
        try:
            await trio.sleep_forever()
        finally:
            raise UpstreamFault(End.DIAL_REFUSED, "given up")

    made = frame(serve)
    made.connect().close()
    await trio.testing.wait_all_tasks_blocked()
    made.entry.end(End.CLOSED_BY_OPERATOR)
    await made.over()
    (closed,) = made.world.recent.page(0, 10)
    shown = closed.describe(0.0, 0.0)
    assert (shown["end"], shown["detail"]) == ("closed_by_operator", "")


@pytest.mark.parametrize(
    ("who", "end"), [("client", End.CLIENT_RESET), ("server", End.UPSTREAM_RESET)]
)
async def test_a_reset_is_passed_on_and_told_apart(frame, far, who, end):
    near, server = far
    made = frame(relaying(near))
    client = made.connect()
    client.sendall(b"x")
    assert await trio.to_thread.run_sync(server.recv, 1) == b"x"
    broken, other = (client, server) if who == "client" else (server, client)
    other.settimeout(30)
    reset(broken)
    with pytest.raises(ConnectionResetError):
        await read(other)
    await made.over()
    assert made.accounts() == {("billing", end.value): 1}


@pytest.mark.parametrize(
    ("limits", "end"),
    [
        (RelayLimits(idle_timeout_seconds=0.05), End.IDLE_TIMEOUT),
        (RelayLimits(max_age_seconds=0.05), End.MAX_AGE),
    ],
)
async def test_limits_end_a_relay(frame, far, limits, end):
    near, _ = far
    made = frame(relaying(near, limits))
    client = made.connect()
    with pytest.raises(ConnectionResetError):
        await read(client)
    await made.over()
    assert made.accounts() == {("billing", end.value): 1}


async def test_a_killed_flow_ends_for_the_reason_it_was_killed_for(frame, far):
    near, server = far
    made = frame(relaying(near))
    client = made.connect()
    await trio.testing.wait_all_tasks_blocked()
    made.entry.end(End.INTENTION_REVOKED)
    server.settimeout(30)
    for peer in (client, server):
        with pytest.raises(ConnectionResetError):
            await read(peer)
    await made.over()
    assert made.accounts() == {("billing", "intention_revoked"): 1}


def test_every_ending_is_produced_by_some_test_here():
    produced = {
        *(fault.end for fault in FAULTS),
        *REASONS,
        End.DRAINED,
        End.INTERNAL,
        End.FINISHED,
        End.CLIENT_RESET,
        End.UPSTREAM_RESET,
        End.IDLE_TIMEOUT,
        End.BAD_REQUEST,  # in tests/worker/gateways/test_requests.py
    }
    assert produced == set(End)
