"""`/metrics`, `/healthz` and `/readyz` of a node.

Belongs here: the routes, and serving them. Never here: the numbers (`worker.node.metrics`).
"""

import socket
from collections.abc import Callable

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from .config import Address
from .metrics import CONTENT_TYPE


def open_listener(address: Address) -> socket.socket:
    """Bind before anything else is started: a taken port is told at boot. Raises OSError."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family)


def application(metrics: Callable[[], bytes], unready: Callable[[], str]) -> Starlette:
    """The routes; `unready` says what is missing, and nothing when the node serves."""

    async def show_metrics(request: Request) -> Response:
        return Response(metrics(), headers={"content-type": CONTENT_TYPE})

    async def show_health(request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def show_readiness(request: Request) -> Response:
        reason = unready()
        return PlainTextResponse(f"{reason or 'ready'}\n", status_code=503 if reason else 200)

    return Starlette(
        routes=[
            Route("/metrics", show_metrics),
            Route("/healthz", show_health),
            Route("/readyz", show_readiness),
        ]
    )


async def run(app: Starlette, listener: socket.socket) -> None:
    """Serve until cancelled. Takes the listener over."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = config.errorlog = None
    config.include_server_header = False
    config.graceful_timeout = 0.5
    await serve(app, config, shutdown_trigger=trio.sleep_forever)  # type: ignore[arg-type]  # ASGI
