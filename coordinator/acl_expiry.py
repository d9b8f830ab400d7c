"""Tokens of the API and for enrolment whose time is over are deleted, by the clock handed in.

Belongs here: when to look. Never here: when a token is over; it is refused from that moment on, whether it is
still there or not (`coordinator.acl.directory`).
"""

from collections.abc import Callable

import structlog
import trio

from coordinator.acl.directory import expired
from coordinator.enrolment import expired_tokens
from coordinator.store.records import Change, Delete, StoreError
from coordinator.store.tables import ACL_TOKENS
from coordinator.store.wanted import Wanted

log = structlog.get_logger()

INTERVAL_SECONDS = 30.0


async def forget_expired(wanted: Wanted, clock: Callable[[], float]) -> None:
    """Look every half minute, until cancelled. What cannot be deleted now is tried again then."""
    while True:
        await trio.sleep(INTERVAL_SECONDS)
        now = clock()
        over: list[Change] = [
            Delete(table=ACL_TOKENS, key=key) for key in expired(wanted.state, now)
        ]
        over += expired_tokens(wanted.state, now)
        try:
            await wanted.commit(over)
        except StoreError as error:
            log.warning("expired tokens stay for now", tokens=len(over), error=str(error))
