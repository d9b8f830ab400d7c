"""The API over real sockets: Hypercorn's HTTP on our own listeners.

Belongs here: connections to the application, each with the credentials of its peer. Never here: an endpoint.

Hypercorn by itself tells the application nothing of a unix socket's peer and leaves the socket's file behind;
so its server for one connection is called from here, and the listening sockets are ours.
"""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from .crowd import MOST_FROM_ONE_ADDRESS, Crowd
from .peers import UCRED, Guarded, Peer, group_id, peer_of
from .services import Services
from .sockets import UnixSocket, bind_tcp, bind_unix
from .tls import ServerTls, TlsFiles, certificate_name

log = structlog.get_logger()

_KEEP_ALIVE_SECONDS = 120.0
_TOO_MANY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """Where the API is served: `unix:///path`, and `http(s)://host:port` or empty."""

    unix: str
    http: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcp:
    """How the API is served on TCP; `loopback_only` says why nowhere else, if so.

    `most`: connections from one address.
    """

    address: str = ""
    tls: TlsFiles | None = None
    loopback_only: str = "without tokens"
    most: int = MOST_FROM_ONE_ADDRESS


async def serve(
    services: Services,
    *,
    unix_path: Path,
    group: str = "",
    tcp: Tcp | None = None,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; the socket's file is gone then. Raises ConfigError before it has started."""
    gid = _group(group)
    tcp = tcp or Tcp()
    tls = ServerTls(tcp.tls) if tcp.address and tcp.tls else None
    app = Guarded(make_app(services), admin_gid=gid, with_tokens=services.access.enabled)
    with _listening(unix_path, gid, tcp) as (unix, bound):
        listeners = [_listener(one) for one in (unix.listening, bound) if one is not None]
        http = _url(bound, "https" if tls else "http") if bound else ""
        task_status.started(Bound(unix=f"unix://{unix.path}", http=http))
        await trio.serve_listeners(partial(_connection, app, tls, Crowd(tcp.most)), listeners)


async def _connection(
    app: ASGIApp, tls: ServerTls | None, crowd: Crowd, stream: trio.SocketStream
) -> None:
    """One connection, until its end. A bug in it is this connection's worth, not the server's."""
    try:
        peer = _peer(stream)
        if peer is not None:
            await _speak(app, stream, {"peer": peer})
            return
        with crowd.joined_from(stream.socket.getpeername()[0]) as has_room:
            if has_room:
                await _speak_tcp(app, tls, stream)
            else:
                await _send_away(stream, in_plain=tls is None)
    except OSError:
        await trio.aclose_forcefully(stream)  # gone before it was looked at
    except (trio.BrokenResourceError, trio.TooSlowError):
        await trio.aclose_forcefully(stream)  # the handshake failed: the client's matter
    except Exception:
        log.exception("a bug ended this connection to the API")
        await trio.aclose_forcefully(stream)


async def _speak_tcp(app: ASGIApp, tls: ServerTls | None, stream: trio.SocketStream) -> None:
    if tls is None:
        await _speak(app, stream, {"peer": None})
        return
    secure = await tls.handshake(stream)
    await _speak(app, secure, {"peer": None, "certificate": certificate_name(secure)})


async def _send_away(stream: trio.SocketStream, *, in_plain: bool) -> None:
    """In plain with a status, as Consul does it; a TLS client sees the connection end."""
    async with stream:
        if in_plain:
            await stream.send_all(_TOO_MANY)


async def _speak(app: ASGIApp, stream: Any, state: dict[str, Any]) -> None:
    wrapped = ASGIWrapper(cast("ASGIFramework", app))
    await _Connection(wrapped, _config(), WorkerContext(None), state, stream).run()


class _Connection(TCPServer):
    """Hypercorn's, which keeps one that its client has closed without a request for the keep-alive time."""

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


def _peer(stream: trio.SocketStream) -> Peer | None:
    """Who speaks on a unix socket; None over TCP."""
    if stream.socket.family != socket.AF_UNIX:
        return None
    return peer_of(stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size))


@contextmanager
def _listening(
    path: Path, gid: int | None, tcp: Tcp
) -> Iterator[tuple[UnixSocket, socket.socket | None]]:
    unix = bind_unix(path, gid)
    try:
        bound = bind_tcp(tcp.address, loopback_only=tcp.loopback_only) if tcp.address else None
        try:
            yield unix, bound
        finally:
            if bound is not None:
                bound.close()
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


def _url(listening: socket.socket, scheme: str) -> str:
    host, port = listening.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _group(name: str) -> int | None:
    try:
        return group_id(name)
    except ValueError as error:
        raise ConfigError((Problem(message=str(error)),)) from None
