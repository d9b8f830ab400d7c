"""The leaves that this node holds, and the tasks that get and renew them.

Belongs here: one task per identity, and the result. Never here: which are needed, which the snapshot says, or
the way to the coordinator, which is handed in.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType

import structlog
import trio

from cluster.certs import Leaf, TrustBundle
from cluster.errors import LockgateError
from cluster.keys import csr_pem, new_key_pem
from cluster.renewal import retry_at
from worker.node.changes import Changes

from .chain import ChainError, has_names, leads_to, make_leaf, require_names
from .due import due_at, first_retry_seconds
from .store import LeafStore

#: Requests on their way at a time; the coordinator signs so many per second anyway.
_OUTSTANDING = 16
#: How long to sleep at most towards a wall clock time: the clock may be set meanwhile.
_NAP_SECONDS = 30.0

#: Sends a CSR (PEM; whether it is a renewal) and returns the chain. Raises SignError.
Sign = Callable[[bytes, bool], Awaitable[bytes]]

_NO_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType({})

_log = structlog.get_logger(__name__)


class SignError(LockgateError):
    """The coordinator did not sign: it refused, did not answer, or is not there."""


class KeyRing:
    """Every leaf by identity. `changes` is touched when one comes or goes; `version` counts that."""

    def __init__(
        self,
        store: LeafStore,
        sign: Sign,
        changes: Changes,
        *,
        chance: random.Random,
        wall_clock: Callable[[], float],
        in_thread: Callable[[Callable[[], None]], Awaitable[None]] = trio.to_thread.run_sync,
    ) -> None:
        self.version = 0
        self.write_failures = 0
        self._store = store
        self._sign = sign
        self._changes = changes
        self._chance = chance
        self._wall_clock = wall_clock
        self._in_thread = in_thread
        self._leaves: dict[str, Leaf] = {}
        self._wanted: frozenset[str] | None = None
        self._dns_names: Mapping[str, tuple[str, ...]] = {}
        self._bundle: TrustBundle | None = None
        self._wishes = Changes()
        self._received_at: dict[str, float] = {}
        self._limiter = trio.CapacityLimiter(_OUTSTANDING)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        return tuple(self._leaves.values())

    @property
    def missing(self) -> frozenset[str]:
        """Identities whose services cannot be served yet, or no more."""
        now = self._wall_clock()
        valid = {uri for uri, leaf in self._leaves.items() if leaf.not_after > now}
        return (self._wanted or frozenset()) - valid

    @property
    def has_received(self) -> bool:
        """Whether a coordinator has signed anything in this process' time."""
        return bool(self._received_at)

    @property
    def is_complete(self) -> bool:
        """Whether it is known what is wanted, and all of it is here."""
        return self._wanted is not None and not self.missing

    def load(self) -> None:
        """Take what the disk holds: before anything is wanted, all of it may be needed."""
        self._leaves = self._store.load()
        self._touch()

    def want(
        self,
        uris: frozenset[str],
        bundle: TrustBundle,
        *,
        dns_names: Mapping[str, tuple[str, ...]] = _NO_NAMES,
    ) -> None:
        """These are needed now, and these roots are trusted. Others stay until `drop_others`.

        `dns_names` are to be in the leaf of a URI; one that holds others is replaced, and used until then.
        """
        if dns_names != self._dns_names:
            self._dns_names = dict(dns_names)
            self._wishes.touch()
        if bundle != self._bundle:  # kept if equal: its identity tells `_until_due` of a change
            self._bundle = bundle
            self._wishes.touch()
        if uris != self._wanted:
            self._wanted = uris
            self._wishes.touch()

    async def drop_others(self) -> None:
        """Forget what is not wanted, in memory and on disk."""
        wanted = self._wanted or frozenset()
        if self._leaves.keys() - wanted:
            self._leaves = {uri: leaf for uri, leaf in self._leaves.items() if uri in wanted}
            self._touch()
        await self._on_disk(partial(self._store.keep_only, wanted))

    async def run(self) -> None:
        """Tend each wanted identity, for ever."""
        tended: dict[str, trio.CancelScope] = {}
        async with trio.open_nursery() as nursery:
            while True:
                version = self._wishes.version
                wanted = self._wanted or frozenset()
                for uri in tended.keys() - wanted:
                    tended.pop(uri).cancel()
                for uri in wanted - tended.keys():
                    tended[uri] = trio.CancelScope()
                    nursery.start_soon(self._tend, uri, tended[uri])
                await self._wishes.after(version)

    async def _tend(self, uri: str, scope: trio.CancelScope) -> None:
        failures = 0
        with scope:
            while True:
                await self._until_due(uri)
                try:
                    await self._get(uri)
                    failures = 0
                except (SignError, ChainError) as error:
                    _log.warning("no certificate", uri=uri, reason=str(error), failures=failures)
                    await trio.sleep(self._pause_seconds(uri, failures))
                    failures += 1

    async def _until_due(self, uri: str) -> None:
        """Wait until this leaf is to be asked for, under the roots trusted then."""
        bundle, due = None, 0.0
        while True:
            version = self._wishes.version
            now = self._wall_clock()
            leaf = self._leaves.get(uri)
            if leaf is not None and not has_names(leaf, self._dns_names.get(uri, ())):
                return
            if self._bundle is not bundle:
                bundle, due = self._bundle, self._due_at(uri, now)
            if due <= now:
                return
            with trio.move_on_after(min(due - now, _NAP_SECONDS)):
                await self._wishes.after(version)

    def _due_at(self, uri: str, now: float) -> float:
        assert self._bundle is not None, "an identity is wanted together with roots"
        return due_at(
            self._leaves.get(uri),
            self._bundle,
            now=now,
            chance=self._chance,
            leads_to=leads_to,
            received_at=self._received_at.get(uri),
        )

    def _pause_seconds(self, uri: str, failures: int) -> float:
        if uri in self._leaves:
            return retry_at(0.0, self._chance)
        return first_retry_seconds(failures, self._chance)

    async def _get(self, uri: str) -> None:
        key_pem, dns_names = new_key_pem(), self._dns_names.get(uri, ())
        async with self._limiter:
            chain_pem = await self._sign(csr_pem(key_pem, uri, dns_names), uri in self._leaves)
        leaf = make_leaf(uri, chain_pem, key_pem)
        require_names(leaf, dns_names)
        now = self._wall_clock()
        if leaf.not_after <= now:
            raise ChainError(
                f"the certificate ended {now - leaf.not_after:.0f} s ago: whose clock is wrong?"
            )
        self._leaves[uri] = leaf
        self._received_at[uri] = now
        self._touch()
        _log.info("certificate", uri=uri, not_after=leaf.not_after, digest=leaf.digest[:12])
        await self._on_disk(partial(self._store.save, leaf))

    async def _on_disk(self, write: Callable[[], None]) -> None:
        """A full disk is no reason to stop serving: what is in memory holds until the next start."""
        try:
            await self._in_thread(write)
        except OSError as error:
            self.write_failures += 1
            _log.error("leaves cannot be kept on disk", reason=str(error))

    def _touch(self) -> None:
        self.version += 1
        self._changes.touch()
