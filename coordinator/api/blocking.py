"""Blocking queries: `?index=N&wait=10s` holds the answer back until something has changed.

Belongs here: the wait. Never here: what is answered after it; that may be the same as before.
Source: Consul, "Blocking queries": default wait 5 minutes, at most 10, plus up to a sixteenth of it.
"""

import trio
from starlette.requests import Request

from .parameters import block_index, block_seconds
from .services import Services


async def hold(services: Services, request: Request, tables: tuple[str, ...], prefix: str) -> None:
    """Return when the request need not wait any longer: a change, the time is up, the client is gone.

    Raises ApiError (400) for parameters that cannot be read.
    """
    index, seconds = block_index(request.query_params), block_seconds(request.query_params)
    if index == 0:
        return
    seconds += services.chance.uniform(0, seconds / 16)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_gone, request, nursery.cancel_scope)
        await services.wanted.wait_past(
            index, tables=tables, timeout_seconds=seconds, prefix=prefix
        )
        nursery.cancel_scope.cancel()


async def _until_gone(request: Request, scope: trio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass  # the rest of a body that a GET has no use for
    scope.cancel()
