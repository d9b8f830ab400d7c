"""Who waits for which keys of which tables. Nobody polls: a commit wakes those it concerns.

Belongs here: registering and waking. Never here: what has changed, or for how long to wait.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import trio


class Waiters:
    """The tasks that wait, by table."""

    def __init__(self) -> None:
        self._by_table: dict[str, dict[trio.Event, str]] = {}

    @contextmanager
    def waiting(self, tables: Collection[str], prefix: str) -> Iterator[trio.Event]:
        """An event that is set when a key with this prefix changes in one of the tables."""
        event = trio.Event()
        for table in tables:
            self._by_table.setdefault(table, {})[event] = prefix
        try:
            yield event
        finally:
            for table in tables:
                self._by_table[table].pop(event, None)

    def wake(self, touched: Mapping[str, Collection[str]]) -> None:
        """Wake whoever waits for one of these keys, given by table."""
        for table, keys in touched.items():
            for event, prefix in self._by_table.get(table, {}).items():
                if not prefix or any(key.startswith(prefix) for key in keys):
                    event.set()
