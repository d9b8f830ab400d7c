"""Waiting until something has changed, without missing what changed meanwhile.

Belongs here: the one primitive by which the node's tasks follow shared state: look, act, wait for a change,
look again. Never here: the state.
"""

import trio


class Changes:
    """Counts changes; any number of tasks may wait for the next one."""

    def __init__(self) -> None:
        self.version = 0
        self._next = trio.Event()

    def touch(self) -> None:
        """Something has changed: everybody who waits has to look again."""
        self.version += 1
        self._next.set()
        self._next = trio.Event()

    async def after(self, version: int) -> None:
        """Wait until there has been a change after `version`, which was read before looking."""
        if self.version == version:
            await self._next.wait()
        else:
            await trio.lowlevel.checkpoint()
