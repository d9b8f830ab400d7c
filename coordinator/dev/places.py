"""Where a development cluster lives: its directories, its ports, its configuration files.

Belongs here: choosing and writing them. Never here: starting anything.

Everything lies in one private directory with a short name (a unix socket's path holds 107 bytes), which is
removed at the end; with `--state`, what must outlast the run lies there instead.
"""

import json
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.keyfile import ensure_key_file

#: Below the range that the kernel gives to outgoing connections, which would take a free port away.
_PORTS = range(20_000, 32_000)
DRAIN_GRACE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What a run needs to know of itself."""

    root: Path
    state: Path
    admin_socket: Path
    http: str
    bus: str
    coordinator_metrics: str
    node_metrics: str
    coordinator_file: Path
    node_file: Path
    node_name: str
    node_key: str


class FreePorts:
    """Ports of loopback that nobody listens on, each given once, whoever asks on this machine.

    From its choice until a daemon listens, and while a daemon is started again, a port looks free to other
    runs: an abstract unix socket (unix(7)) with the port in its name claims it, until `close`.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._claims = ExitStack()

    def take(self) -> int:
        """Another one. Raises OSError when a thousand tries find none."""
        for _ in range(1000):
            port = self._chance.choice(_PORTS)
            with ExitStack() as undo, suppress(OSError):
                undo.enter_context(socket.socket(socket.AF_UNIX)).bind(f"\0lockgate-dev-{port}")
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
                self._claims.push(undo.pop_all())
                return port
        raise OSError(f"no free port on 127.0.0.1 between {_PORTS.start} and {_PORTS.stop}")

    def close(self) -> None:
        """The ports may be given again."""
        self._claims.close()


@contextmanager
def private_directory() -> Iterator[Path]:
    """A new directory that only we may enter; it is gone afterwards. Raises OSError."""
    root = Path(tempfile.mkdtemp(prefix="lockgate-", dir=_short_directory()))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def prepare(root: Path, workers: int | None, state: Path | None, ports: FreePorts) -> Places:
    """Make the directories and write both configuration files. Raises OSError and ConfigError."""
    kept = state.absolute() if state else root / "state"
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    node_keys = ensure_key_file(kept / "node.key")
    bus_keys = ensure_key_file(kept / "bus.key")
    api, bus, own_metrics, node_metrics = (f"127.0.0.1:{ports.take()}" for _ in range(4))
    places = Places(
        root=root,
        state=kept,
        admin_socket=root / "admin.sock",
        http=api,
        bus=bus,
        coordinator_metrics=own_metrics,
        node_metrics=node_metrics,
        coordinator_file=root / "coordinator.json",
        node_file=root / "node.json",
        node_name=socket.gethostname(),
        node_key=node_keys.public_key,
    )
    _write(places.coordinator_file, _coordinator(places))
    _write(places.node_file, _node(places, bus_keys.public_key, workers))
    return places


def _short_directory() -> str:
    """TMPDIR where it is short enough for unix sockets, else /tmp."""
    wanted = tempfile.gettempdir()
    return wanted if len(wanted) < 60 else "/tmp"


def _coordinator(places: Places) -> dict[str, Any]:
    return {
        "node_name": places.node_name,
        "state_dir": str(places.state / "coordinator"),
        "runtime_dir": str(places.root),
        "admin_socket": str(places.admin_socket),
        "http_addr": places.http,
        "bus_addr": places.bus,
        "bus_key_file": str(places.state / "bus.key"),
        "metrics_addr": places.coordinator_metrics,
        "log_level": "warning",
    }


def _node(places: Places, coordinator_key: str, workers: int | None) -> dict[str, Any]:
    node: dict[str, Any] = {
        "node_name": places.node_name,
        "state_dir": str(places.state / "node"),
        "runtime_dir": str(places.root / "node"),
        "coordinators": [places.bus],
        "coordinator_key": coordinator_key,
        "bus_key_file": str(places.state / "node.key"),
        "metrics_addr": places.node_metrics,
        "log_level": "warning",
        "limits": {"drain_grace_seconds": DRAIN_GRACE_SECONDS},
    }
    return node if workers is None else {**node, "workers": workers}


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")
