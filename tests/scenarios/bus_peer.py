"""One end of a bus, as a process of its own, for test_bus_loses_nothing.py.

Started with the name of a role; what it is to do, its secret key too, comes as one line of JSON on
standard input, and what it has to tell goes to standard output.
"""

import json
import sys
import time
from contextlib import suppress

import trio

from cluster.bus import BusLimits, CurveClient, CurveServer, PeerGone, connect, serve

TINY = BusLimits(high_water_mark=5, incoming_messages=5, outbox_messages=5)
LARGE = bytes(10_000)


async def exchange(send, receive, count):
    """Send the numbers up to `count` and expect them from the other side, both at once."""

    async def send_all():
        for number in range(count):
            await send(number.to_bytes(4, "big"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all)
        for number in range(count):
            got = int.from_bytes(await receive(), "big")
            if got != number:
                sys.exit(f"got {got} where {number} was due")


async def server(task):
    curve = CurveServer(secret_key=task["secret_key"], allow={task["client_key"]: "node-a"}.get)
    async with serve("tcp://127.0.0.1:0", curve=curve, limits=TINY) as bus:
        print(bus.endpoint, flush=True)
        peer = (await bus.incoming.receive()).peer
        assert peer.identity == "node-a"

        async def send(body):
            await bus.send(peer, body)

        async def receive():
            return (await bus.incoming.receive()).body

        started = time.perf_counter()
        await exchange(send, receive, task["count"])
        await send(b"all here")
        assert await receive() == b"all here"
        print(time.perf_counter() - started, flush=True)


async def client(task):
    curve = CurveClient(
        secret_key=task["secret_key"],
        public_key=task["client_key"],
        server_key=task["server_key"],
    )
    async with connect(task["endpoint"], curve=curve, limits=TINY) as bus:
        await bus.send(b"hello")
        await exchange(bus.send, bus.receive, task["count"])
        assert await bus.receive() == b"all here"
        await bus.send(b"all here")


async def stalled(task):
    """Both ends; a client that reads nothing is cut off by its heartbeat, comes back, and reads."""
    limits = BusLimits(
        high_water_mark=5, incoming_messages=5, outbox_messages=5, heartbeat_seconds=0.2
    )
    endpoint = "tcp://127.0.0.1:0"
    async with serve(endpoint, limits=limits) as bus, connect(bus.endpoint, limits=limits) as other:
        for _ in range(task["count"]):
            await other.send(b"hello")
            peer = (await bus.incoming.receive()).peer
            connections = other.link.connections
            with suppress(PeerGone):
                while True:
                    await bus.send(peer, LARGE)
            await other.wait_connected(after=connections)
            while await receive_within(other, 0.1):
                pass
    print("survived", flush=True)


async def receive_within(bus, seconds):
    with trio.move_on_after(seconds):
        return await bus.receive()
    return None


if __name__ == "__main__":
    roles = {"server": server, "client": client, "stalled": stalled}
    trio.run(roles[sys.argv[1]], json.loads(sys.stdin.readline()))
