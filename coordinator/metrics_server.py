"""The coordinator's own page for Prometheus and for whoever asks whether it lives.

Belongs here: `/metrics`, `/healthz`, `/readyz`. Never here: what is counted (`coordinator.metrics`).
"""

from collections.abc import Callable
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


async def serve_metrics(
    address: str, page: Callable[[], bytes], is_ready: Callable[[], bool]
) -> None:
    """Serve until cancelled. Raises OSError when the address cannot be had."""
    config = Config()
    config.bind = [address]
    config.include_server_header = False
    config.errorlog = None
    app = cast("ASGIFramework", _app(page, is_ready))
    await serve(app, config, shutdown_trigger=trio.sleep_forever)


def _app(page: Callable[[], bytes], is_ready: Callable[[], bool]) -> Starlette:
    async def metrics(_: Request) -> Response:
        return Response(page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def health(_: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readiness(_: Request) -> Response:
        if is_ready():
            return PlainTextResponse("ready\n")
        return PlainTextResponse("nothing published yet\n", status_code=503)

    paths = {"/metrics": metrics, "/healthz": health, "/readyz": readiness}
    return Starlette(routes=[Route(path, endpoint) for path, endpoint in paths.items()])
