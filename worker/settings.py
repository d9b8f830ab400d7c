"""What a worker is told at its start: one JSON argument, made by the node, read by the worker.

Belongs here: the settings and their spelling on a command line. Never here: anything secret (arguments
are public on a host), or anything that may change while a worker lives, which comes over the node's link.

The command is `[sys.executable, "-I", "-m", "worker", "--settings", JSON]`, and `--tether FD` when the
node itself has one: the read end of a pipe, whose end of file means that the worker must go as well.
"""

from pathlib import Path

import msgspec

from cluster.errors import ConfigError, Problem


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of one worker. None is no bound; `max_connections` None leaves it to the descriptors."""

    max_connections: int | None = None
    hello_timeout_seconds: float = 5.0
    handshake_timeout_seconds: float = 10.0
    idle_timeout_seconds: float | None = None
    max_age_seconds: float | None = None
    drain_grace_seconds: float = 30.0


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who a worker is, where its node is, and what bounds it.

    `node` is the node's name, `index` the worker's own place from 0. Both sockets lie in `runtime_dir`.
    """

    node: str
    runtime_dir: str
    index: int
    limits: Limits = Limits()
    log_level: str = "info"
    log_format: str = "console"

    @property
    def link_endpoint(self) -> str:
        """Where the node's ROUTER listens, as ZeroMQ spells it."""
        return link_endpoint(Path(self.runtime_dir))

    @property
    def sockets_path(self) -> str:
        """Where the node hands out listening sockets (`worker.descriptors`)."""
        return sockets_path(Path(self.runtime_dir))


def link_endpoint(runtime_dir: Path) -> str:
    return f"ipc://{runtime_dir / 'workers.ipc'}"


def sockets_path(runtime_dir: Path) -> str:
    return str(runtime_dir / "sockets")


def render(settings: WorkerSettings) -> str:
    """The argument's text."""
    return msgspec.json.encode(settings).decode()


def parse(text: str) -> WorkerSettings:
    """The settings that an argument holds. Raises `ConfigError`."""
    try:
        return msgspec.json.decode(text, type=WorkerSettings)
    except msgspec.DecodeError as error:
        raise ConfigError((Problem(path="--settings", message=str(error)),)) from error
