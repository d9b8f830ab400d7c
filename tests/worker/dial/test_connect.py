"""Connecting on loopback: real listeners, real refusals, a backlog that is full."""

import socket
from contextlib import suppress

import pytest
import trio
import trio.testing

from cluster.errors import Refused, UpstreamFault
from cluster.reasons import End
from tests.harness.descriptors import left, open_descriptors
from tests.harness.programs import free_port
from worker.dial import Address, Dialer, ResolveLimits, Resolver
from worker.net.sockets import outbound_socket

IP_LOCAL_PORT_RANGE = 51  # linux/in.h; Python does not name it


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def closed_port():
    """A port that nobody listens on, kept from others by a socket that is only bound."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def black_hole():
    """An address whose SYNs are dropped: a listener with a full backlog that nobody empties."""
    callers = []
    with socket.create_server(("127.0.0.1", 0), backlog=1) as sock:
        for _ in range(4):
            callers.append(outbound_socket(socket.AF_INET))
            with suppress(BlockingIOError):
                callers[-1].connect(sock.getsockname())
        yield Address(host="127.0.0.1", port=sock.getsockname()[1])
    for caller in callers:
        caller.close()


@pytest.fixture
def named(tmp_path):
    """A dialer that knows names from a hosts file of the test's only."""

    def make(*lines):
        (tmp_path / "hosts").write_text("".join(f"{line}\n" for line in lines))
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        resolver = Resolver(
            hosts=str(tmp_path / "hosts"),
            resolv_conf=str(tmp_path / "resolv.conf"),
            port=1,
            limits=ResolveLimits(query_seconds=0.05),
        )
        return Dialer(resolver)

    return make


def place_of(sock, host="127.0.0.1"):
    return Address(host=host, port=sock.getsockname()[1])


async def refused(dialer, *candidates, error=UpstreamFault, seconds=30.0):
    before = open_descriptors()
    with pytest.raises(error) as caught:
        await dialer.connect(candidates, connect_timeout_seconds=seconds)
    assert not open_descriptors() - before
    return caught.value


async def test_the_first_candidate_that_answers(listener):
    first, second = place_of(listener), Address(host="127.0.0.1", port=1)
    sock, candidate = await Dialer().connect([first, second])
    with sock:
        assert candidate is first
        assert sock.getpeername() == listener.getsockname()
        assert not sock.getblocking()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_ipv6():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        sock, _ = await Dialer().connect([place_of(listener, "::1")])
        sock.close()


async def test_the_next_candidate_after_a_refusal(listener, closed_port):
    gone = Address(host="127.0.0.1", port=closed_port)
    sock, candidate = await Dialer().connect([gone, place_of(listener)])
    with sock:
        assert candidate == place_of(listener)


async def test_the_next_candidate_after_a_silence(listener, black_hole):
    started = trio.current_time()
    sock, candidate = await Dialer().connect(
        [black_hole, place_of(listener)], connect_timeout_seconds=0.5
    )
    with sock:
        assert candidate == place_of(listener)
    assert trio.current_time() - started >= 0.5


async def test_refused_by_all(closed_port):
    gone = Address(host="127.0.0.1", port=closed_port)
    error = await refused(Dialer(), gone, gone)
    assert error.end is End.DIAL_REFUSED
    line = f"127.0.0.1:{closed_port}: Connection refused"
    assert error.detail == f"{line}; {line}"


async def test_silent_to_the_end(black_hole, closed_port):
    gone = Address(host="127.0.0.1", port=closed_port)
    error = await refused(Dialer(), gone, black_hole, seconds=0.5)
    assert error.end is End.DIAL_TIMEOUT
    assert error.detail.endswith(f"{black_hole}: no answer in 0.5 s")


async def test_the_usual_timeout_is_the_dialers(black_hole):
    error = await refused(Dialer(connect_timeout_seconds=0.05), black_hole, seconds=None)
    assert error.end is End.DIAL_TIMEOUT


async def test_no_candidate_at_all():
    assert (await refused(Dialer())).end is End.NO_ENDPOINT


async def test_a_network_that_is_not_there():
    error = await refused(Dialer(), Address(host="255.255.255.255", port=80))
    assert error.end is End.DIAL_REFUSED
    assert "255.255.255.255:80: " in error.detail


