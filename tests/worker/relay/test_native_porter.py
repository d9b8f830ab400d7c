"""The native porter: who is common is carried without a word, and whoever is not is handed over untouched."""

import gc
import os
import socket
import struct
import weakref

import pytest
import trio

from cluster.reasons import End
from tests.contracts.relay_wire import PlainPeer, receive_all, receive_exactly
from tests.fakes.rig import black_hole, eventually
from tests.harness.descriptors import left
from tests.worker.gateways.conftest import client_hello
from tests.worker.gateways.test_terminating import closed_port
from tests.worker.relay.launching import Upstream, attended, descriptors
from worker.net.sockets import listening_socket, packed_address
from worker.relay.engine import DOWN, UP, RelayLimits
from worker.relay.porter import Lead, Leading

native = pytest.importorskip("worker.relay.native")

NAME = "web.example"
HELLO = client_hello(NAME)
NO_LIMITS = RelayLimits()
MOST_STRANGERS = 256  # that wait for Python
MOST_PASSED = 512  # that are remembered
LIVES, HELLOS = (30.0, 600.0), (100.0, 100_000.0)


@pytest.fixture
async def engine():
    made = native.NativeEngine((), LIVES, HELLOS)
    async with attended(made):
        yield made


@pytest.fixture
async def upstream():
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
def house(engine):
    made = House(engine)
    yield made
    made.close()


class House:
    """One gate of a porter's, who came in, and what was counted."""

    def __init__(self, engine):
        self.engine, self.porter = engine, engine.porter
        self.sock = listening_socket("127.0.0.1", 0, defer_accept_seconds=5)  # as the node's
        self.strangers, self.adopted, self.over, self.passed = [], [], [], []
        self.clients = []
        self.gate = None

    def lead(self, *addresses, name=NAME, dial_seconds=30.0):
        endpoints = tuple((float(at + 1), address) for at, address in enumerate(addresses))
        return Lead(
            server_name=name,
            endpoints=endpoints,
            dial_seconds=dial_seconds,
            target=name,
            account=name,
        )

    def leading(self, *leads, generation=7):
        directory = self.porter.draw_up(leads)
        return Leading(directory=directory, generation=generation, host=self)

    def open(self, *leads, limits=NO_LIMITS, most=None):
        self.gate = self.porter.open(
            self.sock, self.leading(*leads), self.strangers.append, limits=limits, most=most
        )
        return self.gate

    def adopt(self, born, lead):
        self.adopted.append((born, lead))
        born.on_over = self.over.append

    def remember(self, passed, lead):
        self.passed.append((passed, lead))

    def call(self, data=HELLO):
        sock = socket.create_connection(self.sock.getsockname())
        sock.setblocking(False)
        peer = PlainPeer(sock)
        self.clients.append(peer)
        if data:
            sock.sendall(data)
        return peer

    def close(self):
        if self.gate is not None:
            self.gate.close()
        for one in self.strangers:
            os.close(one)
        for peer in self.clients:
            peer.close()
        self.sock.close()


async def counted(house, opened=1):
    """What is in the accounts once so many connections are over."""
    found = []

    def all_over():
        found.extend(one for _, one in house.porter.counted())
        return sum(sum(one.closed.values()) for one in found) >= opened

    await eventually(all_over, lambda: found)
    return found


async def stranger(house, count=1):
    await eventually(lambda: len(house.strangers) == count, lambda: house.strangers)
    return socket.socket(fileno=house.strangers.pop())


async def finish(client, peer):
    await client.half_close()
    assert await receive_all(peer) == b""
    await peer.half_close()
    assert await receive_all(client) == b""


async def test_a_short_connection_is_in_the_account_and_nowhere_else(house, upstream):
    house.open(house.lead(upstream.address))
    client = house.call()
    peer = await upstream.accept()
    assert await receive_exactly(peer, len(HELLO)) == HELLO
    await peer.send(b"answer")
    assert await receive_exactly(client, 6) == b"answer"
    assert len(house.porter.places) == 1
    await finish(client, peer)
    (found,) = await counted(house)
    assert (found.opened, found.closed) == (1, {End.FINISHED: 1})
    assert (found.bytes_up, found.bytes_down) == (len(HELLO), 6)
    assert found.lasted[0] == [1, 0, 0]
    assert 0 < found.lasted[1] < 30
    assert len(house.porter.places) == 0
    assert house.porter.claim(10) == 0
    assert house.adopted == house.over == house.strangers == []
    assert house.porter.hellos() == ([0, 1, 0], len(HELLO))
    assert list(house.porter.counted()) == []


