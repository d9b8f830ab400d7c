"""Where a bus lives: binding and connecting with errors that name the endpoint.

Belongs here: what can be wrong with an address. Never here: what travels over it.
"""

import errno
import os
import socket as unix
import stat
from contextlib import suppress

import zmq

from cluster.errors import LockgateError

_UNIX_PATH_BYTES = 107  # sun_path is 108 bytes with its closing NUL (unix(7))


class EndpointError(LockgateError):
    """An endpoint cannot be bound or connected to: malformed, too long, in use."""

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint}: {reason}")
        self.endpoint = endpoint
        self.reason = reason


def bind(socket: zmq.Socket[bytes], endpoint: str) -> str:
    """Bind, and return the endpoint really bound: port 0 has become a number."""
    path = unix_path(endpoint)
    if path is not None:
        _check_place(endpoint, path)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise EndpointError(endpoint, _reason(error)) from error
    return socket.get_string(zmq.LAST_ENDPOINT)


def connect(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Start to connect; nobody needs to listen there yet."""
    unix_path(endpoint)
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise EndpointError(endpoint, _reason(error)) from error


def redial(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Connect again after ZeroMQ has given the endpoint up; what is queued with us is kept."""
    with suppress(zmq.ZMQError):  # ENOENT: it has forgotten the endpoint as well
        socket.disconnect(endpoint)
    connect(socket, endpoint)


def unix_path(endpoint: str) -> str | None:
    """The path of an `ipc://` endpoint, None for others. Raises EndpointError if it is too long."""
    if not endpoint.startswith("ipc://"):
        return None
    path = endpoint.removeprefix("ipc://")
    length = len(os.fsencode(path))
    if length > _UNIX_PATH_BYTES:
        raise EndpointError(
            endpoint, f"the path has {length} bytes, a unix socket's has at most {_UNIX_PATH_BYTES}"
        )
    return path


def _check_place(endpoint: str, path: str) -> None:
    """libzmq removes whatever is at the path before it binds: a living server's socket, any file."""
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise EndpointError(endpoint, "there is a file that is not a socket")
    with unix.socket(unix.AF_UNIX, unix.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog says EAGAIN at once: somebody is there
        if probe.connect_ex(path) in (0, errno.EAGAIN):
            raise EndpointError(endpoint, "in use by another process")


def _reason(error: zmq.ZMQError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "in use by another process"
    return str(error)
