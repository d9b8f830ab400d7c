"""Which worker accepts from which listening socket.  ●

Belongs here: the decision, over plain values. Never here: sockets or processes.

A socket whose worker is away still gets its share of new connections from the kernel, and they would wait.
So a living sibling accepts from a duplicate of it until the replacement has a snapshot to serve by.
"""

from collections.abc import Collection, Mapping
from enum import Enum, unique

from worker.descriptors import Slot


@unique
class Standing(Enum):
    """How a connected worker is; one that is not connected has no standing."""

    STARTING = "has no snapshot yet"
    SILENT = "has not reported for too long: it may hang"
    LEAVING = "drains"
    SERVING = "serves"


def assign(
    slots: Collection[Slot], standings: Mapping[int, Standing]
) -> dict[int, frozenset[Slot]]:
    """For each worker that is to be told, by index, the slots it accepts from.

    A worker that is starting or leaving is told nothing: it keeps what it has. One that is silent keeps its
    own slots and is covered besides, as it may wake up.
    """
    serving = sorted(index for index, state in standings.items() if state is Standing.SERVING)
    told = {
        index: set[Slot]()
        for index, state in standings.items()
        if state in (Standing.SERVING, Standing.SILENT)
    }
    for slot in slots:
        if slot.index in told:
            told[slot.index].add(slot)
        if serving and standings.get(slot.index) is not Standing.SERVING:
            told[serving[slot.index % len(serving)]].add(slot)
    return {index: frozenset(assigned) for index, assigned in told.items()}
