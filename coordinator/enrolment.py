"""Enrolment tokens: a node that has one may put its own key on the list of those that join the bus. Once.

Belongs here: which keys the bus lets in, and what becomes of a token. Never here: the bus, or the API.

A token is the secret half of a CURVE key pair, of which the coordinator keeps the public half alone: that is
as good as a hash, and the secret never travels. Who joins by it is not the node but `enrol/NODE` (no node's
name holds a slash), and is heard on one thing only. The commit that puts the node's key on the list binds the
token to that key: whoever asks again with the same key gets the same answer, with another a refusal. What is
asked is judged when it is the commit's turn, so of two at once the second sees what the first has done.
"""

from collections.abc import Callable

import structlog

from cluster.bus.curve import require_key
from cluster.errors import ConfigError
from coordinator.store.records import Change, Delete, Put
from coordinator.store.state import State
from coordinator.store.tables import BUS_KEYS, BUS_TOKENS
from coordinator.store.wanted import Wanted

log = structlog.get_logger(__name__)

_PREFIX = "enrol/"
MIN_LIFE_SECONDS = 60.0
MAX_LIFE_SECONDS = 7 * 24 * 3600.0
#: How often the log tells of a key that is not let in, and of how many at most meanwhile.
TELL_SECONDS = 600.0
MOST_TOLD = 20


def enrolling(identity: str) -> str:
    """The node that a peer of the bus wants to become; empty for one that is a node already."""
    return identity.removeprefix(_PREFIX) if identity.startswith(_PREFIX) else ""


def identity_of(state: State, public_key: str, now: float) -> str | None:
    """Whose key this is on the bus: a node's, or an enrolment token's that is not over."""
    for name, record in state.table(BUS_KEYS).items():
        if record.value["public_key"] == public_key:
            return name
    for name, record in state.table(BUS_TOKENS).items():
        if record.value["public_key"] == public_key and now < record.value["expires"]:
            return f"{_PREFIX}{name}"
    return None


def allowing(state: State, node: str, public_key: str) -> list[Change]:
    """The changes that let a node in by this key.

    Raises ValueError: one key is one node, as the key is the identity of a peer.
    """
    for record in state.table(BUS_KEYS).values():
        if record.value["public_key"] == public_key and record.key != node:
            raise ValueError(f"this key is already the one of node {record.key}")
    return [Put(table=BUS_KEYS, key=node, value={"public_key": public_key})]


def expired_tokens(state: State, now: float) -> list[Change]:
    """The deletion of each token whose time is over."""
    found = state.table(BUS_TOKENS).items()
    return [Delete(table=BUS_TOKENS, key=key) for key, r in found if now >= r.value["expires"]]


class Enrolment:
    """Puts keys on the list for those who hold a token."""

    def __init__(self, wanted: Wanted, clock: Callable[[], float]) -> None:
        self._wanted = wanted
        self._clock = clock
        self._told: dict[str, float] = {}

    def identity(self, public_key: str) -> str | None:
        """What the bus asks for each handshake and message."""
        found = identity_of(self._wanted.state, public_key, self._clock())
        if found is None:
            self._tell(public_key)
        return found

    def _tell(self, public_key: str) -> None:
        """Once in ten minutes for each key, of the few that the list should perhaps have."""
        now = self._clock()
        self._told = {key: at for key, at in self._told.items() if now - at < TELL_SECONDS}
        if public_key not in self._told and len(self._told) < MOST_TOLD:
            self._told[public_key] = now
            log.warning(
                "a key that is not on the list wants to join the bus",
                public_key=public_key,
                mend=f"lockgate nodes allow NODE '{public_key}'",
            )

    async def enrol(self, node: str, public_key: str) -> str:
        """Let the node in by this key; the bearer of its token asks. Gives why not, or nothing."""
        try:
            require_key(public_key)
            await self._wanted.commit(
                lambda state: _admission(state, node, public_key, self._clock())
            )
        except (ConfigError, ValueError) as error:
            return str(error)
        log.info("enrolled", node=node)
        return ""


def _admission(state: State, node: str, public_key: str, now: float) -> list[Change]:
    """What lets a node in by its token; nothing for the key that it was used with already.

    To be asked when it is the commit's turn: another node may bring the same key at the same moment. Raises
    ValueError.
    """
    token = state.get(BUS_TOKENS, node)
    if token is None or now >= token.value["expires"]:
        raise ValueError(f"there is no enrolment token for node {node}")
    if "used_by" in token.value:
        if token.value["used_by"] != public_key:
            raise ValueError(f"the enrolment token for node {node} is used up")
        return []
    used = Put(table=BUS_TOKENS, key=node, value=token.value | {"used_by": public_key})
    return [*allowing(state, node, public_key), used]
