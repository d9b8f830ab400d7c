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
from coordinator.store.state import State
from coordinator.store.tables import ACL_TOKENS
from coordinator.store.wanted import Wanted

log = structlog.get_logger()

INTERVAL_SECONDS = 30.0


async def forget_expired(wanted: Wanted, writes: trio.Lock, clock: Callable[[], float]) -> None:
    """Look every half minute, until cancelled. What cannot be deleted now is tried again then.

    `writes` is held from the look to the commit, so that a new token of the name is not taken for the old.
    """
    while True:
        await trio.sleep(INTERVAL_SECONDS)
        try:
            async with writes:
                await wanted.commit(_over(wanted.state, clock()))
        except StoreError as error:
            log.warning("expired tokens stay for now", error=str(error))


def _over(state: State, now: float) -> list[Change]:
    found: list[Change] = [Delete(table=ACL_TOKENS, key=key) for key in expired(state, now)]
    return found + expired_tokens(state, now)