@pytest.fixture
def idle_clock():
    """Time passes where nothing else happens, so a slow machine comes too late for nothing."""
    return trio.testing.MockClock(autojump_threshold=0.2)


async def test_all_addresses_of_a_name_share_its_time(listener, black_hole, named, idle_clock):
    """127.0.0.1 is silent on that port, ::1 refuses, 127.0.0.2 answers."""
    with socket.create_server(("127.0.0.2", black_hole.port)):
        dialer = named("127.0.0.1 db.test", "::1 db.test", "127.0.0.2 db.test")
        started = trio.current_time()
        sock, _ = await dialer.connect(
            [Address(host="db.test", port=black_hole.port)], connect_timeout_seconds=30.0
        )
        with sock:
            assert sock.getpeername()[0] == "127.0.0.2"
        assert trio.current_time() - started == pytest.approx(10.0)


async def test_a_failure_names_the_name_and_its_addresses(closed_port, named):
    dialer = named("127.0.0.1 db.test", "::1 db.test")
    error = await refused(dialer, Address(host="db.test", port=closed_port))
    assert error.detail == (
        f"db.test at 127.0.0.1:{closed_port}: Connection refused;"
        f" db.test at [::1]:{closed_port}: Connection refused"
    )


async def test_a_name_that_nobody_knows_and_then_one_that_answers(listener, named):
    lost = Address(host="lost.test", port=80)
    dialer = named("127.0.0.1 db.test")
    error = await refused(dialer, lost)
    assert error.end is End.DIAL_REFUSED
    assert error.detail.startswith("lost.test:80: ")
    sock, candidate = await dialer.connect([lost, place_of(listener, "db.test")])
    with sock:
        assert candidate.host == "db.test"


async def test_a_slow_name_server_uses_up_the_candidates_time_only(listener, tmp_path):
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        dialer = Dialer(
            Resolver(
                hosts="/nonexistent",
                resolv_conf=str(tmp_path / "resolv.conf"),
                port=silent.getsockname()[1],
            )
        )
        error = await refused(dialer, Address(host="db.test", port=80), seconds=0.1)
        assert error.end is End.DIAL_TIMEOUT
        assert "name lookup" in error.detail


async def test_cancelling_leaves_no_socket(black_hole):
    before = open_descriptors()
    with trio.move_on_after(0.05):
        await Dialer().connect([black_hole])
    assert not open_descriptors() - before


async def test_no_descriptor_left_is_our_overload(listener):
    with left(0), pytest.raises(Refused) as caught:
        await Dialer().connect([place_of(listener), place_of(listener)])
    assert caught.value.end is End.OVERLOAD
    assert "Too many open files" in caught.value.detail
    assert caught.value.detail.count("127.0.0.1") == 1  # nobody else was bothered


async def test_no_source_port_left_is_our_overload(listener):
    """Two source ports per socket, both in use towards this listener."""

    def open_socket(family):
        sock = outbound_socket(family)
        ports = 60_990 | (60_991 << 16)
        try:
            sock.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, ports.to_bytes(4, "little"))
        except OSError:
            sock.close()
            pytest.skip("needs IP_LOCAL_PORT_RANGE (Linux 6.3)")
        return sock

    dialer = Dialer(open_socket=open_socket)
    held = [(await dialer.connect([place_of(listener)]))[0] for _ in range(2)]
    with pytest.raises(Refused) as caught:
        await dialer.connect([place_of(listener)])
    assert caught.value.end is End.OVERLOAD
    assert "no free source port" in caught.value.detail
    with socket.create_server(("127.0.0.1", 0)) as other:  # towards another there are
        sock, _ = await dialer.connect([place_of(listener), place_of(other)])
    for each in (*held, sock):
        each.close()


async def test_a_connection_to_itself_is_a_refusal():
    """Simultaneous open: the kernel picks the destination port as the source port."""
    port = free_port()

    def open_socket(family):
        sock = outbound_socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        return sock

    dialer = Dialer(open_socket=open_socket)
    assert (await refused(dialer, Address(host="127.0.0.1", port=port))).end is End.DIAL_REFUSED


def test_an_address_reads_as_people_write_it():
    assert str(Address(host="::1", port=80)) == "[::1]:80"