async def test_who_is_claimed_is_told_of(house, upstream):
    house.open(house.lead(upstream.address))
    client = house.call()
    peer = await upstream.accept()
    await receive_exactly(peer, len(HELLO))
    assert house.porter.claim(10) == 1
    assert house.porter.claim(10) == 0
    ((born, lead),) = house.adopted
    assert (lead.target, born.drawn, born.generation) == (NAME, 0, 7)
    assert 0 <= born.age_seconds < 60
    await eventually(lambda: born.counters[UP] == len(HELLO))
    await peer.send(b"answer")
    await receive_exactly(client, 6)
    await finish(client, peer)
    await eventually(lambda: house.over)
    assert house.over == [born]
    assert (born.end, born.counters[UP], born.counters[DOWN]) == (End.FINISHED, len(HELLO), 6)
    ((_, found),) = house.porter.counted()
    assert (found.opened, found.closed) == (1, {})


async def test_they_are_claimed_in_the_order_they_came_in(house, upstream):
    house.open(house.lead(upstream.address))
    peers = []
    for _ in range(5):
        client = house.call()
        peers.append((client, await upstream.accept()))
        await receive_exactly(peers[-1][1], len(HELLO))
    client, peer = peers.pop(2)
    await finish(client, peer)
    await counted(house)
    assert house.porter.claim(3) == 3
    assert house.porter.claim(3) == 1
    descriptors = [born.client for born, _ in house.adopted]
    assert len(set(descriptors)) == 4
    ages = [born.age_seconds for born, _ in house.adopted]
    assert ages == sorted(ages, reverse=True)


async def test_who_is_claimed_can_be_stopped(house, upstream):
    house.open(house.lead(upstream.address))
    client = house.call()
    peer = await upstream.accept()
    await receive_exactly(peer, len(HELLO))
    house.porter.claim(1)
    house.adopted[0][0].stop()
    for end in (client, peer):
        with pytest.raises(ConnectionResetError):
            await end.receive()
    await eventually(lambda: house.over)
    assert house.over[0].end is None


@pytest.mark.parametrize(
    "data",
    [HELLO[:50], b"GET / HTTP/1.1\r\n\r\n", client_hello("other.example")],
    ids=["half a hello", "no TLS", "another name"],
)
async def test_who_is_not_common_is_a_stranger_untouched(house, upstream, data):
    house.open(house.lead(upstream.address))
    house.call(data)
    with await stranger(house) as sock:
        assert sock.recv(10_000) == data
    assert len(house.porter.places) == 0


async def test_an_endpoint_with_a_name_is_for_python(house):
    house.open(house.lead(None))
    house.call()
    (await stranger(house)).close()


async def test_without_a_healthy_endpoint_it_is_for_python(house):
    house.open(house.lead())
    house.call()
    (await stranger(house)).close()


async def test_who_comes_at_the_limit_is_a_stranger_whoever_has_the_places(house, upstream):
    house.open(house.lead(upstream.address), most=2)
    assert house.porter.places.take(2)  # one of Python's
    client = house.call()
    peer = await upstream.accept()
    await receive_exactly(peer, len(HELLO))
    assert not house.porter.places.take(2)
    house.call()
    (await stranger(house)).close()
    await finish(client, peer)
    await counted(house)
    assert house.porter.places.take(2)
    assert len(house.porter.places) == 2


async def test_a_dial_that_failed_is_handed_over_with_its_client(house):
    house.open(house.lead(packed_address("127.0.0.1", closed_port())))
    house.call()
    await eventually(lambda: house.over)
    ((born, lead),) = house.adopted
    assert house.over == [born]
    assert lead.target == NAME
    assert born.dial_error
    with socket.socket(fileno=born.client) as sock:
        assert sock.recv(10_000) == HELLO
    assert len(house.porter.places) == 1  # it is Python's to give back now


