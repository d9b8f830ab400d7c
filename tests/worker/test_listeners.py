import os
import socket

import pytest
import trio

from cluster.lookup import NameTable
from cluster.routes import GatewayKind, Listener
from tests.fakes.rig import eventually
from worker.descriptors import Slot
from worker.listeners import Listeners
from worker.net.sockets import listening_socket
from worker.telemetry.metrics import Metrics
from worker.view.view import MeshView, View


def view_of(*ports, gateway="mgw"):
    """A view with a gateway at each port."""
    unrouted = Metrics().service(gateway, "mesh", "")
    gateways = {}
    for port in ports:
        place = Listener(
            node="n1", gateway=gateway, kind=GatewayKind.MESH, address="127.0.0.1", port=port
        )
        gateways["127.0.0.1", port] = MeshView(
            listener=place, table=NameTable(()), unrouted=unrouted
        )
    return View(gateways=gateways)


class Door:
    def __init__(self, hall, gateway):
        self.hall, self.gateway = hall, gateway

    def admit(self, arrival):
        if self.hall.admits:
            os.close(arrival[0])
            self.hall.came.append(self.gateway.listener.gateway)
        return self.hall.admits

    def shed(self):
        self.hall.shed.append(self.gateway)


class Hall:
    """Listeners, and who came in where."""

    def __init__(self, nursery):
        self.came, self.shed, self.admits = [], [], True
        self.listeners = Listeners(nursery, lambda gateway: Door(self, gateway))
        self.clients = []

    def call(self, port):
        self.clients.append(socket.create_connection(("127.0.0.1", port)))
        return self.clients[-1]


@pytest.fixture
async def hall():
    async with trio.open_nursery() as nursery:
        made = Hall(nursery)
        yield made
        made.listeners.stop_accepting()
        for client in made.clients:
            client.close()
        nursery.cancel_scope.cancel()


def slot_with_socket(index=0, port=0):
    sock = listening_socket("127.0.0.1", port)
    return Slot(address="127.0.0.1", port=sock.getsockname()[1], index=index), sock


def is_open(descriptor):
    return os.path.exists(f"/proc/self/fd/{descriptor}")


async def test_a_socket_and_a_gateway_for_it_make_it_accept(hall):
    slot, sock = slot_with_socket()
    hall.listeners.assign({slot: sock})
    hall.call(slot.port)
    await trio.testing.wait_all_tasks_blocked()
    assert hall.came == []  # nobody serves there yet
    hall.listeners.serve(view_of(slot.port))
    await eventually(lambda: hall.came == ["mgw"])


async def test_the_view_may_come_first(hall):
    slot, sock = slot_with_socket()
    hall.listeners.serve(view_of(slot.port))
    hall.listeners.assign({slot: sock})
    hall.call(slot.port)
    await eventually(lambda: hall.came == ["mgw"])


async def test_a_connection_belongs_to_the_gateway_of_the_moment(hall):
    slot, sock = slot_with_socket()
    hall.listeners.assign({slot: sock})
    hall.listeners.serve(view_of(slot.port))
    hall.call(slot.port)
    await eventually(lambda: len(hall.came) == 1)
    hall.listeners.serve(view_of(slot.port, gateway="other"))
    hall.call(slot.port)
    await eventually(lambda: hall.came == ["mgw", "other"])


async def test_a_slot_with_none_stays_as_it_is(hall):
    slot, sock = slot_with_socket()
    hall.listeners.serve(view_of(slot.port))
    hall.listeners.assign({slot: sock})
    hall.listeners.assign({slot: None})
    assert hall.listeners.held() == {slot: sock}
    hall.call(slot.port)
    await eventually(lambda: hall.came == ["mgw"])


