"""The pickers of targets, kept from view to view: a table of maglev takes tens of milliseconds to fill.

Belongs here: keeping those whose endpoints are the same. Never here: picking (`cluster.balance`).

Views are compiled in a thread, so a picker that has to be made holds up no connection.
"""

from cluster.balance import Active, Balancer, Picker, picker_of
from cluster.routes import Endpoint

_Key = tuple[tuple[str, ...], Balancer]


class KeptPickers:
    """By a target's key, which stays the same from view to view, and how it is balanced."""

    def __init__(self) -> None:
        self._kept: dict[_Key, tuple[tuple[Endpoint, ...], Picker]] = {}
        self._used: set[_Key] = set()

    def of(
        self,
        target: tuple[str, ...],
        balancer: Balancer,
        endpoints: tuple[Endpoint, ...],
        active: Active,
    ) -> Picker:
        """The picker of these endpoints; `active` is the same for one target at all times."""
        key = (target, balancer)
        self._used.add(key)
        known = self._kept.get(key)
        if known is None or not (known[0] is endpoints or known[0] == endpoints):
            known = self._kept[key] = (endpoints, picker_of(balancer, endpoints, active))
        return known[1]

    def forget_others(self) -> None:
        """Forget all that were not asked for since the last time."""
        self._kept = {key: one for key, one in self._kept.items() if key in self._used}
        self._used = set()
