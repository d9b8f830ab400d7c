"""One real coordinator, a process of its own, for tests of clients that others wrote."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .programs import free_port, wait_until

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "coordinator"]


@dataclass(frozen=True)
class Started:
    """A coordinator that serves; `port` is its HTTP API's on loopback."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def end(self) -> int:
        """Ask it to stop, and wait; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextmanager
def place() -> Iterator[Path]:
    """A folder with a short path, as a unix socket's holds 107 bytes."""
    found = Path(tempfile.mkdtemp(prefix="lg-co-", dir="/tmp"))
    try:
        yield found
    finally:
        shutil.rmtree(found)


def settings(folder: Path) -> dict[str, Any]:
    """A configuration that starts: one named `c1`, its state in `folder`, on free ports of loopback."""
    return {
        "node_name": "c1",
        "state_dir": str(folder / "state"),
        "runtime_dir": str(folder / "run"),
        "metrics_addr": f"127.0.0.1:{free_port()}",
        "http_addr": f"127.0.0.1:{free_port()}",
        "bus_addr": f"127.0.0.1:{free_port()}",
        "log_format": "json",
    }


@contextmanager
def coordinator(folder: Path, **changed: Any) -> Iterator[Started]:
    """Start one on the state in `folder`, by `settings` but for what is changed; it is gone afterwards."""
    config = settings(folder) | changed
    port = int(str(config["http_addr"]).rpartition(":")[2])
    log = folder / "coordinator.log"
    file = folder / "coordinator.json"
    file.write_text(json.dumps(config))
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*PROGRAM, "--config", str(file)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=out
        )
    try:
        wait_until(f"the coordinator serves, see {log}", lambda: b'"serving"' in log.read_bytes())
        yield Started(process, port, log)
    finally:
        process.kill()
        process.wait()
