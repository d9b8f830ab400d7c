"""The audit log: `/v1/lockgate/audit`.

Belongs here: showing it. Never here: writing it (`auditing`, `coordinator.audit`).
"""

from functools import partial
from typing import Any

import trio

from coordinator.acl.rights import operator_read
from coordinator.audit.reading import last_calls

from .answers import ApiError
from .endpoint import Call, Do, at

_DEFAULT, _MAX = 50, 10_000


async def _audit(call: Call) -> list[dict[str, Any]]:
    """The last calls, the newest first."""
    log = call.services.audit
    if log is None:
        return []
    read = partial(last_calls, log.path, _count(call))
    return await trio.to_thread.run_sync(read)


def _count(call: Call) -> int:
    text = call.query("n", str(_DEFAULT))
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= _MAX:
        raise ApiError(400, f"n is a number from 1 to {_MAX}, not {text[:40]!r}")
    return int(text)


ROUTES = (at("/v1/lockgate/audit", GET=Do(answer=_audit, needs=operator_read)),)