async def test_a_slot_that_is_not_in_the_set_is_given_up_and_its_queue_is_not(hall):
    slot, sock = slot_with_socket()
    hall.listeners.assign({slot: sock})
    duplicate = sock.dup()  # the node's
    hall.call(slot.port)
    descriptor = sock.fileno()
    hall.listeners.assign({})
    assert not is_open(descriptor)
    assert hall.listeners.held() == {}
    duplicate.settimeout(30)
    accepted, _ = duplicate.accept()
    accepted.close()
    duplicate.close()


async def test_a_new_socket_for_a_held_slot_takes_its_place(hall):
    slot, old = slot_with_socket()
    hall.listeners.serve(view_of(slot.port))
    hall.listeners.assign({slot: old})
    _, new = slot_with_socket(port=slot.port)
    hall.listeners.assign({slot: new})
    assert old.fileno() == -1
    hall.call(slot.port)
    await eventually(lambda: hall.came == ["mgw"])


async def test_several_slots_of_one_port_are_all_accepted_from(hall):
    slot, own = slot_with_socket()
    siblings, sock = slot_with_socket(index=1, port=slot.port)
    hall.listeners.serve(view_of(slot.port))
    hall.listeners.assign({slot: own, siblings: sock})
    for _ in range(20):
        hall.call(slot.port)
    await eventually(lambda: len(hall.came) == 20)


async def test_given_and_taken_within_one_turn_nothing_breaks(hall):
    slot, sock = slot_with_socket()
    hall.listeners.serve(view_of(slot.port))
    hall.listeners.assign({slot: sock})
    hall.listeners.assign({})
    await trio.testing.wait_all_tasks_blocked()
    slot, sock = slot_with_socket()
    hall.listeners.serve(view_of(slot.port))
    hall.listeners.assign({slot: sock})
    hall.call(slot.port)
    await eventually(lambda: hall.came == ["mgw"])


@pytest.mark.parametrize("_", range(10))  # trio's order of tasks within a turn is random
async def test_given_up_in_the_turn_that_woke_the_loop_nothing_breaks(hall, _):
    slot, sock = slot_with_socket()
    hall.listeners.serve(view_of(slot.port))
    hall.listeners.assign({slot: sock})
    await trio.testing.wait_all_tasks_blocked()
    hall.call(slot.port)
    await trio.lowlevel.checkpoint()
    hall.listeners.assign({})
    await trio.testing.wait_all_tasks_blocked()
    assert hall.listeners.held() == {}


async def test_a_gateway_that_went_away_is_not_accepted_for(hall):
    slot, sock = slot_with_socket()
    hall.listeners.assign({slot: sock})
    hall.listeners.serve(view_of(slot.port))
    await trio.testing.wait_all_tasks_blocked()
    hall.listeners.serve(view_of())
    hall.call(slot.port)
    await trio.testing.wait_all_tasks_blocked()
    assert hall.came == []
    assert hall.listeners.held() == {slot: sock}  # the node decides about sockets


async def test_who_is_not_admitted_is_counted_at_the_gateway_and_reset(hall):
    slot, sock = slot_with_socket()
    hall.admits = False
    hall.listeners.serve(view_of(slot.port))
    hall.listeners.assign({slot: sock})
    client = hall.call(slot.port)
    with pytest.raises(ConnectionResetError):
        await trio.to_thread.run_sync(client.recv, 1)
    assert [gateway.listener.gateway for gateway in hall.shed] == ["mgw"]


async def test_draining_takes_who_waits_and_closes_for_good(hall):
    slot, sock = slot_with_socket()
    hall.listeners.serve(view_of(slot.port))
    hall.listeners.assign({slot: sock})
    for _ in range(70):  # more than a batch, before the loop had a turn
        hall.call(slot.port)
    hall.listeners.stop_accepting()
    assert len(hall.came) == 70
    assert sock.fileno() == -1
    with pytest.raises(ConnectionRefusedError):
        hall.call(slot.port)
    _, late = slot_with_socket()
    hall.listeners.assign({slot: late})
    assert late.fileno() == -1
    assert hall.listeners.held() == {}
