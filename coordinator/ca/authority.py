"""The CA of a cluster: its root, its key and its configuration, as they are in the wanted state.

Belongs here: bootstrapping, rotating, pruning, distrusting, and signing for those who may. Never here: who
may (the caller asks for `read(csr).identity` first), or the rules of requests, certificates and rotations.

All there is to know lies in the tables `ca` and `ca_keys` (`stored`) and is parsed again when `ca` changes,
so that whoever changes it, this coordinator or another, changes it for all.
"""

import random
import string
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import structlog
import trio
from cryptography import x509

from cluster.certs import Root, TrustBundle
from cluster.identity import SigningId
from coordinator.store.records import Change, Conflict, Delete, Expect, StoreError
from coordinator.store.tables import CA, CA_KEYS
from coordinator.store.wanted import Wanted

from .admission import Admission
from .config import CaConfig, parse_config
from .csr import Asked, read_csr
from .root import consul_root, describe_root
from .rotation import (
    RotationRefused,
    cross_sign,
    distrusted,
    is_stale,
    other_root,
    root_for,
    successor,
    unexpired,
    without_issuers,
)
from .serials import Serials, first_unused
from .sign import SignedLeaf, sign_leaf
from .stored import (
    CONFIG,
    ROOTS,
    STATE,
    Current,
    put_config,
    put_key,
    put_root,
    put_state,
    read_current,
    record,
    root_info,
    root_infos,
    root_records,
)

#: How often it is asked whether an old root may be forgotten, as in Consul.
PRUNE_EVERY_SECONDS = 3600.0

_SALT_ALPHABET = string.digits + string.ascii_lowercase

log = structlog.get_logger(__name__)


