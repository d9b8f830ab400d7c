"""The API over real sockets: Hypercorn's HTTP on our own listeners.

Belongs here: connections to the application, each with the credentials of its peer. Never here: an endpoint.

Hypercorn by itself tells the application nothing of a unix socket's peer and leaves the socket's file behind;
so its server for one connection is called from here, and the listening sockets are ours.
"""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework
from starlette.types import ASGIApp

from cluster.errors import ConfigError, Problem

from .app import make_app
from .peers import UCRED, Guarded, Peer, group_id, peer_of
from .services import Services
from .sockets import UnixSocket, bind_tcp, bind_unix

log = structlog.get_logger()

_KEEP_ALIVE_SECONDS = 120.0


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """Where the API is served: `unix:///path`, and `http://host:port` or empty."""

    unix: str
    http: str = ""


async def serve(
    services: Services,
    *,
    unix_path: Path,
    group: str = "",
    tcp_address: str = "",
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; the socket's file is gone then. Raises ConfigError before it has started."""
    gid = _group(group)
    app = Guarded(make_app(services), admin_gid=gid)
    with _listening(unix_path, gid, tcp_address) as (unix, tcp):
        listeners = [_listener(one) for one in (unix.listening, tcp) if one is not None]
        task_status.started(Bound(unix=f"unix://{unix.path}", http=_url(tcp) if tcp else ""))
        await trio.serve_listeners(partial(_connection, app), listeners)


async def _connection(app: ASGIApp, stream: trio.SocketStream) -> None:
    """One connection, until its end. A bug in it is this connection's worth, not the server's."""
    try:
        wrapped = ASGIWrapper(cast("ASGIFramework", app))
        state = {"peer": _peer(stream)}
        server = TCPServer(wrapped, _config(), WorkerContext(None), state, cast("Any", stream))
        await server.run()
    except Exception:
        log.exception("a bug ended this connection to the API")
        await trio.aclose_forcefully(stream)


def _peer(stream: trio.SocketStream) -> Peer | None:
    """Who speaks on a unix socket; None over TCP."""
    if stream.socket.family != socket.AF_UNIX:
        return None
    return peer_of(stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))


@contextmanager
def _listening(
    path: Path, gid: int | None, tcp_address: str
) -> Iterator[tuple[UnixSocket, socket.socket | None]]:
    unix = bind_unix(path, gid)
    try:
        tcp = bind_tcp(tcp_address) if tcp_address else None
        try:
            yield unix, tcp
        finally:
            if tcp is not None:
                tcp.close()
    finally:
        unix.unlink()
        unix.listening.close()


def _listener(listening: socket.socket) -> trio.SocketListener:
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


def _config() -> Config:
    config = Config()
    config.keep_alive_timeout = _KEEP_ALIVE_SECONDS
    config.include_server_header = False
    config.errorlog = logging.getLogger("lockgate.api")
    return config


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _group(name: str) -> int | None:
    try:
        return group_id(name)
    except ValueError as error:
        raise ConfigError((Problem(message=str(error)),)) from None
