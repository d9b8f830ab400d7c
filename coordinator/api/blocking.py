"""Blocking queries: `?index=N&wait=10s` holds the answer back until something has changed.

Belongs here: the wait. Never here: what is answered after it; that may be the same as before.
An index that we have not come to is from another history. To answer it at once would make a client spin that
does not start over; so the next change is waited for, and the lower index tells the client to start over.
Source: Consul, "Blocking queries": default wait 5 minutes, at most 10, plus up to a sixteenth of it.
"""

from collections.abc import Callable

import trio
from starlette.requests import Request

from .parameters import block_index, block_seconds
from .services import Services


async def hold(
    services: Services,
    request: Request,
    tables: tuple[str, ...],
    prefix: str,
    present: Callable[[], int],
) -> None:
    """Return when the request need not wait any longer: a change, the time is up, the client is gone.

    `present` is the index that the answer would have now. Raises ApiError (400) for parameters that cannot
    be read.
    """
    index, seconds = block_index(request.query_params), block_seconds(request.query_params)
    if index == 0:
        return
    seconds += services.chance.uniform(0, seconds / 16)
    seen = index if index <= services.wanted.state.revision else present()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_gone, request, nursery.cancel_scope)
        with trio.move_on_after(seconds):
            await services.wanted.wait_until(lambda: present() > seen, tables=tables, prefix=prefix)
        nursery.cancel_scope.cancel()


async def until_gone(request: Request, scope: trio.CancelScope) -> None:
    """Cancel what is done for the request when its client has gone away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass  # the rest of a body that a GET has no use for
    scope.cancel()
