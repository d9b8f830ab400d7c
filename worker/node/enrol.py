"""Joining the bus by an enrolment token: the node's own key is put on the coordinator's list, once.

Belongs here: the one question, asked until it is answered. Never here: the link that lives afterwards; it
tries all the while, as the list may hold the key already.

The token is the secret half of a key pair (see `coordinator/enrolment.py`), so it never travels. Its file is
removed when the coordinator has said yes: it is good for nothing any more.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from cluster.bus import CurveClient, connect
from cluster.errors import WireError
from cluster.messages import Enrol, Enrolled, pack, unpack

_log = structlog.get_logger(__name__)

ANSWER_SECONDS = 5.0
PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """The keys that the token stands for, its file, and the key to put on the list."""

    curve: CurveClient
    file: Path
    public_key: str


async def enrol(
    enrolment: Enrolment, endpoints: tuple[str, ...], *, is_up: Callable[[], bool]
) -> None:
    """Ask one coordinator after the other until one says yes, or the link is up without it."""
    for endpoint in itertools.cycle(endpoints):
        error = await _ask(enrolment, endpoint)
        if error == "" or is_up():
            enrolment.file.unlink(missing_ok=True)
            _log.info("enrolled", endpoint=endpoint)
            return
        _log.warning("not enrolled yet", endpoint=endpoint, reason=error)
        await trio.sleep(PAUSE_SECONDS)


async def _ask(enrolment: Enrolment, endpoint: str) -> str:
    """Why not; empty for yes."""
    async with connect(endpoint, curve=enrolment.curve) as bus:
        with trio.move_on_after(ANSWER_SECONDS):
            await bus.wait_connected(0)
            await bus.send(pack(Enrol(public_key=enrolment.public_key)))
            async for body in bus:
                try:
                    message = unpack(body)
                except WireError as error:
                    return str(error)
                if isinstance(message, Enrolled):
                    return message.error
    return "no answer: the token is used up, is over, or the coordinator is not there"
