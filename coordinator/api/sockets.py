"""The listening sockets of the API: a unix socket for its owner and group, and TCP.

Belongs here: making them, and leaving no file behind. Never here: what is said over them.
"""

import errno
import ipaddress
import os
import socket
import stat
from pathlib import Path

from cluster.errors import ConfigError, Problem

_MODE = 0o660
_BACKLOG = 1024
_PATH_BYTES = 107  # sun_path of Linux holds 108 with the final zero


class UnixSocket:
    """A listening unix socket and its file."""

    def __init__(self, listening: socket.socket, path: Path) -> None:
        self.listening = listening
        self.path = path.absolute()
        self._identity = _identity(path)

    def unlink(self) -> None:
        """Remove the file, if it is still ours: another coordinator may have taken the place."""
        if self.path.exists() and _identity(self.path) == self._identity:
            self.path.unlink()


def bind_unix(path: Path, gid: int | None) -> UnixSocket:
    """Listen at `path` with mode 0660 and this group. A file that a dead process left is removed.

    Raises ConfigError. Nobody can connect before mode and group are set.
    """
    if len(os.fsencode(path)) > _PATH_BYTES:
        raise _problem(f"{path}: a unix socket's path has at most {_PATH_BYTES} bytes")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listening.bind(str(path))
        path.chmod(_MODE)
        if gid is not None:
            os.chown(path, -1, gid)
        listening.listen(_BACKLOG)
        return UnixSocket(listening, path)
    except OSError as error:
        listening.close()
        raise _problem(f"admin socket {path}: {error.strerror or error}") from error
    except BaseException:
        listening.close()
        raise


def bind_tcp(address: str, *, loopback_only: str = "") -> socket.socket:
    """Listen on an IP and a port; port 0 is any. `loopback_only` says why no other may be had, if so.

    Raises ConfigError.
    """
    host, port = _split(address, loopback_only)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
        return listening
    except OSError as error:
        listening.close()
        raise _problem(f"HTTP address {address}: {error.strerror or error}") from error


def _split(address: str, loopback_only: str) -> tuple[str, int]:
    text = address.removeprefix("http://").removeprefix("https://").rstrip("/")
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise _problem(f"HTTP address {address!r} is not HOST:PORT")
    host = host.removeprefix("[").removesuffix("]")
    host = "127.0.0.1" if host == "localhost" else host
    ip = _ip(host)
    if loopback_only and not (ip and ip.is_loopback):
        message = f"HTTP address {address!r}: {loopback_only} the API is only served on loopback"
        raise _problem(f"{message}, 127.0.0.1 or [::1]")
    if ip is None:
        raise _problem(f"HTTP address {address!r}: {host[:80]!r} is no IP address")
    return host, int(port)


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on. Raises ConfigError when somebody does, or it is no socket."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise _problem(f"admin socket {path}: there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        refused = probe.connect_ex(str(path))
    if refused != errno.ECONNREFUSED:
        raise _problem(f"admin socket {path} is in use by another process")
    path.unlink()


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _problem(message: str) -> ConfigError:
    return ConfigError((Problem(message=message),))
