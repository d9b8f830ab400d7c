"""A node as a real process with fake workers, a coordinator in the test, and an end that leaves nobody."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio

from cluster.bus import keygen
from tests.fakes import coordinator as fakes
from tests.fakes.authority import Authority
from tests.harness.programs import free_port

ROOT = Path(__file__).parents[2]


class Site:
    """One host: folders, keys, and the node's process. Everything hangs on the tether."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = Authority(now=time.time() - 3600)  # noqa: TID251  # real processes, real time
        self.coordinator_keys, self.node_keys = keygen(), keygen()
        self.bus_port = free_port()
        self.metrics_port = free_port()
        self.tether, self.held_end = os.pipe()
        self.processes = []
        key_file = folder / "node.key"
        key_file.touch(mode=0o600)
        key_file.write_text(self.node_keys.secret_key)
        self.config = {
            "node_name": "node-a",
            "state_dir": str(folder / "state"),
            "runtime_dir": str(folder / "run"),
            "coordinators": [f"127.0.0.1:{self.bus_port}"],
            "coordinator_key": self.coordinator_keys.public_key,
            "bus_key_file": str(key_file),
            "metrics_addr": f"127.0.0.1:{self.metrics_port}",
            "workers": 2,
            "limits": {"drain_grace_seconds": 0},
        }

    @property
    def runtime_dir(self):
        return self.folder / "run" / "node"

    def start_node(self, **changes):
        """Start the node's process."""
        file = self.folder / "node.json"
        file.write_text(json.dumps({**self.config, **changes}))
        command = [sys.executable, "-m", "tests.fakes.node_program", "--config", str(file)]
        with (self.folder / "node.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--tether", str(self.tether)],
                cwd=ROOT,
                pass_fds=(self.tether,),
                stderr=log,
            )
        self.processes.append(process)
        return process

    @asynccontextmanager
    async def coordinator(self):
        async with fakes.coordinator(
            self.authority,
            time.time,  # noqa: TID251  # real processes, real time
            endpoint=f"tcp://127.0.0.1:{self.bus_port}",
            keys=self.coordinator_keys,
            node_key=self.node_keys.public_key,
        ) as made:
            yield made

    def log(self):
        return (self.folder / "node.log").read_text()

    def workers(self):
        """The pids of workers by index, as the node notes them."""
        with suppress(FileNotFoundError):
            records = json.loads((self.runtime_dir / "workers.json").read_text())
            return {int(index): record["pid"] for index, record in records.items()}
        return {}

    def cut_tether(self):
        if self.held_end is not None:
            os.close(self.held_end)
        self.held_end = None

    def close(self):
        """Cut the tether; whoever does not leave is killed."""
        pids = set(self.workers().values())
        self.cut_tether()
        os.close(self.tether)
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class Client:
    """One connection to a fake worker."""

    def __init__(self, stream):
        self.stream = stream

    async def ask(self):
        """(index, pid, generation) of whoever serves this connection."""
        with trio.fail_after(30):
            await self.stream.send_all(b"?\n")
            answer = await self.stream.receive_some(100)
        return tuple(int(word) for word in answer.split())


@asynccontextmanager
async def client(port):
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield Client(stream)


async def who_serves(port, count=40):
    """Indices of the workers that served so many new connections."""
    found = set()
    for _ in range(count):
        async with client(port) as one:
            found.add((await one.ask())[0])
    return found