async def test_one_that_is_claimed_while_it_dials_fails_like_the_others(house):
    with black_hole() as port:
        house.open(house.lead(packed_address("127.0.0.1", port), dial_seconds=0.3))
        house.call()
        await eventually(lambda: house.porter.claim(1))
        await eventually(lambda: house.over)
        assert len(house.adopted) == 1
        os.close(house.adopted[0][0].client)


async def test_limits_hold(house, upstream):
    house.open(house.lead(upstream.address), limits=RelayLimits(idle_timeout_seconds=0.1))
    house.call()
    await upstream.accept()
    found = await counted(house)
    assert found[-1].closed == {End.IDLE_TIMEOUT: 1}


async def test_the_last_that_nobody_claimed_are_remembered(house, upstream):
    house.open(house.lead(packed_address("::1", 1), upstream.address))
    house.gate.serve(house.leading(house.lead(upstream.address), generation=9))
    for _ in range(2):
        client = house.call()
        peer = await upstream.accept()
        await receive_exactly(peer, len(HELLO))
        await finish(client, peer)
        await counted(house)
    house.porter.remember()
    first, second = (passed for passed, _ in house.passed)
    assert (first.drawn, first.generation, first.end) == (0, 9, End.FINISHED)
    assert (first.bytes_up, first.bytes_down) == (len(HELLO), 0)
    assert first.age_seconds > first.ago_seconds > second.ago_seconds > 0
    assert house.passed[0][1].target == NAME
    house.porter.remember()
    assert len(house.passed) == 2


async def test_no_more_are_remembered_than_there_is_room_for(house, upstream, nursery):
    async def leave(peer):
        await peer.half_close()
        await receive_all(peer)

    nursery.start_soon(upstream.serve, leave)
    house.open(house.lead(upstream.address))
    (directory,) = house.porter._served
    for _ in range(MOST_PASSED + 10):
        client = house.call()
        house.clients.remove(client)
        assert await receive_all(client) == b""
        client.close()
    await eventually(lambda: len(house.porter.places) == 0)
    assert directory.users == MOST_PASSED
    house.porter.remember()
    assert len(house.passed) == MOST_PASSED
    assert directory.users == 0
    nursery.cancel_scope.cancel()


async def test_resets_are_told_apart(house, upstream):
    house.open(house.lead(upstream.address))
    for side in ("client", "upstream"):
        client = house.call()
        peer = await upstream.accept()
        await receive_exactly(peer, len(HELLO))
        (client if side == "client" else peer).reset()
        found = await counted(house)
        assert [one.closed for one in found if one.closed] == [{End(f"{side}_reset"): 1}]


async def test_once_it_leads_elsewhere_nobody_goes_the_old_way(house, upstream):
    old, new = house.lead(upstream.address), house.lead(None)
    house.open(old)
    for at in range(50):
        house.gate.serve(house.leading(new, generation=at))
        house.call()
        (await stranger(house)).close()
        house.gate.serve(house.leading(old, generation=at))
        client = house.call()
        peer = await upstream.accept()
        house.porter.claim(1)
        assert house.adopted[-1][0].generation == at
        peer.close()
        client.close()


async def test_an_old_directory_goes_when_nobody_needs_it(house, upstream):
    house.open(house.lead(upstream.address))
    house.call()
    await upstream.accept()
    (old,) = house.porter._served
    assert old.users == 1
    house.gate.serve(house.leading(house.lead(upstream.address)))
    assert len(house.porter._served) == 2
    house.porter.claim(1)
    assert old.users == 0
    list(house.porter.counted())
    (new,) = house.porter._served
    assert new is not old


async def test_a_closed_gate_admits_nobody_and_keeps_no_stranger(house, upstream):
    house.open(house.lead(upstream.address))
    for _ in range(20):
        house.call(HELLO[:20])
    house.gate.close()
    came = len(house.strangers)
    house.call()
    await trio.sleep(0.05)
    assert len(house.strangers) == came
    left = 0
    while True:
        try:
            house.sock.accept()[0].close()
        except BlockingIOError:
            break
        left += 1
    assert came + left == 21
    house.gate.close()  # harmless


