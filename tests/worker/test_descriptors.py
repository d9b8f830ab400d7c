"""Listening sockets survive their way between processes: the same inode, whole sets, nothing left open."""

import os
import resource
import socket
from contextlib import contextmanager, suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from cluster.codec import encode
from cluster.errors import WireError
from cluster.messages import WIRE_VERSION
from tests.harness.descriptors import left, open_descriptors
from worker.descriptors import (
    SLOTS_PER_PART,
    Part,
    Present,
    Slot,
    follow,
    receive_present,
    receive_slots,
    send_slots,
)


def slot(index=0, port=8443):
    return Slot(address="127.0.0.1", port=port, index=index)


def inode(held):
    return os.fstat(held.fileno()).st_ino


@contextmanager
def pair():
    kind = socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    with one, other:
        yield one, other


@contextmanager
def listening(count=1):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        yield sockets
    finally:
        for one in sockets:
            one.close()


def rights(held):
    return socket.SOL_SOCKET, socket.SCM_RIGHTS, held.fileno().to_bytes(4, "little")


async def test_a_socket_arrives_as_the_very_same_socket():
    with pair() as (one, other), listening() as (held,):
        await send_slots(one, {slot(0): held, slot(1): None})
        received = await receive_slots(other)
        assert received[slot(1)] is None
        with received[slot(0)] as arrived:
            assert inode(arrived) == inode(held)
            assert not arrived.get_inheritable()


@pytest.mark.parametrize("count", [0, 1, SLOTS_PER_PART, SLOTS_PER_PART + 1, 3 * SLOTS_PER_PART])
async def test_a_set_of_any_size_arrives_whole(count):
    with pair() as (one, other), listening() as (held,):
        sent = {slot(index): held if index % 2 else None for index in range(count)}
        received = None

        async def receive():
            nonlocal received
            received = await receive_slots(other)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await send_slots(one, sent)
        assert received.keys() == sent.keys()
        for at, arrived in received.items():
            assert (arrived is None) == (sent[at] is None)
            if arrived is not None:
                arrived.close()


async def test_the_end_is_none_and_a_half_set_is_dropped():
    with pair() as (one, other), listening() as (held,):
        before = open_descriptors()
        one.sendmsg([encode((1, Part(carried=(slot(),), last=False)))], [rights(held)])
        one.shutdown(socket.SHUT_WR)
        assert await receive_slots(other) is None
        assert not open_descriptors() - before


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (encode((2, Part())), "version 2"),
        (b"\xff\xff", "not msgpack"),
        (encode((1, Present(index=0, pid=1, incarnation="x"))), "expected Part"),
        (encode((1, Part(carried=(slot(), slot(1))))), "a descriptor for each slot"),
    ],
)
async def test_what_is_not_a_part_is_refused_and_its_descriptors_closed(body, named):
    with pair() as (one, other), listening() as (held,):
        before = open_descriptors()
        one.sendmsg([body], [rights(held)])
        with pytest.raises(WireError, match=named):
            await receive_slots(other)
        assert not open_descriptors() - before


async def test_no_descriptors_left_is_an_error_and_passes_by():
    with pair() as (one, other), listening() as (held,):
        await send_slots(one, {slot(index): held for index in range(10)})
        before = open_descriptors()
        with left(3), pytest.raises(WireError, match="no descriptors left"):
            await receive_slots(other)
        assert not open_descriptors() - before
        await send_slots(one, {slot(): held})
        received = await receive_slots(other)
        received[slot()].close()


async def test_without_a_free_descriptor_a_socket_can_still_be_given_away():
    with pair() as (one, other), listening() as (held,):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            await send_slots(one, {slot(): held})
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        received = await receive_slots(other)
        received[slot()].close()


async def test_what_is_closed_while_waiting_for_room_is_left_out():
    with pair() as (one, other), listening(2) as (stays, goes):
        with suppress(BlockingIOError):
            while True:
                one.send(encode((1, Part(last=False))))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_slots, one, {slot(0): stays, slot(1): goes})
            await wait_all_tasks_blocked()
            goes.close()
            received = await receive_slots(other)
        assert list(received) == [slot(0)]
        received[slot(0)].close()


async def test_a_worker_presents_what_it_holds_to_each_node_and_applies_what_it_assigns(tmp_path):
    path = str(tmp_path / "sockets")
    holds = {}
    applied = trio.Event()

    def apply(slots):
        holds.update({at: arrived for at, arrived in slots.items() if arrived is not None})
        applied.set()

    async def meet(assign):
        """A node of one meeting, which dies after it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as node:
            node.bind(path)
            node.listen()
            await trio.lowlevel.wait_readable(node)
            peer, _ = node.accept()
            peer.setblocking(False)
            with peer:
                present = await receive_present(peer)
                slots = await receive_slots(peer)
                await send_slots(peer, assign)
                await applied.wait()
        os.unlink(path)
        return present, slots

    with listening() as (held,), trio.fail_after(30):
        async with trio.open_nursery() as nursery:

            async def be_a_worker(task_status):
                await follow(
                    path,
                    index=1,
                    pid=7,
                    incarnation="x",
                    held=lambda: holds,
                    apply=apply,
                    task_status=task_status,
                )

            nursery.start_soon(nursery.start, be_a_worker)
            await wait_all_tasks_blocked()  # nobody is there yet, which is no reason to give up
            me = Present(index=1, pid=7, incarnation="x", wire=WIRE_VERSION)
            present, slots = await meet({slot(1): held})
            assert (present, slots) == (me, {})
            applied = trio.Event()
            _, slots = await meet({slot(1): None})
            with slots[slot(1)] as back:
                assert inode(back) == inode(held)
            nursery.cancel_scope.cancel()
        holds[slot(1)].close()
