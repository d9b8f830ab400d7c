"""Which keys were deleted when, so that the index of a single key or of a prefix does not go back.

Belongs here: remembering deletions, and forgetting the oldest. Never here: records that are there (`state`).

Kept in memory only, so many per table. Whatever was forgotten, by a restart too, is told by one number, the
`floor`: it is at least the revision of every deletion that is not known any more, and the index of a key of
which nothing is known.
"""

MAX_GRAVES = 8192


class Graves:
    """The deleted keys of one table, oldest first."""

    def __init__(self, floor: int, limit: int = MAX_GRAVES) -> None:
        self._floor = floor
        self._limit = limit
        self._deleted_at: dict[str, int] = {}

    def bury(self, key: str, revision: int) -> None:
        """The key was deleted by this revision, the highest so far."""
        self._deleted_at.pop(key, None)
        self._deleted_at[key] = revision
        if len(self._deleted_at) > self._limit:
            oldest = next(iter(self._deleted_at))
            self._floor = max(self._floor, self._deleted_at.pop(oldest))

    def of_key(self, key: str) -> int:
        """When it was deleted last, or the floor."""
        return self._deleted_at.get(key, self._floor)

    def under(self, prefix: str) -> int:
        """When a key that begins so was deleted last, or the floor."""
        found = (at for key, at in self._deleted_at.items() if key.startswith(prefix))
        return max(found, default=self._floor)
