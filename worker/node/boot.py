"""What a node needs of its host before it starts: folders, the lock, its key, the metrics port.

Belongs here: getting them, or saying in one line why not. Never here: anything that goes on afterwards.
"""

import fcntl
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from cluster.bus import CurveClient
from cluster.errors import LockgateError
from cluster.keyfile import ensure_key_file, read_key_file

from .config import NodeConfig
from .enrol import Enrolment
from .http import open_listener

_FOLDER = "node"
_LOCK = "lock"


class BootError(LockgateError):
    """The node cannot start on this host; trying again at once would not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What was got. `runtime_dir` is the node's own folder; the lock is held while `lock` is open."""

    runtime_dir: Path
    lock: int
    curve: CurveClient | None
    enrolment: Enrolment | None
    metrics: socket.socket


def prepare(config: NodeConfig) -> Ground:
    """Get everything, or raise BootError, or ConfigError for the key file."""
    runtime_dir = config.runtime_dir / _FOLDER
    try:
        _make_private(runtime_dir)
        config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BootError(f"{error.filename}: {error.strerror}") from error
    lock = _lock(runtime_dir)
    enrolment = _enrolment(config)
    return Ground(
        runtime_dir=runtime_dir,
        lock=lock,
        curve=_curve(config),
        enrolment=enrolment,
        metrics=_metrics_listener(config),
    )


def _make_private(folder: Path) -> None:
    """The ipc sockets in it know no other protection. Its parent may be shared with a coordinator."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def _lock(folder: Path) -> int:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise BootError(f"{folder}: another node runs on this folder") from error
    return descriptor


def _curve(config: NodeConfig) -> CurveClient | None:
    if config.bus_key_file is None or not config.coordinators:
        return None
    keys = read_key_file(config.bus_key_file)
    return CurveClient(
        secret_key=keys.secret_key,
        public_key=keys.public_key,
        server_key=config.coordinator_key,
    )


def _enrolment(config: NodeConfig) -> Enrolment | None:
    """What an enrolment token asks for, if there is one; the node's own key is made if it is not there."""
    file = config.enrol_token_file
    if file is None or not file.exists() or config.bus_key_file is None:
        return None
    own, token = ensure_key_file(config.bus_key_file), read_key_file(file)
    curve = CurveClient(
        secret_key=token.secret_key,
        public_key=token.public_key,
        server_key=config.coordinator_key,
    )
    return Enrolment(curve=curve, file=file, public_key=own.public_key)


def _metrics_listener(config: NodeConfig) -> socket.socket:
    try:
        return open_listener(config.metrics_addr)
    except OSError as error:
        raise BootError(f"metrics_addr {config.metrics_addr}: {error.strerror}") from error
