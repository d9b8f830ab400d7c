"""The table of listening sockets: all N or none, taken over as they are, and never shared with strangers."""

import errno
import socket

import msgspec
import pytest

from cluster.routes import GatewayKind, Listener
from tests.harness.descriptors import open_descriptors
from tests.harness.programs import free_port
from worker.descriptors import Slot
from worker.net.sockets import ListenError, listening_socket
from worker.node.sockets import SocketTable, inode_of, slots_of


def listener(port, *, node="n", address="127.0.0.1", gateway="egress"):
    return Listener(
        node=node, gateway=gateway, kind=GatewayKind.TERMINATING, address=address, port=port
    )


@pytest.fixture
def table():
    made = SocketTable(listening_socket, defer_seconds=1)
    yield made
    made.close()


@pytest.fixture
def port():
    return free_port()


def deferral(table, slot):
    return table.socket_of(slot).getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT)


def test_only_where_the_client_speaks_first_is_it_waited_for(table, port):
    waits = slots_of((listener(port),), "n", 2)
    not_now = slots_of(
        (msgspec.structs.replace(listener(port), server_may_speak_first=True),), "n", 2
    )
    for wanted, expected in ((waits, True), (not_now, False), (waits, True)):
        assert table.bind(wanted, sole=True) == ()
        assert {deferral(table, slot) > 0 for slot in wanted} == {expected}


def test_slots_are_those_of_our_node_for_each_worker():
    found = slots_of((listener(1), listener(2, node="other")), "n", 2)
    assert set(found) == {Slot(address="127.0.0.1", port=1, index=index) for index in (0, 1)}


def test_binds_one_socket_for_each_worker_with_equal_options(table, port):
    wanted = slots_of((listener(port),), "n", 3)
    assert table.bind(wanted, sole=True) == ()
    sockets = [table.socket_of(slot) for slot in wanted]
    assert len({inode_of(held) for held in sockets}) == 3
    for option in (
        (socket.SOL_SOCKET, socket.SO_REUSEPORT),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    ):
        assert {held.getsockopt(*option) for held in sockets} == {1}
    before = {slot: inode_of(table.socket_of(slot)) for slot in wanted}
    assert table.bind(wanted, sole=True) == ()
    assert {slot: inode_of(table.socket_of(slot)) for slot in wanted} == before


@pytest.mark.parametrize("order", [1, -1], ids=["second", "first"])
@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_port_in_use_is_a_problem_that_names_it_and_costs_its_own_listener(
    table, port, reuse_port, order
):
    with listening_socket("127.0.0.1", 0, reuse_port=reuse_port) as theirs:
        taken = theirs.getsockname()[1]
        listeners = (listener(port), listener(taken))[::order]
        wanted = slots_of(listeners, "n", 2)
        (problem,) = table.bind(wanted, sole=True)
    assert (
        f"'egress': cannot listen on 127.0.0.1:{taken}: Address already in use" in problem.message
    )
    assert {slot.port for slot in table.slots} == {port}
    assert len(table.slots) == 2


def test_of_a_listener_there_are_all_sockets_or_none(port):
    made = []

    def listen(address, number):
        if len(made) == 1:
            raise ListenError(address, number, OSError(errno.EMFILE, "Too many open files"))
        made.append(listening_socket(address, number))
        return made[-1]

    table = SocketTable(listen)
    (problem,) = table.bind(slots_of((listener(port),), "n", 2), sole=True)
    assert "Too many open files" in problem.message
    assert not table.slots
    assert made[0].fileno() == -1


def test_a_worker_that_has_not_come_back_yet_may_hold_the_port(table):
    with listening_socket("127.0.0.1", 0) as theirs:
        wanted = slots_of((listener(theirs.getsockname()[1]),), "n", 1)
        assert table.bind(wanted, sole=False) == ()


def test_from_one_address_to_all_on_the_same_port(table, port):
    assert table.bind(slots_of((listener(port),), "n", 2), sole=True) == ()
    wanted = slots_of((listener(port, address=""),), "n", 2)
    assert table.bind(wanted, sole=True) == ()
    table.keep_only(wanted)
    assert {slot.address for slot in table.slots} == {""}


def test_adopts_what_it_lacks_and_closes_the_rest(table, port):
    mine, other, gone = (listening_socket("127.0.0.1", port) for _ in range(3))
    slot = Slot(address="127.0.0.1", port=port, index=0)
    table.adopt(slot, mine)
    table.adopt(slot, other)
    assert table.socket_of(slot) is mine
    assert other.fileno() == -1
    table.keep_only((slot,))
    table.adopt(Slot(address="127.0.0.1", port=port, index=1), gone)
    assert gone.fileno() == -1


def test_what_does_not_listen_on_the_port_is_not_adopted(table, port):
    slot = Slot(address="127.0.0.1", port=port, index=0)
    with socket.socket() as idle, socket.create_server(("127.0.0.1", 0)) as elsewhere:
        for held in (idle, elsewhere):
            table.adopt(slot, held)
            assert held.fileno() == -1
    assert not table.slots


def test_closing_leaves_nothing_open(table, port):
    before = open_descriptors()
    table.bind(slots_of((listener(port),), "n", 5), sole=True)
    table.close()
    assert not open_descriptors() - before