class Authority:
    """Signs for one trust domain in one datacenter. Made by `Authority.open`."""

    def __init__(
        self, wanted: Wanted, *, datacenter: str, now: Callable[[], float], chance: random.Random
    ) -> None:
        self._wanted = wanted
        self._datacenter = datacenter
        self._now = now
        self._chance = chance
        self._serials = Serials(wanted)
        self._admission = Admission()
        self._changing = trio.Lock()
        self._parsed: Current | None = None

    @classmethod
    async def open(
        cls,
        wanted: Wanted,
        *,
        datacenter: str,
        config: Mapping[str, Any],
        now: Callable[[], float],
        chance: random.Random,
    ) -> "Authority":
        """Take up the CA that is stored; if there is none, make one after `config`.

        As in Consul, `config` counts only then; later changes go through `configure`. `now` tells seconds
        since 1970. Raises ConfigError or StoreError.
        """
        authority = cls(wanted, datacenter=datacenter, now=now, chance=chance)
        if wanted.state.get(CA, STATE) is None:
            await authority._bootstrap(config)
        authority._current()
        return authority

    @property
    def trust_domain(self) -> str:
        return self._current().signer.trust_domain

    @property
    def signer(self) -> SigningId:
        return self._current().signer

    @property
    def config(self) -> CaConfig:
        return self._current().config

    def config_document(self) -> dict[str, Any]:
        """`Provider` and `Config` of `GET /v1/connect/ca/configuration`, without the private key."""
        return {**record(self._wanted.state, CONFIG).value}

    def roots(self) -> dict[str, Any]:
        """The body of `GET /v1/connect/ca/roots`, active root first."""
        found = [(root_info(r), r) for r in root_records(self._wanted.state)]
        found.sort(key=lambda pair: (not pair[0].active, pair[0].id))
        return {
            "ActiveRootID": self._current().active.id,
            "TrustDomain": self.trust_domain,
            "Roots": [
                consul_root(root, create_index=r.create_index, modify_index=r.modify_index)
                for root, r in found
            ],
        }

    def trust_bundle(self) -> TrustBundle:
        """All roots that are trusted, for snapshots: always in the same order."""
        roots = tuple(
            Root(id=r.id, pem=r.pem.encode(), active=r.active)
            for r in root_infos(self._wanted.state)
        )
        return TrustBundle(trust_domain=self.trust_domain, roots=roots)

    def read(self, csr_pem: bytes) -> Asked:
        """What a request asks for, if it is acceptable here. Raises CsrRefused."""
        return read_csr(csr_pem, signer=self.signer, datacenter=self._datacenter)

    async def sign(self, csr_pem: bytes, *, newcomer: bool = True) -> SignedLeaf:
        """A leaf for an acceptable request; see `issue`. Raises CsrRefused too."""
        return await self.issue(self.read(csr_pem), newcomer=newcomer)

    async def issue(self, asked: Asked, *, newcomer: bool = True) -> SignedLeaf:
        """The leaf, when its turn has come. A newcomer, who has none, goes before those who renew.

        Raises SigningQueueFull, SigningRefused, StoreError.
        """
        config = self.config
        async with self._admission.turn(
            per_second=config.csr_max_per_second,
            concurrent=config.csr_max_concurrent,
            newcomer=newcomer,
        ):
            serial = await self._serials.next()
            current = self._current()  # the root may have changed while we waited
            work = partial(
                sign_leaf,
                asked,
                current.issuer,
                now=self._now(),
                ttl_seconds=current.config.leaf_ttl_seconds,
                serial=serial,
            )
            return await trio.to_thread.run_sync(work)

    async def configure(self, config: Mapping[str, Any], *, force: bool = False) -> bool:
        """Change the configuration, and the root if it asks for another one. True: the root was rotated.

        `force`: rotate even if the present root cannot vouch for the new one, so that handshakes fail
        until everybody has heard of it. Raises ConfigError, RotationRefused, StoreError.
        """
        parsed = parse_config(config)
        async with self._changing:
            current = self._current()
            if why := other_root(parsed, current.config, current.issuer):
                await self._rotate(parsed, put_config(config), force=force, why=why)
                return True
            await self._wanted.commit([put_config(config)])
            return False

    async def rotate(self, *, force: bool = False) -> None:
        """A new root with a new key under the present configuration. Raises as `configure`."""
        async with self._changing:
            await self._rotate(self.config, None, force=force, why="asked to")

    async def _rotate(
        self, config: CaConfig, also: Change | None, *, force: bool, why: str
    ) -> None:
        seen, current, now = record(self._wanted.state, STATE), self._current(), self._now()
        serial, vouching_serial = await self._serials.next(), await self._serials.next()
        make = partial(root_for, config, current.signer, serial=serial, now=now, salt=self._salt())
        certificate, key = await trio.to_thread.run_sync(make)
        vouching = _vouched(certificate, current, serial=vouching_serial, now=now, force=force)
        new, old = successor(certificate, key, vouching, before=current.active, now=now)
        changes: list[Change] = [put_root(old), put_root(new), put_key(new, key)]
        changes += [put_state(current.signer, new), *([also] if also else ())]
        if old.id != new.id:  # nothing is signed with it any more
            changes.append(Delete(table=CA_KEYS, key=old.id))
        try:
            await self._wanted.commit(
                changes, [Expect(table=CA, key=STATE, modify_index=seen.modify_index)]
            )
        except Conflict:
            raise RotationRefused("another rotation was first") from None
        log.info("rotated the root", root=new.id, before=old.id, why=why)

    async def distrust(self, root_id: str) -> tuple[str, ...]:
        """Forget a root now, whose key may have leaked, and all that vouched for it; their ids.

        Whoever has no leaf of another root by then is not believed any more. Raises UnknownRoot,
        RotationRefused, StoreError.
        """
        async with self._changing:
            current, now = self._current(), self._now()
            gone = distrusted(root_id, root_infos(self._wanted.state), now)
            kept = without_issuers(current.active.intermediates, gone)
            active = msgspec.structs.replace(current.active, intermediates=kept)
            changes: list[Change] = [Delete(table=CA, key=ROOTS + root.id) for root in gone]
            await self._wanted.commit([*changes, put_root(active)])
        log.warning("distrusted", roots=[root.id for root in gone])
        return tuple(root.id for root in gone)

    async def prune(self) -> None:
        """Forget roots that no valid leaf can lead to, and what vouched for the active one in its time."""
        now, current = self._now(), self._current()
        ttl_seconds = current.config.leaf_ttl_seconds
        gone = [
            root
            for root in root_infos(self._wanted.state)
            if is_stale(root, now=now, leaf_ttl_seconds=ttl_seconds)
        ]
        changes: list[Change] = [Delete(table=CA, key=ROOTS + root.id) for root in gone]
        valid = unexpired(current.active.intermediates, now)
        if valid != current.active.intermediates:
            changes.append(put_root(msgspec.structs.replace(current.active, intermediates=valid)))
        if changes:
            await self._wanted.commit(changes)
            log.info("pruned roots", roots=[root.id for root in gone])

    async def keep_pruned(self) -> None:
        """Prune now and every hour, for ever; what the store refuses is tried again then."""
        while True:
            try:
                async with self._changing:
                    await self.prune()
            except StoreError as error:
                log.error("roots that nobody needs stay for now", error=str(error))
            await trio.sleep(PRUNE_EVERY_SECONDS)

    async def _bootstrap(self, config: Mapping[str, Any]) -> None:
        parsed = parse_config(config)
        cluster_id = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        signer = SigningId(cluster_id=cluster_id)
        make = partial(root_for, parsed, signer, serial=1, now=self._now(), salt=self._salt())
        certificate, key = await trio.to_thread.run_sync(make)
        root = describe_root(certificate, key, external_trust_domain=signer.cluster_id)
        changes = [
            put_state(signer, root),
            put_root(root),
            put_key(root, key),
            put_config(config),
            first_unused(2),
        ]
        await self._wanted.commit(changes, [Expect(table=CA, key=STATE, modify_index=0)])

    def _salt(self) -> str:
        return "".join(self._chance.choices(_SALT_ALPHABET, k=8))

    def _current(self) -> Current:
        index = self._wanted.state.table_index(CA)
        if self._parsed is None or self._parsed.index != index:
            self._parsed = read_current(self._wanted.state)
        return self._parsed


def _vouched(
    root: x509.Certificate, current: Current, *, serial: int, now: float, force: bool
) -> x509.Certificate | None:
    """The cross-signed certificate. None, if it cannot be had and is not insisted on."""
    try:
        return cross_sign(root, current.issuer, serial=serial, now=now)
    except RotationRefused:
        if force:
            return None
        raise
