"""A worker that speaks the node's protocol and nothing else: it tells each caller who serves it.

A snapshot for the datacenter `refuse` is refused, one for `refuse-1` by worker 1 only. A client sends a line
and gets `INDEX PID GENERATION`, as often as it likes on one connection.
"""

import argparse
import os
import secrets
import signal

import trio

from cluster.bus import connect
from cluster.errors import Problem
from cluster.messages import (
    Ack,
    Answer,
    Drain,
    Family,
    Hello,
    Keys,
    Metrics,
    Nack,
    Offer,
    Query,
    Refusal,
    Sample,
    WorkerStatus,
    pack,
    unpack,
)
from cluster.sections import assemble, decode_snapshot
from worker import descriptors, settings


class Worker:
    def __init__(self, own, nursery):
        self.own = own
        self.nursery = nursery
        self.incarnation = secrets.token_hex(4)
        self.encoded = self.have = None
        self.keys = None
        self.sockets = {}
        self.loops = {}
        self.accepted = 0
        self.draining = False
        self.greet = trio.Event()

    async def talk(self):
        async with connect(self.own.link_endpoint) as bus, trio.open_nursery() as nursery:
            nursery.start_soon(self.say_hello, bus)
            nursery.start_soon(self.report, bus)
            async for body in bus:
                answer = self.take(unpack(body))
                if answer is not None:
                    await bus.send(pack(answer))
                await bus.send(pack(self.status()))

    async def say_hello(self, bus):
        while True:
            self.greet = trio.Event()
            hello = Hello(
                sender=str(self.own.index),
                incarnation=self.incarnation,
                software="fake",
                have=self.have,
                held=self.encoded.manifest if self.encoded else {},
            )
            await bus.send(pack(hello))
            await self.greet.wait()

    async def report(self, bus):
        while True:
            await bus.send(pack(self.status()))
            counted = Sample("fake_accepted_total", {}, float(self.accepted))
            family = Family(name="fake_accepted", kind="counter", help="", samples=(counted,))
            engine = Sample("lockgate_relay_engine_info", {"engine": "native"}, 1.0)
            info = Family(
                name="lockgate_relay_engine_info", kind="gauge", help="", samples=(engine,)
            )
            await bus.send(pack(Metrics(index=self.own.index, families=(family, info))))
            await trio.sleep(0.2)

    def status(self):
        return WorkerStatus(
            index=self.own.index,
            pid=os.getpid(),
            generation=self.have.generation if self.have else 0,
            connections=len(self.keys.leaves) if self.keys else 0,  # what a test can see of them
            draining=self.draining,
        )

    def take(self, message):
        match message:
            case Offer():
                if self.keys is None:
                    return Nack(id=message.id, problems=(Problem(message="offer before keys"),))
                return self.take_offer(message)
            case Keys():
                self.keys = message
            case Drain(grace_seconds=grace):
                self.drain(grace)
            case Query(request=request, cursor=cursor, limit=limit):
                first = int(cursor or 0)
                items = tuple({"n": n, "worker": self.own.index} for n in range(3))
                page = items[first : first + limit]
                more = str(first + limit) if first + limit < len(items) else ""
                return Answer(request=request, items=page, cursor=more)
            case Refusal():
                self.greet.set()
        return None

    def take_offer(self, offer):
        encoded = assemble(offer.manifest, offer.sections, self.encoded)
        snapshot = decode_snapshot(encoded, offer.id.digest)
        if snapshot.trust.datacenter in ("refuse", f"refuse-{self.own.index}"):
            return Nack(id=offer.id, problems=(Problem(message="I refuse"),))
        self.encoded, self.have = encoded, offer.id
        return Ack(id=offer.id)

    def drain(self, grace):
        self.draining = True
        self.assign({})
        self.nursery.cancel_scope.deadline = trio.current_time() + grace

    def assign(self, slots):
        for slot in self.sockets.keys() - slots.keys():
            self.loops.pop(slot).cancel()
            self.sockets.pop(slot).close()
        for slot, held in slots.items():
            if held is not None:
                if slot in self.sockets:
                    self.loops.pop(slot).cancel()
                    self.sockets.pop(slot).close()
                held.setblocking(False)
                self.sockets[slot] = held
                self.loops[slot] = trio.CancelScope()
                self.nursery.start_soon(self.accept, held, self.loops[slot])

    async def accept(self, held, scope):
        with scope:
            await trio.lowlevel.checkpoint()  # given up and closed before this task began?
            while True:
                await trio.lowlevel.wait_readable(held)
                if held.fileno() < 0:  # given up in the same turn of the loop
                    return
                try:
                    client, _ = held.accept()
                except BlockingIOError:
                    continue
                self.accepted += 1
                self.nursery.start_soon(self.serve, client)

    async def serve(self, client):
        with trio.socket.from_stdlib_socket(client) as stream:
            try:
                while await stream.recv(100):
                    generation = self.have.generation if self.have else 0
                    await stream.send(f"{self.own.index} {os.getpid()} {generation}\n".encode())
            except OSError:
                pass


async def run(own, tether):
    async with trio.open_nursery() as nursery:
        worker = Worker(own, nursery)
        nursery.start_soon(worker.talk)

        async def follow():
            await descriptors.follow(
                own.sockets_path,
                index=own.index,
                pid=os.getpid(),
                incarnation=worker.incarnation,
                held=lambda: dict(worker.sockets),
                apply=worker.assign,
                connected=lambda: worker.greet.set(),
            )

        nursery.start_soon(follow)
        if tether is not None:
            await trio.lowlevel.wait_readable(tether)
            nursery.cancel_scope.cancel()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=settings.parse)
    parser.add_argument("--tether", type=int)
    options = parser.parse_args()
    if os.path.exists(os.path.join(options.settings.runtime_dir, "cannot-boot")):
        return 78
    if os.path.exists(os.path.join(options.settings.runtime_dir, "upgraded")):
        descriptors.WIRE_VERSION += 1
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    trio.run(run, options.settings, options.tether)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
