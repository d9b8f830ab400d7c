"""The CA as its tables hold it, in a form to work with. Pure.

Belongs here: the keys of the tables `ca` and `ca_keys`, reading them, and the changes that write them.
Never here: deciding on a change (`rotation`), or making one (`authority`).

The private key is in `ca_keys` alone: what reads `ca` cannot give it away.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography import x509

from cluster.errors import LockgateError
from cluster.identity import SigningId
from coordinator.store.records import Put, Record
from coordinator.store.state import State
from coordinator.store.tables import CA, CA_KEYS

from .config import CaConfig, parse_config, shown_config
from .keys import SigningKey, dump_key, load_key
from .root import RootInfo
from .sign import Issuer

CONFIG, STATE, ROOTS = "config", "state", "roots/"


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables say; `index` is the revision that said so last."""

    index: int
    signer: SigningId
    config: CaConfig
    issuer: Issuer
    active: RootInfo


def read_current(state: State) -> Current:
    """The CA that signs now. Raises LockgateError if a part of it is missing."""
    says = record(state, STATE).value
    active = root_info(record(state, ROOTS + says["active"]))
    issuer = Issuer(
        certificate=x509.load_pem_x509_certificate(active.pem.encode()),
        key=load_key(record(state, active.id, CA_KEYS).value["pem"]),
        intermediates_pem=active.intermediates,
    )
    return Current(
        index=state.table_index(CA),
        signer=SigningId(cluster_id=says["cluster_id"]),
        config=parse_config(record(state, CONFIG).value["Config"]),
        issuer=issuer,
        active=active,
    )


def record(state: State, key: str, table: str = CA) -> Record:
    """A part of the CA. Raises LockgateError if it is missing."""
    found = state.get(table, key)
    if found is None:
        raise LockgateError(f"the CA is not whole: {table}/{key} is missing")
    return found


def root_records(state: State) -> tuple[Record, ...]:
    """Every root that is trusted, as stored."""
    return tuple(state.under(CA, ROOTS))


def root_info(stored: Record) -> RootInfo:
    return msgspec.convert(stored.value, RootInfo)


def root_infos(state: State) -> tuple[RootInfo, ...]:
    """Every root that is trusted, always in the same order."""
    return tuple(sorted(map(root_info, root_records(state)), key=lambda root: root.id))


def put_root(root: RootInfo) -> Put:
    return Put(table=CA, key=ROOTS + root.id, value=msgspec.to_builtins(root))


def put_key(root: RootInfo, key: SigningKey) -> Put:
    return Put(table=CA_KEYS, key=root.id, value={"pem": dump_key(key)})


def put_state(signer: SigningId, active: RootInfo) -> Put:
    """Which root signs, and for which cluster."""
    value = {"cluster_id": signer.cluster_id, "active": active.id}
    return Put(table=CA, key=STATE, value=value)


def put_config(config: Mapping[str, Any]) -> Put:
    """The configuration as it may be shown."""
    document = {"Provider": "consul", "Config": shown_config(config)}
    return Put(table=CA, key=CONFIG, value=document)