def waiting(sock):
    """How many connections the kernel has queued at a listening socket (tcp(7), TCP_INFO: tcpi_unacked)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
    return struct.unpack_from("=I", info, 24)[0]


async def test_more_strangers_than_it_holds_leave_the_gate_to_python(house, monkeypatch):
    house.open(house.lead())
    with monkeypatch.context() as patch:
        patch.setattr(house.porter, "answer", lambda: None)  # Python does not look meanwhile
        for _ in range(MOST_STRANGERS + 40):
            house.call(b"x")
        await eventually(lambda: waiting(house.sock) == 40, lambda: waiting(house.sock))
    house.porter.answer()
    with trio.fail_after(30):
        await house.gate.left()
    assert len(house.strangers) == MOST_STRANGERS
    assert house.gate.resume()
    await eventually(lambda: len(house.strangers) == MOST_STRANGERS + 40)


async def test_without_descriptors_the_gate_is_left_and_comes_back(house, upstream):
    house.open(house.lead(upstream.address))
    client = house.call(b"")
    with left(0), trio.fail_after(30):
        await client.send(HELLO)
        await house.gate.left()
    assert house.strangers == []
    assert house.gate.resume()
    peer = await upstream.accept()
    assert await receive_exactly(peer, len(HELLO)) == HELLO


async def test_the_engine_ends_with_everybody(upstream):
    engine = native.NativeEngine()
    before = descriptors()
    house = House(engine)
    async with attended(engine):
        house.open(house.lead(upstream.address))
        clients = [house.call() for _ in range(3)]
        for _ in clients:
            peer = await upstream.accept()
            peer.close()
        house.gate.close()
    assert all(born.end in (None, End.FINISHED, End.UPSTREAM_RESET) for born in house.over)
    for client in clients:
        client.close()
    house.close()
    assert not descriptors() - before


async def test_nothing_is_kept_of_an_engine(upstream):
    engine = native.NativeEngine()
    house = House(engine)
    async with attended(engine):
        house.open(house.lead(upstream.address))
        client = house.call()
        await upstream.accept()
        house.porter.claim(1)
        client.reset()
        over = house.over
        await eventually(lambda: over)
    house.close()
    known = weakref.ref(engine.porter)
    house.adopted.clear()
    over.clear()
    del house, engine
    gc.collect()
    assert known() is None


def test_a_name_is_in_a_directory_once():
    engine = native.NativeEngine()
    lead = Lead(server_name=NAME, endpoints=(), dial_seconds=1.0, target=None, account=None)
    with pytest.raises(ValueError, match=r"web\.example"):
        engine.porter.draw_up((lead, lead))


async def test_whoever_comes_and_goes_while_python_looks_is_counted_once(house, upstream, nursery):
    """Claims, accounts and new directories, in every turn, beside connections that begin and end."""

    async def answer(peer):
        await receive_exactly(peer, len(HELLO))
        await peer.send(b"answer")
        await peer.half_close()
        await receive_all(peer)

    nursery.start_soon(upstream.serve, answer)
    lead = house.lead(upstream.address)
    house.open(lead)
    found, over = [], trio.Event()

    async def look():
        while not over.is_set():
            house.porter.claim(2)
            found.extend(one for _, one in house.porter.counted())
            house.gate.serve(house.leading(lead))
            await trio.lowlevel.checkpoint()

    async def call():
        for _ in range(50):
            client = house.call()
            house.clients.remove(client)
            assert await receive_all(client) == b"answer"
            client.close()

    nursery.start_soon(look)
    async with trio.open_nursery() as callers:
        for _ in range(8):
            callers.start_soon(call)
    await eventually(lambda: len(house.over) == len(house.adopted))
    await eventually(lambda: len(house.porter.places) == len(house.over))
    over.set()
    found.extend(one for _, one in house.porter.counted())
    assert sum(one.opened for one in found) == 400
    ends = [one.end for one in house.over]
    for one in found:
        ends += [end for end, count in one.closed.items() for _ in range(count)]
    assert ends == [End.FINISHED] * 400
    assert sum(one.bytes_down for one in found) == 6 * (400 - len(house.over))
    assert len(house.porter._served) <= 2
    nursery.cancel_scope.cancel()
