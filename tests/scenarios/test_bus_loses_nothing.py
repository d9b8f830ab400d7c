"""Between two processes the bus loses, repeats and reorders nothing, however short its queues.

A server and a client, each a process of its own, send 100,000 numbered messages each way at once,
with CURVE and with queues of five messages. Each checks that it got every number, in order.
"""

import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from cluster.bus import keygen
from tests.harness.programs import PATIENCE

pytestmark = pytest.mark.slow

MESSAGES = 100_000
SECONDS = 60 * PATIENCE


@asynccontextmanager
async def peer(role, **task):
    """Run bus_peer.py; yields the stream of what it prints, then waits for a good end."""
    folder = Path(__file__).parent
    process = await trio.lowlevel.open_process(
        [sys.executable, str(folder / "bus_peer.py"), role],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(folder.parents[1])},
    )
    try:
        async with process.stdin as stdin, process.stdout as stdout:
            await stdin.send_all(json.dumps(task).encode() + b"\n")
            yield stdout
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


async def line(stdout):
    """The next line that a peer prints."""
    text = b""
    while not text.endswith(b"\n"):
        chunk = await stdout.receive_some()
        assert chunk, f"the peer ended after {text!r}"
        text += chunk
    return text.decode().strip()


async def test_two_processes_exchange_a_hundred_thousand_messages_each_way(record_property):
    server, client = keygen(), keygen()
    keys = {"server_key": server.public_key, "client_key": client.public_key, "count": MESSAGES}
    with trio.fail_after(SECONDS):
        async with peer("server", secret_key=server.secret_key, **keys) as told:
            endpoint = await line(told)
            async with peer("client", secret_key=client.secret_key, endpoint=endpoint, **keys):
                seconds = float(await line(told))
    record_property("seconds", round(seconds, 1))
    record_property("messages_per_second", round(2 * MESSAGES / seconds))
    print(f"{2 * MESSAGES} messages in {seconds:.1f} s, {2 * MESSAGES / seconds:.0f}/s")


async def test_a_reader_that_is_cut_off_while_it_stalls_lives_on():
    """libzmq 4.3.5 aborts the whole process here unless ZMQ_IMMEDIATE is set.

    `Assertion failed: _input_stopped (src/stream_engine_base.cpp)`, zeromq/libzmq#3937.
    """
    with trio.fail_after(SECONDS):
        async with peer("stalled", count=5) as told:
            assert await line(told) == "survived"
