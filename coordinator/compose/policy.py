"""The `service-intentions` entries as intentions in evaluation order.

Belongs here: the entry's spelling to `cluster.intentions`. Never here: what an intention means.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cluster.http.providers import provider_of
from cluster.intentions import NEVER, Action, Intention, in_force, in_order, with_token
from cluster.moments import parse_moment
from cluster.names import DEFAULT, ServiceName
from cluster.snapshot import Policy
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

KIND = "service-intentions"
PROVIDER_KIND = "jwt-provider"


def policy(state: State, *, default_allow: bool, now: float = 0.0) -> Policy:
    """All intentions that hold at `now` (seconds since 1970), and what holds where none matches."""
    found = (
        intention
        for record in state.under(ENTRIES, f"{KIND}/")
        for intention in intentions_of(record.value)
    )
    providers = (provider_of(record.value) for record in state.under(ENTRIES, f"{PROVIDER_KIND}/"))
    return Policy(
        default_allow=default_allow,
        intentions=in_order(in_force(found, now)),
        providers=tuple(providers),
    )


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
