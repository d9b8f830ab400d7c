"""The CA of a cluster: its root, its key and its configuration, as they are in the wanted state.

Belongs here: bootstrapping, and signing for those who may. Never here: who may (the caller asks for
`read(csr).identity` first), or the rules of requests and certificates.

All there is to know lies in the tables `ca` and `ca_keys` and is parsed again when `ca` changes, so that
whoever changes it, this coordinator or another, changes it for all. The private key is in `ca_keys` alone:
what reads `ca` cannot give it away.
"""

import random
import string
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import trio
from cryptography import x509

from cluster.certs import Root, TrustBundle
from cluster.errors import LockgateError
from cluster.identity import SigningId
from coordinator.store.records import Expect, Put, Record
from coordinator.store.tables import CA, CA_KEYS
from coordinator.store.wanted import Wanted

from .admission import Admission
from .config import CaConfig, parse_config, shown_config
from .csr import Asked, read_csr
from .keys import SigningKey, dump_key, load_key, make_key, public_der
from .root import RootInfo, consul_root, describe_root, make_root
from .serials import Serials, first_unused
from .sign import Issuer, SignedLeaf, sign_leaf

CONFIG, STATE, ROOTS = "config", "state", "roots/"

_SALT_ALPHABET = string.digits + string.ascii_lowercase


class RotationNeeded(LockgateError):
    """A configuration asks for another root, which this call does not make."""


class _Current(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables say, in a form to work with."""

    index: int
    signer: SigningId
    config: CaConfig
    issuer: Issuer
    active: RootInfo


class Authority:
    """Signs for one trust domain in one datacenter. Made by `Authority.open`."""

    def __init__(self, wanted: Wanted, *, datacenter: str, now: Callable[[], float]) -> None:
        self._wanted = wanted
        self._datacenter = datacenter
        self._now = now
        self._serials = Serials(wanted)
        self._admission = Admission()
        self._parsed: _Current | None = None

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
        authority = cls(wanted, datacenter=datacenter, now=now)
        if wanted.state.get(CA, STATE) is None:
            await authority._bootstrap(config, chance)
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
        return {**self._record(CONFIG).value}

    def roots(self) -> dict[str, Any]:
        """The body of `GET /v1/connect/ca/roots`, active root first."""
        found = [(msgspec.convert(r.value, RootInfo), r) for r in self._root_records()]
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
        infos = sorted(
            (msgspec.convert(r.value, RootInfo) for r in self._root_records()),
            key=lambda root: root.id,
        )
        roots = tuple(Root(id=r.id, pem=r.pem.encode(), active=r.active) for r in infos)
        return TrustBundle(trust_domain=self.trust_domain, roots=roots)

    def read(self, csr_pem: bytes) -> Asked:
        """What a request asks for, if it is acceptable here. Raises CsrRefused."""
        return read_csr(csr_pem, signer=self.signer, datacenter=self._datacenter)

    async def sign(self, csr_pem: bytes) -> SignedLeaf:
        """A leaf for an acceptable request; see `issue`. Raises CsrRefused too."""
        return await self.issue(self.read(csr_pem))

    async def issue(self, asked: Asked) -> SignedLeaf:
        """The leaf, when its turn has come. Raises SigningQueueFull, SigningRefused, StoreError."""
        config = self.config
        async with self._admission.turn(
            per_second=config.csr_max_per_second, concurrent=config.csr_max_concurrent
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

    async def configure(self, config: Mapping[str, Any]) -> None:
        """Change the configuration, root and key staying. Raises ConfigError, RotationNeeded, StoreError."""
        parsed = parse_config(config)
        if why := _other_root(parsed, self._current()):
            raise RotationNeeded(f"{why}: that needs a new root")
        await self._wanted.commit([_config_put(config)])

    async def _bootstrap(self, config: Mapping[str, Any], chance: random.Random) -> None:
        parsed = parse_config(config)
        signer = SigningId(cluster_id=str(uuid.UUID(int=chance.getrandbits(128), version=4)))
        salt = "".join(chance.choices(_SALT_ALPHABET, k=8))
        make = partial(_first_root, parsed, signer, now=self._now(), salt=salt)
        certificate, key = await trio.to_thread.run_sync(make)
        root = describe_root(certificate, key, external_trust_domain=signer.cluster_id)
        changes = [
            Put(table=CA, key=STATE, value={"cluster_id": signer.cluster_id, "active": root.id}),
            Put(table=CA, key=ROOTS + root.id, value=msgspec.to_builtins(root)),
            Put(table=CA_KEYS, key=root.id, value={"pem": dump_key(key)}),
            _config_put(config),
            first_unused(2),
        ]
        await self._wanted.commit(changes, [Expect(table=CA, key=STATE, modify_index=0)])

    def _current(self) -> _Current:
        index = self._wanted.state.table_index(CA)
        if self._parsed is None or self._parsed.index != index:
            self._parsed = self._parse(index)
        return self._parsed

    def _parse(self, index: int) -> _Current:
        state = self._record(STATE).value
        active = msgspec.convert(self._record(ROOTS + state["active"]).value, RootInfo)
        issuer = Issuer(
            certificate=x509.load_pem_x509_certificate(active.pem.encode()),
            key=load_key(self._record(active.id, CA_KEYS).value["pem"]),
            intermediates_pem=active.intermediates,
        )
        return _Current(
            index=index,
            signer=SigningId(cluster_id=state["cluster_id"]),
            config=parse_config(self._record(CONFIG).value["Config"]),
            issuer=issuer,
            active=active,
        )

    def _root_records(self) -> tuple[Record, ...]:
        return tuple(self._wanted.state.under(CA, ROOTS))

    def _record(self, key: str, table: str = CA) -> Record:
        record = self._wanted.state.get(table, key)
        if record is None:
            raise LockgateError(f"the CA is not whole: {table}/{key} is missing")
        return record


def _first_root(
    config: CaConfig, signer: SigningId, *, now: float, salt: str
) -> tuple[x509.Certificate, SigningKey]:
    """The root and its key: those that were given, or new ones."""
    if config.private_key:
        key = load_key(config.private_key)
    else:
        key = make_key(config.private_key_type, config.private_key_bits)
    if config.root_cert:
        return x509.load_pem_x509_certificate(config.root_cert.encode()), key
    root = make_root(
        key, signing=signer, serial=1, now=now, ttl_seconds=config.root_ttl_seconds, name_salt=salt
    )
    return root, key


def _config_put(config: Mapping[str, Any]) -> Put:
    document = {"Provider": "consul", "Config": shown_config(config)}
    return Put(table=CA, key=CONFIG, value=document)


def _other_root(config: CaConfig, current: _Current) -> str:
    """Why this configuration cannot be had with the present root; empty if it can."""
    if config.root_cert:
        given = x509.load_pem_x509_certificate(config.root_cert.encode())
        return "" if given == current.issuer.certificate else "RootCert is another certificate"
    if config.private_key:
        given_key = public_der(load_key(config.private_key).public_key())
        same = given_key == public_der(current.issuer.key.public_key())
        return "" if same else "PrivateKey is another key"
    wanted = (config.private_key_type, config.private_key_bits)
    # not the key's own kind: one that was given need not be of the kind that would have been made
    present = (current.config.private_key_type, current.config.private_key_bits)
    return "" if wanted == present else f"the kind of key changes from {present[0]}/{present[1]}"
