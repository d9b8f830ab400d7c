"""Discovery chains out of the wanted state.

Belongs here: how the compiler finds the stored entries. Never here: a rule of chains (`cluster.chain`).
"""

from cluster.chain import Entries
from cluster.chain.entries import Body
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES


def stored_entries(state: State) -> Entries:
    """The entries of this state, by kind and name."""

    def entry(kind: str, name: str) -> Body | None:
        record = state.get(ENTRIES, f"{kind}/{name}")
        return None if record is None else record.value

    return entry
