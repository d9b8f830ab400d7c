"""The coordinator's own page for Prometheus and for whoever asks whether it lives.

Belongs here: `/metrics`, `/healthz`, `/readyz`. Never here: what is counted (`coordinator.metrics`).
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cluster.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is served: the samples as text, and whether there is anything to serve nodes with."""

    metrics: Callable[[], bytes]
    is_ready: Callable[[], bool]


async def serve_metrics(
    address: str, page: Page, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve on `host:port` until cancelled. Raises ConfigError when the address cannot be had."""
    config = Config()
    config.bind = [f"fd://{_bound(address).detach()}"]
    config.include_server_header = False
    config.errorlog = None
    task_status.started()
    await serve(cast("ASGIFramework", _app(page)), config, shutdown_trigger=trio.sleep_forever)


def _bound(address: str) -> socket.socket:
    """A socket of our own, as Hypercorn's error would name no address."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, int(port)))
        found.listen()
    except OSError as error:
        found.close()
        message = f"cannot listen on {address}: {error.strerror or error}"
        raise ConfigError((Problem(path="metrics_addr", message=message),)) from error
    return found


def _app(page: Page) -> Starlette:
    async def metrics(_: Request) -> Response:
        return Response(page.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def health(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readiness(_: Request) -> Response:
        if page.is_ready():
            return PlainTextResponse("ready\n")
        return PlainTextResponse("nothing published yet\n", status_code=503)

    paths = {"/metrics": metrics, "/healthz": health, "/readyz": readiness}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in paths.items()])
