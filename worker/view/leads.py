"""A mesh gateway's table as an engine takes it that accepts by itself.

Belongs here: the translation, and keeping what did not change. Never here: a choice, which is made in the
same way on both sides (`cluster.lookup`, `cluster.pick`).
"""

from collections.abc import Callable, Mapping, Sequence

from cluster.lookup import NameTable
from worker.relay.porter import Directory, Lead
from worker.view.view import MeshTarget

_MOST = 255  # bytes of a name that an engine reads (`worker.arrival`)

DrawUp = Callable[[Sequence[Lead]], Directory]


class KeptDirectories:
    """The directory of each gateway. One that would be like that of the view before is kept."""

    def __init__(self, draw_up: DrawUp | None = None) -> None:
        """Without `draw_up` there are none."""
        self._draw_up = draw_up
        self._kept: dict[str, tuple[NameTable[MeshTarget], dict[str, Lead], Directory]] = {}

    def of(self, gateway: str, table: NameTable[MeshTarget]) -> Directory | None:
        """Raises ValueError as `Porter.draw_up`."""
        if self._draw_up is None:
            return None
        kept = self._kept.get(gateway)
        if kept is not None and kept[0] is table:
            return kept[2]
        before = kept[1] if kept else {}
        found = leads(table, before)
        if kept and len(found) == len(before) and all(before.get(n) is found[n] for n in found):
            directory = kept[2]
        else:
            directory = self._draw_up(tuple(found.values()))
        self._kept[gateway] = table, found, directory
        return directory


def leads(table: NameTable[MeshTarget], kept: Mapping[str, Lead] | None = None) -> dict[str, Lead]:
    """One for each name without a wildcard; whom a wildcard covers is a stranger to the engine.

    One of `kept` that leads to the same is taken as it is.
    """
    kept = kept or {}
    return {
        name: _lead(name, target, kept.get(name))
        for name, target in table.exact()
        if len(name) <= _MOST and name.isascii()
    }


def _lead(name: str, target: MeshTarget, kept: Lead | None) -> Lead:
    if kept is not None and _leads_to(kept.target, target):
        return kept
    return Lead(
        server_name=name,
        endpoints=tuple((share.up_to, share.packed) for share in target.ways.shares),
        dial_seconds=target.connect_timeout_seconds,
        target=target,
        account=target.meters,
    )


def _leads_to(one: MeshTarget, other: MeshTarget) -> bool:
    """Whether they are the same; ways are kept for as long as their endpoints are (`KeptWays`)."""
    return (
        one.ways is other.ways
        and one.meters is other.meters
        and one.service == other.service
        and one.connect_timeout_seconds == other.connect_timeout_seconds
    )
