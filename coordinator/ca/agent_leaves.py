"""Leaves with keys made here, for clients of Consul's agent that ask for both.

Belongs here: one leaf per service, shared by all who ask, and when it is renewed. Never here: who may ask
(the endpoint says), or signing.

It is the one exception to "keys never leave the host that made them", kept because Consul's clients rely
on it. Keys live in this process' memory alone: a restart makes new ones. Nothing is renewed that nobody
waits for. Source: Consul, `GET /v1/agent/connect/ca/leaf/:service`.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog
import trio

from cluster.certs import TrustBundle
from cluster.errors import LockgateError
from cluster.keys import csr_pem, new_key_pem
from cluster.renewal import after_root_change, renew_at, retry_at
from coordinator.store.tables import CA
from coordinator.store.wanted import Wanted

from .sign import SignedLeaf

MOST_SERVICES = 10_000

log = structlog.get_logger(__name__)


class Signing(Protocol):
    """The part of the authority that this needs."""

    def trust_bundle(self) -> TrustBundle: ...

    async def sign(self, csr_pem: bytes, *, newcomer: bool = True) -> SignedLeaf: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLeaf:
    """A leaf and its key; `index` grows with each renewal, `due` is when that is (unix seconds)."""

    signed: SignedLeaf
    key_pem: bytes
    index: int
    root: str
    due: float

    def __repr__(self) -> str:
        return f"AgentLeaf({self.signed.uri!r}, index={self.index})"


class AgentLeaves:
    """The leaves that were asked for, the least lately asked for dropped beyond `MOST_SERVICES`."""

    def __init__(
        self,
        wanted: Wanted,
        authority: Signing,
        *,
        now: Callable[[], float],
        chance: random.Random,
    ) -> None:
        self._wanted = wanted
        self._authority = authority
        self._now = now
        self._chance = chance
        self._held: dict[str, AgentLeaf] = {}
        self._turns: dict[str, trio.Lock] = {}

    async def get(self, uri: str) -> AgentLeaf:
        """The leaf of this identity, new if there is none or it is due. Raises as the authority's `sign`."""
        turn = self._turns.setdefault(uri, trio.Lock())
        try:
            async with turn:
                leaf = await self._fresh(uri, self._held.get(uri))
                self._held.pop(uri, None)
                self._held[uri] = leaf  # the latest asked for is the last
        finally:
            if not turn.statistics().tasks_waiting:
                self._turns.pop(uri, None)
        while len(self._held) > MOST_SERVICES:
            del self._held[next(iter(self._held))]
        return leaf

    async def _fresh(self, uri: str, held: AgentLeaf | None) -> AgentLeaf:
        """`held` if it may stay, also when it should not but a renewal fails; it is tried again later."""
        now, active = self._now(), self._active()
        if held is None:
            return await self._sign(uri, 1, newcomer=True)
        if held.root != active:  # spread, as everybody would come at once
            held = replace(
                held, root=active, due=min(held.due, after_root_change(now, self._chance))
            )
        if held.due > now:
            return held
        try:
            return await self._sign(uri, held.index + 1, newcomer=False)
        except LockgateError as error:
            if held.signed.not_after <= now:
                raise
            log.warning("not renewed", uri=uri, reason=str(error))
            return replace(held, due=retry_at(now, self._chance))

    async def after(self, uri: str, index: int, *, timeout_seconds: float) -> AgentLeaf:
        """The leaf, when it is another than `index` or the time is up."""
        held = await self.get(uri)
        with trio.move_on_after(timeout_seconds):
            while held.index == index:
                seen = self._wanted.state.table_index(CA)
                pause = max(held.due - self._now(), 0.0)
                await self._wanted.wait_past(seen, tables=(CA,), timeout_seconds=pause)
                held = await self.get(uri)
        return held

    def _active(self) -> str:
        return next(root.id for root in self._authority.trust_bundle().roots if root.active)

    async def _sign(self, uri: str, least_index: int, *, newcomer: bool) -> AgentLeaf:
        root, key_pem = self._active(), new_key_pem()
        signed = await self._authority.sign(csr_pem(key_pem, uri), newcomer=newcomer)
        return AgentLeaf(
            signed=signed,
            key_pem=key_pem,
            index=max(self._wanted.state.revision, least_index),
            root=root,
            due=renew_at(signed.not_before, signed.not_after, self._now(), self._chance),
        )
