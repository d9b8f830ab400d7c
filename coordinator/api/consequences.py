"""What a change of the entries would do to the fleet, before anybody makes it.

Belongs here: the hypothetical state, composed as the real one is and compared with it, and the question to
the nodes. Never here: making the change, or how two states are compared (`coordinator.changes`). Composing
happens in a thread.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import trio

from cluster.names import ServiceName
from cluster.policies import RulesByDestination
from cluster.snapshot import Snapshot, Trust
from coordinator.changes.closing import would_close
from coordinator.changes.entries import EntryDiff, entry_diffs
from coordinator.changes.pairs import PairChanges, pair_changes
from coordinator.changes.routes import RouteChange, route_changes
from coordinator.compose import Composer
from coordinator.entries.entry import Checked
from coordinator.store.records import Change, Delete, Put
from coordinator.store.settle import settle
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES, SERVICES
from coordinator.store.versions import present_entries

from .entry_writes import entry_key
from .services import Services

#: Beyond so many affected destinations it is cheaper to ask for every connection and to choose here.
_ASKED_ONE_BY_ONE = 8
_NOBODYS_SOURCE = ("mesh-gateway", "terminating-gateway", "connect-proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Two states of the entries, and what their snapshots have not in common."""

    entries: tuple[EntryDiff, ...]
    pairs: PairChanges
    routes: tuple[RouteChange, ...]
    after: Snapshot

    def shown(self) -> dict[str, Any]:
        """As `plan` and `diff` show them."""
        pairs = self.pairs
        found = {
            "entries": self.entries,
            "newly_allowed": pairs.newly_allowed,
            "newly_denied": pairs.newly_denied,
            "pairs_total": {"allowed": pairs.allowed_total, "denied": pairs.denied_total},
            "routes": self.routes,
        }
        shown: dict[str, Any] = msgspec.to_builtins(found)
        return shown


def with_entries(state: State, written: Iterable[Checked], removed: Iterable[str]) -> State:
    """`state`, which must be a snapshot, with these entries written and the others removed by key."""
    changes: list[Change] = [Delete(table=ENTRIES, key=key) for key in removed]
    changes += [Put(table=ENTRIES, key=entry_key(e.kind, e.name), value=e.body) for e in written]
    revision = state.revision + 1
    return state.after(settle(changes, (), lookup=state.get, revision=revision))


async def differences(services: Services, before: State, after: State) -> Differences:
    """Compare what two states would be published as."""
    trust = Trust(datacenter=services.datacenter, bundle=services.authority.trust_bundle())
    now = services.clock()

    def composer() -> Composer:
        return Composer(default_allow=services.default_allow, clock=lambda: now)

    def compared() -> Differences:
        compose = composer()
        old = compose(before, trust).snapshot
        if after.revision <= before.revision:  # else what did not change need not be made again
            compose = composer()
        return between(before, after, old, compose(after, trust).snapshot)

    return await trio.to_thread.run_sync(compared)


def between(before: State, after: State, old: Snapshot, new: Snapshot) -> Differences:
    """The differences of two states whose snapshots are known."""
    known = {*known_services(before), *known_services(after)}
    return Differences(
        entries=entry_diffs(present_entries(before), present_entries(after)),
        pairs=pair_changes(old.policy, new.policy, known),
        routes=route_changes(old, new),
        after=new,
    )


def known_services(state: State) -> frozenset[ServiceName]:
    """Who is in the catalog and can be one side of a connection; sidecars are the service they stand for."""
    names = (
        record.value["Service"]
        for record in state.table(SERVICES).values()
        if record.value.get("Kind", "") not in _NOBODYS_SOURCE
    )
    return frozenset(ServiceName(name=name) for name in names)


async def closes(services: Services, found: Differences) -> dict[str, Any]:
    """The live connections that would be ended, asked of the nodes, and who did not answer."""
    denied = found.pairs.newly_denied
    if not denied:
        return {"total": 0, "connections": [], "complete": True, "unanswered": []}
    destinations = sorted({pair.destination for pair in denied})
    listed_all = len(denied) == found.pairs.denied_total
    asked: Sequence[dict[str, str]] = [{"destination": name} for name in destinations]
    if len(destinations) > _ASKED_ONE_BY_ONE or not listed_all:
        asked = [{}]
    policy_of = RulesByDestination(found.after.policy).policy
    connections: list[Any] = []
    missing: dict[str, None] = {}
    for arguments in asked:
        survey = await services.fleet.survey("connections", arguments)
        connections += would_close(survey.items, policy_of)
        missing |= dict.fromkeys(survey.missing)
    return {
        "total": len(connections),
        "connections": connections,
        "complete": not missing,
        "unanswered": list(missing),
    }
