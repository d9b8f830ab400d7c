"""The `service-intentions` entries as intentions in evaluation order.

Belongs here: the entry's spelling to `cluster.intentions`, and doing it again only for what changed. Never
here: what an intention means.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from cluster.http import DEFAULT_NORMALISATION, normalisation_of
from cluster.http.providers import provider_of
from cluster.intentions import (
    NEVER,
    Action,
    Intention,
    in_force,
    in_order,
    next_expiry,
    with_token,
)
from cluster.moments import parse_moment
from cluster.names import DEFAULT, ServiceName
from cluster.shards import MOST_WHOLE, Sharded, joined, shard_of
from cluster.snapshot import Policy
from coordinator.entries.mesh import MESH_NAME
from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

KIND = "service-intentions"
PROVIDER_KIND = "jwt-provider"


def policy(state: State, *, default_allow: bool, now: float = 0.0) -> Policy:
    """All intentions that hold at `now` (seconds since 1970), and what holds where none matches."""
    return Policies(default_allow=default_allow).of(state, now)


class Policies:
    """`policy` again and again: a shard is put in order again only when one of its entries changed."""

    def __init__(self, *, default_allow: bool) -> None:
        self._default_allow = default_allow
        self._records: dict[str, Record] = {}
        self._entries: defaultdict[int, dict[str, tuple[Intention, ...]]] = defaultdict(dict)
        self._parts: dict[int, tuple[Intention, ...]] = {}
        self._ends: dict[int, float] = {}
        self._made: tuple[Intention, ...] = ()

    def of(self, state: State, now: float) -> Policy:
        """The states are those of one store, later ones after earlier ones."""
        for number in {*self._take_in(state), *self._ended(now)}:
            self._put_in_order(number, now)
        providers = state.under(ENTRIES, f"{PROVIDER_KIND}/")
        mesh = state.get(ENTRIES, f"mesh/{MESH_NAME}")
        return Policy(
            default_allow=self._default_allow,
            intentions=self._all(),
            providers=tuple(provider_of(record.value) for record in providers),
            normalisation=normalisation_of(mesh.value) if mesh else DEFAULT_NORMALISATION,
        )

    def _take_in(self, state: State) -> Iterator[int]:
        """Follow the entries; the shards in which there was a change."""
        before = self._records
        self._records = {record.key: record for record in state.under(ENTRIES, f"{KIND}/")}
        for key in before.keys() - self._records.keys():
            yield self._put(before[key], ())
        for key, record in self._records.items():
            if before.get(key) is not record:
                yield self._put(record, tuple(intentions_of(record.value)))

    def _put(self, record: Record, rules: tuple[Intention, ...]) -> int:
        """One entry is in one shard, as it has one destination."""
        number = shard_of(record.value["Name"])
        self._entries[number][record.key] = rules
        if not rules:
            del self._entries[number][record.key]
        return number

    def _ended(self, now: float) -> Iterator[int]:
        return (number for number, end in self._ends.items() if end <= now)

    def _put_in_order(self, number: int, now: float) -> None:
        rules = in_force(chain.from_iterable(self._entries[number].values()), now)
        self._parts.pop(number, None)
        self._ends.pop(number, None)
        if rules:
            self._parts[number] = in_order(rules)
            self._ends[number] = next_expiry(rules)

    def _all(self) -> tuple[Intention, ...]:
        """Few of them in one order, many in shards: as they travel."""
        if sum(map(len, self._parts.values())) <= MOST_WHOLE:
            found = in_order(chain.from_iterable(self._parts.values()))
        else:
            before = self._made if isinstance(self._made, Sharded) else ()
            found = joined(dict(self._parts), before)
        self._made = found
        return found


def intentions_of(entry: Mapping[str, Any]) -> Iterator[Intention]:
    """The intentions that one entry holds, one for each source."""
    destination = ServiceName(
        name=entry["Name"],
        namespace=entry.get("Namespace") or DEFAULT,
        partition=entry.get("Partition") or DEFAULT,
    )
    for source in entry.get("Sources") or ():
        rule = Intention(
            source=_source(source, destination),
            destination=destination,
            action=Action(source.get("Action") or Action.DENY),
            permissions=tuple(source.get("Permissions") or ()),
            description=source.get("Description", ""),
            sameness_group=source.get("SamenessGroup", ""),
            expires_at=parse_moment(source["ExpiresAt"]) if source.get("ExpiresAt") else NEVER,
        )
        yield with_token(rule, entry.get("JWT"))


def _source(source: Mapping[str, Any], destination: ServiceName) -> ServiceName:
    """Tenancy is the entry's where the source says none; of a peer's partition it says nothing."""
    peer = source.get("Peer", "")
    return ServiceName(
        name=source["Name"],
        namespace=source.get("Namespace") or destination.namespace,
        partition=DEFAULT if peer else source.get("Partition") or destination.partition,
        peer=peer,
    )
