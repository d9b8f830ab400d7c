"""The index of the stored entries, kept up with every commit, whoever made it.

Belongs here: from commits to the index. Never here: what the index knows (`coordinator.entries.cross`).
"""

from coordinator.entries.cross import Index
from coordinator.store.settle import Effect
from coordinator.store.tables import ENTRIES
from coordinator.store.wanted import Wanted


def following(wanted: Wanted) -> Index:
    """The index of what is stored now and from now on."""
    index = Index(record.value for record in wanted.state.table(ENTRIES).values())

    def follow(effect: Effect) -> None:
        for gone in effect.deleted:
            if gone.table == ENTRIES:
                kind, _, name = gone.key.partition("/")
                index.remove(kind, name)
        for record in effect.written:
            if record.table == ENTRIES:
                index.put(record.value)

    wanted.follow(follow)
    return index
