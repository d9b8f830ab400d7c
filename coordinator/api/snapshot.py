"""The whole state as one file: `/v1/snapshot`.

Belongs here: giving it out and taking it in. Never here: the file, or what restoring means (`store.saved`).

It holds every secret there is, so it takes the right to change the ACLs. A file that is not whole, or that is
of another datacenter, changes nothing.
"""

from functools import partial

import trio
from starlette.responses import Response

from coordinator.acl.rights import acl_write
from coordinator.store.saved import (
    MAX_BYTES,
    Saved,
    SavedError,
    decode_saved,
    encode_saved,
    restoring,
    saved_state,
)

from .answers import ApiError
from .body import read_content
from .endpoint import Call, Do, at


async def _save(call: Call) -> Response:
    services, state = call.services, call.services.wanted.state.snapshot()
    saved = saved_state(
        state, datacenter=services.datacenter, at=services.clock(), lockgate=services.version
    )
    content = await trio.to_thread.run_sync(encode_saved, saved)
    headers = {"X-Consul-Index": str(state.revision), "Cache-Control": "no-store"}
    return Response(content, media_type="application/octet-stream", headers=headers)


async def _restore(call: Call) -> None:
    services = call.services
    saved = await _whole(await read_content(call.request, MAX_BYTES))
    if saved.datacenter != services.datacenter:
        text = f"the snapshot is of datacenter {saved.datacenter[:64]!r}"
        raise ApiError(400, f"{text}, this one is {services.datacenter!r}")
    async with services.writes:
        await services.wanted.commit(
            partial(restoring, saved),
            beyond=saved.revision,
            note=f"restored the snapshot of revision {saved.revision}",
        )


async def _whole(content: bytes) -> Saved:
    try:
        return await trio.to_thread.run_sync(decode_saved, content)
    except SavedError as error:
        raise ApiError(400, str(error)) from None


ROUTES = (
    at(
        "/v1/snapshot",
        GET=Do(answer=_save, needs=acl_write, audited=True),
        PUT=Do(answer=_restore, needs=acl_write),
    ),
)
