"""The rooms of targets, kept from view to view, as requests of the old view are still under way in them.

Belongs here: keeping them. Never here: what a room is (`worker.http.room`).
"""

from worker.http.room import Room

_Key = tuple[str, ...]


class KeptRooms:
    """By a key that stays the same from view to view."""

    def __init__(self) -> None:
        self._kept: dict[_Key, Room] = {}
        self._used: set[_Key] = set()

    def of(self, key: _Key) -> Room:
        self._used.add(key)
        return self._kept.setdefault(key, Room())

    def forget_others(self) -> None:
        """Forget all that were not asked for since the last time."""
        self._kept = {key: one for key, one in self._kept.items() if key in self._used}
        self._used = set()
